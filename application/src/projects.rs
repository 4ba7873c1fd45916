//! Projects of a workspace.

use domain::{
    ctx::Ctx,
    ids::{ProjectId, WorkspaceId},
    permission::Permission,
    projects::{Project, ProjectCommand, ProjectCreated},
    text::Name,
    workspaces::Workspace,
};

use crate::{
    app::{App, Written},
    error::Error,
    expected::Expected,
    work::stream,
};

/// Creates a project in a workspace of the tenant.
pub async fn create(
    ctx: &Ctx,
    app: &App,
    workspace_id: WorkspaceId,
    name: Name,
) -> Result<Written<ProjectId>, Error> {
    ctx.require(Permission::ProjectsManage)?;
    let project_id = ProjectId::random();
    let streams = [stream::<Workspace>(workspace_id), stream::<Project>(project_id)];
    app.transact(ctx, streams, move |work| {
        if matches!(*work.state::<Workspace>(workspace_id)?, Workspace::Absent) {
            return Err(Error::not_found());
        }
        let created = ProjectCreated { project_id, workspace_id, name: name.clone() };
        work.execute::<Project>(project_id, ProjectCommand::Create(created))?;
        Ok(project_id)
    })
    .await
}

/// Renames a project.
pub async fn rename(
    ctx: &Ctx,
    app: &App,
    project_id: ProjectId,
    name: Name,
    expected: &Expected,
) -> Result<Written<()>, Error> {
    ctx.require(Permission::ProjectsManage)?;
    let expected = expected.clone();
    app.transact(ctx, [stream::<Project>(project_id)], move |work| {
        work.expect::<Project>(project_id, &expected)?;
        work.execute::<Project>(project_id, ProjectCommand::Rename { name: name.clone() }).map(drop)
    })
    .await
}
