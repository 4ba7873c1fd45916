//! The projects of a tenant.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx,
    ids::{ProjectId, WorkspaceId},
    permission::Permission,
    projects::ProjectEvent,
    recorded_event::RecordedEvent,
};
use infrastructure::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{
    checkpoint,
    entity_table::entity_table,
    fold::{Fold, FoldError, row},
    page::{Page, PageRequest},
    workspaces::{self, Workspaces},
};

/// The projection.
pub struct Projects;

/// A project as its tenant sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Project)]
pub struct ProjectRow {
    /// Which one.
    #[schema(value_type = String, example = "prj_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: ProjectId,
    /// The workspace that it belongs to.
    #[schema(value_type = String, example = "wsp_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub workspace_id: WorkspaceId,
    /// What it is called.
    pub name: String,
    /// When it was set up.
    pub created_at: DateTime<Utc>,
    /// The sequence of its newest event.
    pub sequence: u64,
}

impl Fold for Projects {
    const NAME: &'static str = "projects";
    type Key = ProjectId;
    type Row = ProjectRow;

    fn key(event: &RecordedEvent) -> Result<Option<ProjectId>, FoldError> {
        Ok((event.stream.kind == "project").then(|| event.stream.id.into()))
    }

    fn apply(row: Option<ProjectRow>, event: &RecordedEvent) -> Result<Option<ProjectRow>, FoldError> {
        let row = match (row, event.decode::<ProjectEvent>()?) {
            (_, ProjectEvent::ProjectCreated(created)) => ProjectRow {
                id: created.project_id,
                workspace_id: created.workspace_id,
                name: created.name.to_string(),
                created_at: event.recorded_at,
                sequence: 0,
            },
            (None, _) => return Err(FoldError::missing_row(event)),
            (Some(row), ProjectEvent::ProjectRenamed(renamed)) => {
                ProjectRow { name: renamed.name.to_string(), ..row }
            }
        };
        Ok(Some(ProjectRow { sequence: event.sequence, ..row }))
    }
}

entity_table! {
    Projects in "projects"
    changes "name = excluded.name, sequence = excluded.sequence"
}

/// The projects of a workspace, the oldest first.
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    workspace: WorkspaceId,
    page: PageRequest<ProjectId>,
    min_position: u64,
) -> Result<Page<ProjectRow, ProjectId>, Error> {
    ctx.require(Permission::TenantRead)?;
    let (mut tx, position) =
        checkpoint::begin_at_all(database, ctx.tenant, &[Projects::NAME, Workspaces::NAME], min_position)
            .await?;
    workspaces::of_id(&mut tx, workspace).await?;
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(project) AS "row!: Json<ProjectRow>" FROM projects AS project
           WHERE tenant_id = $1 AND workspace_id = $2 AND ($3::text IS NULL OR id > $3)
           ORDER BY id LIMIT $4"#,
        ctx.tenant.uuid(),
        workspace.to_string(),
        page.after.map(|id| id.to_string()),
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(page.page(rows.into_iter().map(|Json(row)| row).collect(), position, |row| row.id))
}

/// One project, with the position that the read model has seen.
pub async fn get(
    ctx: &Ctx,
    database: &Database,
    id: ProjectId,
    min_position: u64,
) -> Result<(ProjectRow, u64), Error> {
    ctx.require(Permission::TenantRead)?;
    let (mut tx, position) = checkpoint::begin_at(database, ctx.tenant, Projects::NAME, min_position).await?;
    Ok((of_id(&mut tx, id).await?, position))
}

/// The project of the transaction's tenant with this id, or that there is no such resource.
pub(crate) async fn of_id(tx: &mut TenantTx, id: ProjectId) -> Result<ProjectRow, Error> {
    row::<Projects>(tx, id).await?.ok_or_else(Error::not_found)
}

#[cfg(test)]
mod tests {
    use domain::projects::{ProjectCreated, ProjectRenamed};

    use super::*;
    use crate::story::{Story, name, rows};

    #[test]
    fn a_project_keeps_its_workspace_and_has_its_newest_name() {
        let mut story = Story::new();
        let (id, workspace_id) = (ProjectId::random(), WorkspaceId::random());
        story.tell("project", id, ProjectCreated { project_id: id, workspace_id, name: name("Shop") });
        story.tell("project", id, ProjectRenamed { name: name("Store") });
        let row = &rows::<Projects>(&story)[&id];
        assert_eq!((row.name.as_str(), row.workspace_id, row.sequence), ("Store", workspace_id, 2));
    }
}
