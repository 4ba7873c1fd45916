//! For administrators of the installation.

use actix_web::{HttpResponse, get, post, web};
use application::{administration, app::App, once::Commit};
use domain::{
    ids::{JobId, TenantId},
    invalid::Invalid,
    plan::{Plan, Terms},
    text::Name,
};
use infrastructure::tenant_tx::TenantTx;
use projections::{
    jobs::FailedJob,
    status::{TenantStatus, Which},
    tenants::TenantRow,
};
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::Administrator,
    http::{
        answer::{Data, List},
        body::{Json, body},
        listing::Listing,
        path::Ids,
        problem::Problem,
        query::{Query, query},
    },
    once::Once,
};

/// The most tracked events that can be agreed for a month.
const MOST_EVENTS: u64 = 1_000_000_000_000;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(list_tenants)
        .service(freeze)
        .service(unfreeze)
        .service(set_plan)
        .service(list_projections)
        .service(rebuild)
        .service(failed_jobs);
}

body! {
    /// Why a tenant is frozen.
    pub struct Freezing {
        /// The reason; the tenant's owners can read it.
        pub reason: Name,
    }
}

body! {
    /// What was agreed with a tenant.
    pub struct AgreedPlan [deny_unknown] {
        /// The plan.
        pub plan: Plan,
        /// Tracked events that a billing period includes; by default the plan's.
        pub events_per_month: Option<u64>,
        /// Members that the tenant may have; by default the plan's.
        pub seats: Option<u32>,
    }
}

body! {
    /// Which journal to replay.
    pub struct RebuildRequest [known_or_none] {
        /// Only this tenant's; by default all.
        pub tenant_id: Option<TenantId>,
    }
}

query! {
    /// Which projections to show.
    pub struct ProjectionFilter {
        /// Only tenants that some projection lags or fails for.
        pub behind: Option<bool>,
    }
}

/// Work that will be done.
#[derive(Serialize, utoipa::ToSchema)]
pub struct QueuedJob {
    /// Which job.
    job_id: String,
    /// `queued`.
    status: &'static str,
}

impl QueuedJob {
    pub(crate) fn of(job_id: JobId) -> Self {
        Self { job_id: job_id.to_string(), status: "queued" }
    }
}

/// All tenants, the newest first.
#[utoipa::path(tag = "admin", params(Listing<(), TenantId>), responses((status = 200, body = List<TenantRow>)))]
#[get("/v1/admin/tenants")]
async fn list_tenants(
    annals: web::Data<Annals>,
    caller: Administrator,
    listing: Query<Listing<(), TenantId>>,
) -> Result<List<TenantRow>, Problem> {
    let Query(listing) = listing;
    let page = projections::tenants::list_all(&caller.ctx, &annals.database, listing.page()).await?;
    Ok(listing.answer(page))
}

/// Freeze a tenant: nobody changes anything in it, and only its owners look.
#[utoipa::path(tag = "admin", responses((status = 200, body = Data<TenantRow>)))]
#[post("/v1/admin/tenants/{tenant}/freeze")]
async fn freeze(
    once: Once,
    annals: web::Data<Annals>,
    caller: Administrator,
    ids: Ids<TenantId>,
    body: Json<Freezing>,
) -> Result<HttpResponse, Problem> {
    let (ctx, Json { value, text }) = (caller.of_tenant(ids.0), body);
    let run = async |app: &App| administration::freeze(&ctx, app, value.reason.to_string()).await;
    once.of(&ctx, &text).answer(run, changed(&annals, ids.0).await?).await
}

/// Unfreeze a tenant.
#[utoipa::path(tag = "admin", responses((status = 200, body = Data<TenantRow>)))]
#[post("/v1/admin/tenants/{tenant}/unfreeze")]
async fn unfreeze(
    once: Once,
    annals: web::Data<Annals>,
    caller: Administrator,
    ids: Ids<TenantId>,
) -> Result<HttpResponse, Problem> {
    let ctx = caller.of_tenant(ids.0);
    let run = async |app: &App| administration::unfreeze(&ctx, app).await;
    once.of(&ctx, b"").answer(run, changed(&annals, ids.0).await?).await
}

/// Agree on a plan with a tenant, and on other limits than the plan's.
#[utoipa::path(tag = "admin", responses((status = 200, body = Data<TenantRow>)))]
#[post("/v1/admin/tenants/{tenant}/plan")]
async fn set_plan(
    once: Once,
    annals: web::Data<Annals>,
    caller: Administrator,
    ids: Ids<TenantId>,
    body: Json<AgreedPlan>,
) -> Result<HttpResponse, Problem> {
    let (ctx, Json { value, text }) = (caller.of_tenant(ids.0), body);
    let AgreedPlan { plan, events_per_month, seats } = value;
    if events_per_month.is_some_and(|events| events > MOST_EVENTS) {
        let rule = format!("must be at most {MOST_EVENTS}");
        return Err(Problem::field("/events_per_month", Invalid::new("out_of_range", rule)));
    }
    let usual = plan.terms();
    let terms = Terms {
        events_per_month: events_per_month.unwrap_or(usual.events_per_month),
        seats: seats.unwrap_or(usual.seats),
        ..usual
    };
    let run = async |app: &App| administration::set_terms(&ctx, app, terms).await;
    once.of(&ctx, &text).answer(run, changed(&annals, ids.0).await?).await
}

/// How far each projection of each tenant has come.
#[utoipa::path(tag = "admin", params(Listing<ProjectionFilter, TenantId>), responses((status = 200, body = List<TenantStatus>)))]
#[get("/v1/admin/projections")]
async fn list_projections(
    annals: web::Data<Annals>,
    caller: Administrator,
    listing: Query<Listing<ProjectionFilter, TenantId>>,
) -> Result<List<TenantStatus>, Problem> {
    let Query(listing) = listing;
    let which = if listing.filter.behind == Some(true) { Which::Behind } else { Which::All };
    let page = projections::status::list(&caller.ctx, &annals.database, which, listing.page()).await?;
    Ok(listing.answer(page))
}

/// Replay journals into a projection. Readers see the old rows until the new ones are complete.
#[utoipa::path(tag = "admin", responses((status = 202, body = Data<QueuedJob>)))]
#[post("/v1/admin/projections/{projection}/rebuild")]
async fn rebuild(
    once: Once,
    annals: web::Data<Annals>,
    caller: Administrator,
    projection: Ids<String>,
    body: Json<RebuildRequest>,
) -> Result<HttpResponse, Problem> {
    let (Ids(projection), Json { value, text }) = (projection, body);
    let run = async |tx: &mut TenantTx| {
        projections::rebuild_job::queue(&annals.database, tx, &projection, value.tenant_id).await
    };
    let queued = |job_id: &JobId| Data::accepted(QueuedJob::of(*job_id));
    once.of(&caller.ctx, &text).answer_in_tx(run, queued).await
}

/// Jobs whose last try has failed, those that have failed for good included.
#[utoipa::path(tag = "admin", params(Listing<(), u64>), responses((status = 200, body = List<FailedJob>)))]
#[get("/v1/admin/jobs/failed")]
async fn failed_jobs(
    annals: web::Data<Annals>,
    caller: Administrator,
    listing: Query<Listing<(), u64>>,
) -> Result<List<FailedJob>, Problem> {
    let Query(listing) = listing;
    let page = projections::jobs::failed(&caller.ctx, &annals.database, listing.page()).await?;
    Ok(listing.answer(page))
}

/// What tells the tenant after a change: as the directory had it before, with what was committed.
async fn changed(
    annals: &Annals,
    tenant: TenantId,
) -> Result<impl Fn(&(), &Commit<'_>) -> Result<Data<TenantRow>, Problem> + use<>, Problem> {
    let before = projections::tenants::before_write(&annals.database, tenant).await?;
    Ok(move |(): &(), commit: &Commit<'_>| {
        let row = projections::tenants::with(before.clone(), commit.recording)?;
        let sequence = row.sequence;
        Ok(Data::new(row).at(commit.position()).sequence(sequence))
    })
}
