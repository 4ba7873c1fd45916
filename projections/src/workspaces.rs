//! The workspaces of a tenant.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx, ids::WorkspaceId, permission::Permission, recorded_event::RecordedEvent,
    workspaces::WorkspaceEvent,
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
};

/// The projection.
pub struct Workspaces;

/// A workspace as its tenant sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Workspace)]
pub struct WorkspaceRow {
    /// Which one.
    #[schema(value_type = String, example = "wsp_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: WorkspaceId,
    /// What it is called.
    pub name: String,
    /// When it was set up.
    pub created_at: DateTime<Utc>,
    /// The sequence of its newest event.
    pub sequence: u64,
}

impl Fold for Workspaces {
    const NAME: &'static str = "workspaces";
    type Key = WorkspaceId;
    type Row = WorkspaceRow;

    fn key(event: &RecordedEvent) -> Result<Option<WorkspaceId>, FoldError> {
        Ok((event.stream.kind == "workspace").then(|| event.stream.id.into()))
    }

    fn apply(row: Option<WorkspaceRow>, event: &RecordedEvent) -> Result<Option<WorkspaceRow>, FoldError> {
        let row = match (row, event.decode::<WorkspaceEvent>()?) {
            (_, WorkspaceEvent::WorkspaceCreated(created)) => WorkspaceRow {
                id: created.workspace_id,
                name: created.name.to_string(),
                created_at: event.recorded_at,
                sequence: 0,
            },
            (None, _) => return Err(FoldError::missing_row(event)),
            (Some(row), WorkspaceEvent::WorkspaceRenamed(renamed)) => {
                WorkspaceRow { name: renamed.name.to_string(), ..row }
            }
        };
        Ok(Some(WorkspaceRow { sequence: event.sequence, ..row }))
    }
}

entity_table! {
    Workspaces in "workspaces"
    changes "name = excluded.name, sequence = excluded.sequence"
}

/// The tenant's workspaces, the oldest first.
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    page: PageRequest<WorkspaceId>,
    min_position: u64,
) -> Result<Page<WorkspaceRow, WorkspaceId>, Error> {
    ctx.require(Permission::TenantRead)?;
    let (mut tx, position) =
        checkpoint::begin_at(database, ctx.tenant, Workspaces::NAME, min_position).await?;
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(workspace) AS "row!: Json<WorkspaceRow>" FROM workspaces AS workspace
           WHERE tenant_id = $1 AND ($2::text IS NULL OR id > $2)
           ORDER BY id LIMIT $3"#,
        ctx.tenant.uuid(),
        page.after.map(|id| id.to_string()),
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(page.page(rows.into_iter().map(|Json(row)| row).collect(), position, |row| row.id))
}

/// One workspace, with the position that the read model has seen.
pub async fn get(
    ctx: &Ctx,
    database: &Database,
    id: WorkspaceId,
    min_position: u64,
) -> Result<(WorkspaceRow, u64), Error> {
    ctx.require(Permission::TenantRead)?;
    let (mut tx, position) =
        checkpoint::begin_at(database, ctx.tenant, Workspaces::NAME, min_position).await?;
    Ok((of_id(&mut tx, id).await?, position))
}

/// The workspace of the transaction's tenant with this id, or that there is no such resource.
pub(crate) async fn of_id(tx: &mut TenantTx, id: WorkspaceId) -> Result<WorkspaceRow, Error> {
    row::<Workspaces>(tx, id).await?.ok_or_else(Error::not_found)
}

#[cfg(test)]
mod tests {
    use domain::workspaces::{WorkspaceCreated, WorkspaceRenamed};

    use super::*;
    use crate::story::{Story, name, rows};

    #[test]
    fn a_workspace_has_its_newest_name() {
        let mut story = Story::new();
        let id = WorkspaceId::random();
        story.tell("workspace", id, WorkspaceCreated { workspace_id: id, name: name("Berlin") });
        story.tell("workspace", id, WorkspaceRenamed { name: name("Hamburg") });
        let row = &rows::<Workspaces>(&story)[&id];
        assert_eq!((row.name.as_str(), row.sequence), ("Hamburg", 2));
        assert_eq!(row.created_at, story.events()[0].recorded_at);
    }

    #[test]
    fn a_change_of_a_workspace_that_was_never_set_up_is_refused() {
        let mut story = Story::new();
        story.tell("workspace", WorkspaceId::random(), WorkspaceRenamed { name: name("Hamburg") });
        let result = Workspaces::apply(None, &story.events()[0]);
        assert!(matches!(result, Err(FoldError::MissingRow { .. })));
    }
}
