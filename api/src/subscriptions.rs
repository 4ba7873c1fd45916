//! Plans, and a tenant's subscription.

use actix_web::{HttpResponse, get, post, web};
use application::{
    app::{App, Written},
    error::Error,
    once::Commit,
    subscriptions,
};
use domain::{
    ctx::Ctx,
    ids::SubscriptionId,
    plan::{Overage, Plan, Terms},
};
use projections::{
    entity,
    subscriptions::{SubscriptionNow, Subscriptions},
};
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::{Anybody, Member},
    http::{
        answer::Data,
        body::{Json, body},
        min_position::MinPosition,
        problem::Problem,
        query::Query,
    },
    once::{Once, Request},
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(plans).service(get).service(change).service(cancel).service(resume);
}

body! {
    /// Which plan.
    pub struct PlanChange {
        /// The new plan.
        pub plan: Plan,
    }
}

/// A plan.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PlanOffer {
    /// `free`, `pro` or `enterprise`.
    id: &'static str,
    /// Tracked events that a billing period includes.
    events_per_month: u64,
    /// Members that a tenant may have.
    seats: u32,
    /// Past the included events: `refused` (a hard stop) or `billed`.
    overage: &'static str,
    /// Whether the limits are agreed one by one.
    custom: bool,
}

impl From<Terms> for PlanOffer {
    fn from(terms: Terms) -> Self {
        Self {
            id: terms.plan.as_str(),
            events_per_month: terms.events_per_month,
            seats: terms.seats,
            overage: match terms.overage {
                Overage::Refused => "refused",
                Overage::Billed => "billed",
            },
            custom: terms.plan == Plan::Enterprise,
        }
    }
}

/// The plans, the smallest first.
#[utoipa::path(tag = "billing", security(()), responses((status = 200, body = Data<Vec<PlanOffer>>)))]
#[get("/v1/plans")]
async fn plans(_: Anybody) -> Result<Data<Vec<PlanOffer>>, Problem> {
    Ok(Data::new(Plan::ALL.iter().map(|plan| plan.terms().into()).collect()))
}

/// The tenant's subscription.
#[utoipa::path(tag = "billing", params(MinPosition), responses((status = 200, body = Data<SubscriptionNow>)))]
#[get("/v1/tenants/{tenant}/subscription")]
async fn get(
    annals: web::Data<Annals>,
    member: Member,
    fresh: Query<MinPosition>,
) -> Result<Data<SubscriptionNow>, Problem> {
    read(&annals, &member, fresh.0.0).await
}

/// Change to another plan. It must have a seat for each member.
#[utoipa::path(tag = "billing", responses((status = 200, body = Data<SubscriptionNow>)))]
#[post("/v1/tenants/{tenant}/subscription/change")]
async fn change(once: Once, member: Member, body: Json<PlanChange>) -> Result<HttpResponse, Problem> {
    let (Member { ctx }, Json { value, text }) = (member, body);
    let run = async |app: &App| subscriptions::change_plan(&ctx, app, value.plan).await;
    changed(once.of(&ctx, &text), &ctx, run).await
}

/// Give the subscription up. Nothing is tracked then, and nobody can join.
#[utoipa::path(tag = "billing", responses((status = 200, body = Data<SubscriptionNow>)))]
#[post("/v1/tenants/{tenant}/subscription/cancel")]
async fn cancel(once: Once, member: Member) -> Result<HttpResponse, Problem> {
    let Member { ctx } = member;
    changed(once.of(&ctx, b""), &ctx, async |app: &App| subscriptions::cancel(&ctx, app).await).await
}

/// Take the subscription up again.
#[utoipa::path(tag = "billing", responses((status = 200, body = Data<SubscriptionNow>)))]
#[post("/v1/tenants/{tenant}/subscription/resume")]
async fn resume(once: Once, member: Member) -> Result<HttpResponse, Problem> {
    let Member { ctx } = member;
    changed(once.of(&ctx, b""), &ctx, async |app: &App| subscriptions::resume(&ctx, app).await).await
}

async fn read(annals: &Annals, member: &Member, min_position: u64) -> Result<Data<SubscriptionNow>, Problem> {
    let (row, position) =
        projections::subscriptions::get(&member.ctx, &annals.database, min_position).await?;
    let sequence = row.subscription.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}

/// The subscription straight from its stream: what was written is answered even if the read model is behind.
async fn changed(
    request: Request<'_>,
    ctx: &Ctx,
    run: impl AsyncFnOnce(&App) -> Result<Written<()>, Error>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (SubscriptionId::of(ctx.tenant), ctx.now);
    let changed = move |(): &(), commit: &Commit<'_>| {
        let row = entity::of_commit::<Subscriptions>(commit, id)?;
        let sequence = row.sequence;
        Ok(Data::new(row.at(now)).at(commit.position()).sequence(sequence))
    };
    request.showing(id).answer(run, changed).await
}
