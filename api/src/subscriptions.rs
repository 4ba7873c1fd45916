//! Plans, and a tenant's subscription.

use actix_web::{get, post, web};
use application::subscriptions;
use domain::{
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
async fn change(
    annals: web::Data<Annals>,
    member: Member,
    body: Json<PlanChange>,
) -> Result<Data<SubscriptionNow>, Problem> {
    let written = subscriptions::change_plan(&member.ctx, &annals.app, body.value.plan).await?;
    changed(&annals, &member, written.position).await
}

/// Give the subscription up. Nothing is tracked then, and nobody can join.
#[utoipa::path(tag = "billing", responses((status = 200, body = Data<SubscriptionNow>)))]
#[post("/v1/tenants/{tenant}/subscription/cancel")]
async fn cancel(annals: web::Data<Annals>, member: Member) -> Result<Data<SubscriptionNow>, Problem> {
    let written = subscriptions::cancel(&member.ctx, &annals.app).await?;
    changed(&annals, &member, written.position).await
}

/// Take the subscription up again.
#[utoipa::path(tag = "billing", responses((status = 200, body = Data<SubscriptionNow>)))]
#[post("/v1/tenants/{tenant}/subscription/resume")]
async fn resume(annals: web::Data<Annals>, member: Member) -> Result<Data<SubscriptionNow>, Problem> {
    let written = subscriptions::resume(&member.ctx, &annals.app).await?;
    changed(&annals, &member, written.position).await
}

async fn read(annals: &Annals, member: &Member, min_position: u64) -> Result<Data<SubscriptionNow>, Problem> {
    let (row, position) =
        projections::subscriptions::get(&member.ctx, &annals.database, min_position).await?;
    let sequence = row.subscription.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}

/// The subscription straight from its stream: what was written is answered even if the read model is behind.
async fn changed(annals: &Annals, member: &Member, position: u64) -> Result<Data<SubscriptionNow>, Problem> {
    let ctx = &member.ctx;
    let id = SubscriptionId::of(ctx.tenant);
    let row = entity::of_stream::<Subscriptions>(&annals.database, ctx.tenant, id).await?;
    let sequence = row.sequence;
    Ok(Data::new(row.at(ctx.now)).at(position).sequence(sequence))
}
