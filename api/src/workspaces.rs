//! Workspaces of a tenant.

use actix_web::{HttpResponse, get, post, web};
use application::{app::App, once::Commit, workspaces};
use domain::{
    ids::{TenantId, WorkspaceId},
    text::Name,
};
use projections::{
    entity,
    workspaces::{WorkspaceRow, Workspaces},
};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::{Data, List},
        body::{Json, body},
        listing::Listing,
        min_position::MinPosition,
        path::Ids,
        problem::Problem,
        query::Query,
    },
    once::Once,
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(list).service(create).service(get);
}

body! {
    /// A workspace to be.
    pub struct NewWorkspace {
        /// What it is called.
        pub name: Name,
    }
}

/// The workspaces, oldest first.
#[utoipa::path(tag = "tenants", params(Listing<(), WorkspaceId>), responses((status = 200, body = List<WorkspaceRow>)))]
#[get("/v1/tenants/{tenant}/workspaces")]
async fn list(
    annals: web::Data<Annals>,
    member: Member,
    listing: Query<Listing<(), WorkspaceId>>,
) -> Result<List<WorkspaceRow>, Problem> {
    let Query(listing) = listing;
    let page = listing.page();
    let page =
        projections::workspaces::list(&member.ctx, &annals.database, page, listing.min_position).await?;
    Ok(listing.answer(page))
}

/// Create a workspace.
#[utoipa::path(tag = "tenants", responses((status = 201, body = Data<WorkspaceRow>)))]
#[post("/v1/tenants/{tenant}/workspaces")]
async fn create(once: Once, member: Member, body: Json<NewWorkspace>) -> Result<HttpResponse, Problem> {
    let (Member { ctx }, Json { value, text }) = (member, body);
    let tenant = ctx.tenant;
    let run = async |app: &App| workspaces::create(&ctx, app, value.name).await;
    let created = move |id: &WorkspaceId, commit: &Commit<'_>| {
        let row = entity::of_commit::<Workspaces>(commit, *id)?;
        let location = format!("/v1/tenants/{tenant}/workspaces/{}", row.id);
        let sequence = row.sequence;
        Ok(Data::created(row, location).at(commit.position()).sequence(sequence))
    };
    once.of(&ctx, &text).answer(run, created).await
}

/// One workspace.
#[utoipa::path(tag = "tenants", params(MinPosition), responses((status = 200, body = Data<WorkspaceRow>)))]
#[get("/v1/tenants/{tenant}/workspaces/{workspace}")]
async fn get(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, WorkspaceId)>,
    fresh: Query<MinPosition>,
) -> Result<Data<WorkspaceRow>, Problem> {
    let Ids((_, workspace)) = ids;
    let (row, position) =
        projections::workspaces::get(&member.ctx, &annals.database, workspace, fresh.0.0).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}
