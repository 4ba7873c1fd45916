//! API keys of a project.

use actix_web::{HttpResponse, delete, get, post, web};
use application::{
    api_keys::{self, IssuedKey},
    app::App,
    once::Commit,
};
use domain::{
    ids::{ApiKeyId, ProjectId, TenantId},
    text::Name,
};
use projections::{
    api_keys::{ApiKeyRow, ApiKeys},
    entity,
};
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::{Data, Done, List},
        body::{Json, body},
        listing::Listing,
        path::Ids,
        problem::Problem,
        query::Query,
    },
    once::Once,
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(list).service(issue).service(revoke).service(rotate);
}

body! {
    /// A key to be.
    pub struct NewApiKey {
        /// What it is for.
        pub name: Name,
    }
}

/// A key with its secret.
#[derive(Serialize, utoipa::ToSchema)]
pub struct NewSecret {
    /// The key.
    #[serde(flatten)]
    key: ApiKeyRow,
    /// What a program sends. It is shown this once.
    secret: String,
}

/// The project's keys, newest first, without their secrets.
#[utoipa::path(tag = "tenants", params(Listing<(), ApiKeyId>), responses((status = 200, body = List<ApiKeyRow>)))]
#[get("/v1/tenants/{tenant}/projects/{project}/api-keys")]
async fn list(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, ProjectId)>,
    listing: Query<Listing<(), ApiKeyId>>,
) -> Result<List<ApiKeyRow>, Problem> {
    let (Ids((_, project)), Query(listing)) = (ids, listing);
    let (database, page) = (&annals.database, listing.page());
    let page =
        projections::api_keys::list(&member.ctx, database, project, page, listing.min_position).await?;
    Ok(listing.answer(page))
}

/// Issue a key for the project. Its secret is in this answer and nowhere else.
#[utoipa::path(tag = "tenants", responses((status = 201, body = Data<NewSecret>)))]
#[post("/v1/tenants/{tenant}/projects/{project}/api-keys")]
async fn issue(
    once: Once,
    member: Member,
    ids: Ids<(TenantId, ProjectId)>,
    body: Json<NewApiKey>,
) -> Result<HttpResponse, Problem> {
    let (Member { ctx }, Ids((tenant, project)), Json { value, text }) = (member, ids, body);
    let run = async |app: &App| api_keys::issue(&ctx, app, project, value.name).await;
    let issued = move |issued: &IssuedKey, commit: &Commit<'_>| {
        let location = format!("/v1/tenants/{tenant}/projects/{project}/api-keys/{}", issued.id);
        Ok(Data::created(with_secret(issued, commit)?, location).at(commit.position()))
    };
    once.of(&ctx, &text).answer(run, issued).await
}

/// Revoke a key: it is refused from now on.
#[utoipa::path(tag = "tenants", responses((status = 204)))]
#[delete("/v1/tenants/{tenant}/projects/{project}/api-keys/{key}")]
async fn revoke(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, ProjectId, ApiKeyId)>,
) -> Result<Done, Problem> {
    let Ids((_, project, key)) = ids;
    let revoked = api_keys::revoke(&member.ctx, &annals.app, project, key).await?;
    Ok(Done { position: revoked.position })
}

/// Give a key a new secret: the old one is refused from now on.
#[utoipa::path(tag = "tenants", responses((status = 200, body = Data<NewSecret>)))]
#[post("/v1/tenants/{tenant}/projects/{project}/api-keys/{key}/rotate")]
async fn rotate(
    once: Once,
    member: Member,
    ids: Ids<(TenantId, ProjectId, ApiKeyId)>,
) -> Result<HttpResponse, Problem> {
    let (Member { ctx }, Ids((_, project, key))) = (member, ids);
    let run = async |app: &App| api_keys::rotate(&ctx, app, project, key).await;
    let rotated = |rotated: &IssuedKey, commit: &Commit<'_>| {
        Ok(Data::new(with_secret(rotated, commit)?).at(commit.position()))
    };
    once.of(&ctx, b"").showing(key).answer(run, rotated).await
}

fn with_secret(issued: &IssuedKey, commit: &Commit<'_>) -> Result<NewSecret, Problem> {
    let key = entity::of_commit::<ApiKeys>(commit, issued.id)?;
    Ok(NewSecret { key, secret: issued.secret.clone() })
}
