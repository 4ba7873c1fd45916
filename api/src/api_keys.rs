//! API keys of a project.

use actix_web::{delete, get, post, web};
use application::{
    api_keys::{self, IssuedKey},
    app::Written,
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
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, ProjectId)>,
    body: Json<NewApiKey>,
) -> Result<Data<NewSecret>, Problem> {
    let Ids((tenant, project)) = ids;
    let issued = api_keys::issue(&member.ctx, &annals.app, project, body.value.name).await?;
    let location = format!("/v1/tenants/{tenant}/projects/{project}/api-keys/{}", issued.value.id);
    let position = issued.position;
    Ok(Data::created(with_secret(&annals, tenant, issued).await?, location).at(position))
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
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, ProjectId, ApiKeyId)>,
) -> Result<Data<NewSecret>, Problem> {
    let Ids((tenant, project, key)) = ids;
    let rotated = api_keys::rotate(&member.ctx, &annals.app, project, key).await?;
    let position = rotated.position;
    Ok(Data::new(with_secret(&annals, tenant, rotated).await?).at(position))
}

async fn with_secret(
    annals: &Annals,
    tenant: TenantId,
    issued: Written<IssuedKey>,
) -> Result<NewSecret, Problem> {
    let IssuedKey { id, secret } = issued.value;
    let key = entity::of_stream::<ApiKeys>(&annals.database, tenant, id).await?;
    Ok(NewSecret { key, secret })
}
