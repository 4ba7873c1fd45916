//! What a tenant has used.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use projections::{
    billing::CurrentUsage,
    usage::{GroupBy, Interval, UsagePoint, UsageSeries},
};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::Data,
        min_position::MinPosition,
        problem::Problem,
        query::{Query, query},
    },
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(series).service(current);
}

query! {
    /// Which series.
    pub struct UsageQuery {
        /// From when on; to the full hour.
        pub from: DateTime<Utc>,
        /// Until when, exclusive; to the full hour. By default now.
        pub to: Option<DateTime<Utc>>,
        /// `hour`, `day` (the default) or `month`, in UTC.
        pub interval: Option<Interval>,
        /// Broken down by `event` or by `project`.
        pub group_by: Option<GroupBy>,
        /// Wait until the answer has seen this position: 5 seconds at most.
        pub min_position: MinPosition,
    }
}

/// How many events happened when, by their own time. Buckets in which nothing happened are left out.
#[utoipa::path(tag = "billing", params(UsageQuery), responses((status = 200, body = Data<Vec<UsagePoint>>)))]
#[get("/v1/tenants/{tenant}/usage")]
async fn series(
    annals: web::Data<Annals>,
    member: Member,
    query: Query<UsageQuery>,
) -> Result<Data<Vec<UsagePoint>>, Problem> {
    let UsageQuery { from, to, interval, group_by, min_position } = query.0;
    let series = UsageSeries {
        from,
        to: to.unwrap_or(member.ctx.now),
        interval: interval.unwrap_or(Interval::Day),
        group_by,
    };
    let (points, position) =
        projections::usage::series(&member.ctx, &annals.database, series, min_position.0).await?;
    Ok(Data::new(points).at(position))
}

/// The billing period so far, by the time at which events were recorded.
#[utoipa::path(tag = "billing", params(MinPosition), responses((status = 200, body = Data<CurrentUsage>)))]
#[get("/v1/tenants/{tenant}/usage/current")]
async fn current(
    annals: web::Data<Annals>,
    member: Member,
    fresh: Query<MinPosition>,
) -> Result<Data<CurrentUsage>, Problem> {
    let (usage, position) = projections::billing::current(&member.ctx, &annals.database, fresh.0.0).await?;
    Ok(Data::new(usage).at(position))
}
