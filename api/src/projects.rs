//! Projects of a workspace.

use actix_web::{HttpResponse, get, patch, post, web};
use application::{app::App, once::Commit, projects};
use domain::{
    ids::{ProjectId, TenantId, WorkspaceId},
    text::Name,
};
use projections::{
    entity,
    projects::{ProjectRow, Projects},
};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::{Data, List},
        body::{Json, body},
        etag::IfMatch,
        listing::Listing,
        min_position::MinPosition,
        path::Ids,
        problem::Problem,
        query::Query,
    },
    once::Once,
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(list).service(create).service(get).service(change);
}

body! {
    /// A project to be.
    pub struct NewProject {
        /// What it is called.
        pub name: Name,
    }
}

body! {
    /// What to change.
    pub struct ProjectChange [deny_unknown] {
        /// What it is called.
        pub name: Name,
    }
}

/// The workspace's projects, oldest first.
#[utoipa::path(tag = "tenants", params(Listing<(), ProjectId>), responses((status = 200, body = List<ProjectRow>)))]
#[get("/v1/tenants/{tenant}/workspaces/{workspace}/projects")]
async fn list(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, WorkspaceId)>,
    listing: Query<Listing<(), ProjectId>>,
) -> Result<List<ProjectRow>, Problem> {
    let (Ids((_, workspace)), Query(listing)) = (ids, listing);
    let (database, page) = (&annals.database, listing.page());
    let page =
        projections::projects::list(&member.ctx, database, workspace, page, listing.min_position).await?;
    Ok(listing.answer(page))
}

/// Create a project in the workspace.
#[utoipa::path(tag = "tenants", responses((status = 201, body = Data<ProjectRow>)))]
#[post("/v1/tenants/{tenant}/workspaces/{workspace}/projects")]
async fn create(
    once: Once,
    member: Member,
    ids: Ids<(TenantId, WorkspaceId)>,
    body: Json<NewProject>,
) -> Result<HttpResponse, Problem> {
    let (Member { ctx }, Ids((tenant, workspace)), Json { value, text }) = (member, ids, body);
    let run = async |app: &App| projects::create(&ctx, app, workspace, value.name).await;
    let created = move |id: &ProjectId, commit: &Commit<'_>| {
        let row = entity::of_commit::<Projects>(commit, *id)?;
        let location = format!("/v1/tenants/{tenant}/projects/{}", row.id);
        let sequence = row.sequence;
        Ok(Data::created(row, location).at(commit.position()).sequence(sequence))
    };
    once.of(&ctx, &text).answer(run, created).await
}

/// One project.
#[utoipa::path(tag = "tenants", params(MinPosition), responses((status = 200, body = Data<ProjectRow>)))]
#[get("/v1/tenants/{tenant}/projects/{project}")]
async fn get(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, ProjectId)>,
    fresh: Query<MinPosition>,
) -> Result<Data<ProjectRow>, Problem> {
    let Ids((_, project)) = ids;
    let (row, position) =
        projections::projects::get(&member.ctx, &annals.database, project, fresh.0.0).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}

/// Rename a project.
#[utoipa::path(tag = "tenants", responses((status = 200, body = Data<ProjectRow>)))]
#[patch("/v1/tenants/{tenant}/projects/{project}")]
async fn change(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, ProjectId)>,
    expected: IfMatch,
    body: Json<ProjectChange>,
) -> Result<Data<ProjectRow>, Problem> {
    let (Member { ctx }, Ids((_, project))) = (member, ids);
    let written = projects::rename(&ctx, &annals.app, project, body.value.name, &expected.0).await?;
    let row = entity::of_stream::<Projects>(&annals.database, ctx.tenant, project).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(written.position).sequence(sequence))
}
