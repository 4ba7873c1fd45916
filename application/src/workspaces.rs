//! Workspaces of a tenant.

use domain::{
    ctx::Ctx,
    ids::WorkspaceId,
    permission::Permission,
    text::Name,
    workspaces::{Workspace, WorkspaceCommand, WorkspaceCreated},
};

use crate::{
    app::{App, Written},
    error::Error,
};

/// Creates a workspace.
pub async fn create(ctx: &Ctx, app: &App, name: Name) -> Result<Written<WorkspaceId>, Error> {
    ctx.require(Permission::ProjectsManage)?;
    let workspace_id = WorkspaceId::random();
    let created = WorkspaceCommand::Create(WorkspaceCreated { workspace_id, name });
    app.begin::<Workspace, _>(ctx, workspace_id, created, workspace_id).await
}
