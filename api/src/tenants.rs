//! Tenants.

use actix_web::{HttpResponse, get, patch, post, web};
use application::{
    app::App,
    once::Commit,
    tenants::{self, Founded},
};
use domain::text::{Name, Slug};
use projections::tenants::TenantRow;
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::{Member, SignedIn},
    http::{
        answer::Data,
        body::{Json, body},
        etag::IfMatch,
        min_position::MinPosition,
        problem::Problem,
        query::Query,
    },
    once::Once,
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(create).service(get).service(change);
}

body! {
    /// A tenant to be.
    pub struct NewTenant {
        /// What the company is called.
        pub name: Name,
        /// Its name in addresses; by default one made of the name.
        pub slug: Option<Slug>,
    }
}

body! {
    /// What to change.
    pub struct TenantChange [deny_unknown] {
        /// What the company is called.
        pub name: Option<Name>,
        /// Its name in addresses.
        pub slug: Option<Slug>,
    }
}

/// A tenant with what every tenant begins with.
#[derive(Serialize, utoipa::ToSchema)]
pub struct NewlyFounded {
    /// The tenant.
    id: String,
    name: String,
    slug: String,
    /// `active`.
    state: &'static str,
    /// Its first workspace.
    workspace_id: String,
    /// That workspace's first project.
    project_id: String,
}

/// Found a tenant: with a first workspace and project, the caller as its owner, and a Free subscription.
#[utoipa::path(tag = "tenants", responses((status = 201, body = Data<NewlyFounded>)))]
#[post("/v1/tenants")]
async fn create(once: Once, caller: SignedIn, body: Json<NewTenant>) -> Result<HttpResponse, Problem> {
    let (SignedIn { ctx, account, .. }, Json { value, text }) = (caller, body);
    let NewTenant { name, slug } = value;
    let called = name.to_string();
    let run = async |app: &App| tenants::found(&ctx, app, &account, name, slug).await;
    let founded = move |founded: &Founded, commit: &Commit<'_>| {
        let tenant = NewlyFounded {
            id: founded.tenant.to_string(),
            name: called.clone(),
            slug: founded.slug.to_string(),
            state: "active",
            workspace_id: founded.workspace.to_string(),
            project_id: founded.project.to_string(),
        };
        Ok(Data::created(tenant, format!("/v1/tenants/{}", founded.tenant)).at(commit.position()))
    };
    once.of(&ctx, &text).answer(run, founded).await
}

/// The tenant.
#[utoipa::path(tag = "tenants", params(MinPosition), responses((status = 200, body = Data<TenantRow>)))]
#[get("/v1/tenants/{tenant}")]
async fn get(
    annals: web::Data<Annals>,
    member: Member,
    fresh: Query<MinPosition>,
) -> Result<Data<TenantRow>, Problem> {
    let (row, position) = projections::tenants::get(&member.ctx, &annals.database, fresh.0.0).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}

/// Change the tenant's name or slug.
#[utoipa::path(tag = "tenants", responses((status = 200, body = Data<TenantRow>)))]
#[patch("/v1/tenants/{tenant}")]
async fn change(
    annals: web::Data<Annals>,
    member: Member,
    expected: IfMatch,
    body: Json<TenantChange>,
) -> Result<Data<TenantRow>, Problem> {
    let TenantChange { name, slug } = body.value;
    let Member { ctx } = member;
    let written = tenants::change(&ctx, &annals.app, name, slug, &expected.0).await?;
    let row = projections::tenants::after_write(&annals.database, ctx.tenant, written.position).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(written.position).sequence(sequence))
}
