//! What each billing period of a tenant has taken and refused.

use application::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use domain::{
    ctx::Ctx, ids::TenantId, meters::MeterEvent, permission::Permission, plan::Period,
    recorded_event::RecordedEvent,
};
use infrastructure::{
    database::{Database, database_error},
    projecting_tx::ProjectingTx,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};

use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey, at_most_bigint, records, row, tenants},
    subscriptions::{self, SubscriptionRow, Subscriptions},
};

/// The projection.
pub struct Billing;

/// What a billing period has counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BillingPeriod)]
pub struct BillingRow {
    /// When it began.
    pub period_start: DateTime<Utc>,
    /// When the next one begins.
    pub period_end: DateTime<Utc>,
    /// Tracked events that were taken.
    pub admitted: u64,
    /// Tracked events that were refused because the period was full.
    pub refused: u64,
}

/// How much of the current billing period is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CurrentUsage {
    /// When the period began.
    pub period_start: DateTime<Utc>,
    /// When the next one begins.
    pub period_end: DateTime<Utc>,
    /// `free`, `pro` or `enterprise`.
    pub plan: String,
    /// Tracked events taken in the period, by the time of recording.
    pub used: u64,
    /// Tracked events that the plan includes in a period.
    pub limit: u64,
    /// Tracked events taken beyond that.
    pub overage: u64,
    /// Used, of the limit, in per cent with two decimals; above 100 with an overage.
    #[schema(example = 69.66)]
    pub percentage: f64,
    /// Tracked events refused in the period because it was full.
    pub refused: u64,
}

impl Fold for Billing {
    const NAME: &'static str = "billing";
    /// The start of a period.
    type Key = DateTime<Utc>;
    type Row = BillingRow;

    fn key(event: &RecordedEvent) -> Result<Option<DateTime<Utc>>, FoldError> {
        if event.stream.kind != "meter" {
            return Ok(None);
        }
        Ok(Some(counted(event)?.period_start))
    }

    fn apply(row: Option<BillingRow>, event: &RecordedEvent) -> Result<Option<BillingRow>, FoldError> {
        let counted = counted(event)?;
        let row = row.unwrap_or(BillingRow { admitted: 0, refused: 0, ..counted });
        Ok(Some(BillingRow {
            admitted: at_most_bigint(row.admitted.saturating_add(counted.admitted)),
            refused: at_most_bigint(row.refused.saturating_add(counted.refused)),
            ..row
        }))
    }
}

/// What one event of a meter counts.
fn counted(event: &RecordedEvent) -> Result<BillingRow, FoldError> {
    let (period, admitted, refused) = match event.decode::<MeterEvent>()? {
        MeterEvent::UsageAdmitted(usage) => (usage.period, usage.count, 0),
        MeterEvent::UsageRefused(usage) => (usage.period, 0, usage.count),
    };
    // As fine as the database keeps it, so that a period in a row is the period in an event.
    let (period_start, period_end) = (period.start.trunc_subsecs(6), period.end.trunc_subsecs(6));
    Ok(BillingRow { period_start, period_end, admitted, refused })
}

#[async_trait]
impl Table for Billing {
    async fn load(
        connection: &mut PgConnection,
        keys: &[TenantKey<DateTime<Utc>>],
    ) -> Result<Vec<(TenantKey<DateTime<Utc>>, BillingRow)>, Error> {
        let starts: Vec<DateTime<Utc>> = keys.iter().map(|(_, start)| *start).collect();
        let rows = sqlx::query!(
            r#"SELECT wanted.tenant_id AS "tenant_id!", to_jsonb(period) AS "row!: Json<BillingRow>"
               FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (tenant_id, period_start)
               CROSS JOIN LATERAL (
                   SELECT * FROM billing
                   WHERE tenant_id = wanted.tenant_id AND period_start = wanted.period_start OFFSET 0
               ) AS period"#,
            &tenants(keys),
            &starts
        )
        .fetch_all(connection)
        .await
        .map_err(database_error)?;
        Ok(rows.into_iter().map(|row| ((row.tenant_id.into(), row.row.period_start), row.row.0)).collect())
    }

    async fn save(
        tx: &mut ProjectingTx,
        rows: &[(TenantKey<DateTime<Utc>>, BillingRow)],
    ) -> Result<(), Error> {
        let records = records(rows)?;
        sqlx::query!(
            "INSERT INTO billing SELECT * FROM jsonb_populate_recordset(NULL::billing, $1)
             ON CONFLICT (tenant_id, period_start) DO UPDATE
             SET admitted = excluded.admitted, refused = excluded.refused",
            records
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<DateTime<Utc>>]) -> Result<(), Error> {
        let starts: Vec<DateTime<Utc>> = keys.iter().map(|(_, start)| *start).collect();
        sqlx::query!(
            "DELETE FROM billing WHERE (tenant_id, period_start) IN (
                 SELECT * FROM unnest($1::uuid[], $2::timestamptz[])
             )",
            &tenants(keys),
            &starts
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        sqlx::query!("DELETE FROM billing WHERE tenant_id = $1", tenant.uuid())
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }
}

/// How much of the billing period of now is used, with the position that the read models have seen.
pub async fn current(
    ctx: &Ctx,
    database: &Database,
    min_position: u64,
) -> Result<(CurrentUsage, u64), Error> {
    ctx.require(Permission::UsageRead)?;
    let projections = [Billing::NAME, Subscriptions::NAME];
    let (mut tx, position) =
        checkpoint::begin_at_all(database, ctx.tenant, &projections, min_position).await?;
    let subscription = subscriptions::of_tenant(&mut tx).await?;
    let period = Period::containing(subscription.started_at, ctx.now);
    let counted = row::<Billing>(&mut tx, period.start).await?;
    Ok((usage_of(&subscription, period, counted), position))
}

fn usage_of(subscription: &SubscriptionRow, period: Period, counted: Option<BillingRow>) -> CurrentUsage {
    let (used, refused) = counted.map_or((0, 0), |row| (row.admitted, row.refused));
    let limit = subscription.events_per_month;
    CurrentUsage {
        period_start: period.start,
        period_end: period.end,
        plan: subscription.plan.clone(),
        used,
        limit,
        overage: used.saturating_sub(limit),
        percentage: percentage(used, limit),
        refused,
    }
}

fn percentage(used: u64, limit: u64) -> f64 {
    match (used, limit) {
        (0, _) => 0.0,
        (_, 0) => 100.0,
        // In whole hundredths, so that it never has more than two decimals.
        _ => (used as f64 * 10_000.0 / limit as f64).round() / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        ids::MeterId,
        meters::{UsageAdmitted, UsageRefused},
    };

    use super::*;
    use crate::story::{Story, rows, time};

    fn period(month: u32) -> Period {
        let start = time(&format!("2026-{month:02}-01T00:00:00Z"));
        Period::containing(start, start)
    }

    #[test]
    fn each_period_counts_what_was_taken_and_refused() {
        let mut story = Story::new();
        let id = MeterId::of(story.tenant);
        story.tell("meter", id, UsageAdmitted { period: period(1), count: 400 });
        story.tell("meter", id, UsageAdmitted { period: period(1), count: 100 });
        story.tell("meter", id, UsageRefused { period: period(1), count: 7 });
        story.tell("meter", id, UsageAdmitted { period: period(2), count: 3 });
        let rows = rows::<Billing>(&story);
        let january = &rows[&period(1).start];
        assert_eq!((january.admitted, january.refused), (500, 7));
        assert_eq!(january.period_end, period(2).start);
        assert_eq!(rows[&period(2).start].admitted, 3);
    }

    #[test]
    fn more_than_the_table_can_hold_is_the_most_it_can() {
        let mut story = Story::new();
        let id = MeterId::of(story.tenant);
        story.tell("meter", id, UsageAdmitted { period: period(1), count: u64::MAX });
        story.tell("meter", id, UsageRefused { period: period(1), count: i64::MAX as u64 });
        story.tell("meter", id, UsageRefused { period: period(1), count: 1 });
        let january = &rows::<Billing>(&story)[&period(1).start];
        assert_eq!((january.admitted, january.refused), (i64::MAX as u64, i64::MAX as u64));
    }

    #[test]
    fn percentages_have_two_decimals_and_survive_a_limit_of_nothing() {
        assert_eq!(percentage(69_659, 100_000), 69.66);
        assert_eq!(percentage(150, 100), 150.0);
        assert_eq!((percentage(0, 0), percentage(5, 0)), (0.0, 100.0));
    }
}
