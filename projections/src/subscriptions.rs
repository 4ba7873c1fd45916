//! What a tenant has subscribed to. It has one subscription.

use application::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use domain::{
    aggregate::DecodeError,
    ctx::Ctx,
    ids::{SubscriptionId, TenantId},
    permission::Permission,
    plan::{Overage, Period, Terms},
    recorded_event::RecordedEvent,
    subscriptions::SubscriptionEvent,
};
use infrastructure::{
    database::{Database, database_error},
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};

use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey, at_most_bigint, records, row, tenants},
};

/// The projection.
pub struct Subscriptions;

/// A subscription as its tenant has agreed to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubscriptionRow {
    /// Which one.
    #[schema(value_type = String, example = "sub_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: SubscriptionId,
    /// `free`, `pro` or `enterprise`.
    pub plan: String,
    /// `trialing`, `active`, `past_due`, `paused` or `canceled`.
    pub state: String,
    /// Tracked events that a billing period includes.
    pub events_per_month: u64,
    /// Members that the tenant may have.
    pub seats: u32,
    /// What happens to events past the included ones: `refused` or `billed`.
    pub overage: String,
    /// Seats that members have.
    pub seats_taken: u32,
    /// When it began: billing periods are counted from here.
    pub started_at: DateTime<Utc>,
    /// Until when it was or is tried for free; null: there was no trial.
    pub trial_ends_at: Option<DateTime<Utc>>,
    /// The sequence of its newest event.
    pub sequence: u64,
}

/// A subscription at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionNow {
    /// What was agreed.
    #[serde(flatten)]
    pub subscription: SubscriptionRow,
    /// When the current billing period began.
    pub current_period_start: DateTime<Utc>,
    /// When the next one begins.
    pub current_period_end: DateTime<Utc>,
}

impl SubscriptionRow {
    /// The subscription with its billing period at `now`.
    pub fn at(self, now: DateTime<Utc>) -> SubscriptionNow {
        let Period { start, end } = Period::containing(self.started_at, now);
        SubscriptionNow { subscription: self, current_period_start: start, current_period_end: end }
    }
}

/// What an event changes of what others show of a subscription.
pub(crate) struct Change {
    pub(crate) terms: Option<Terms>,
    pub(crate) state: Option<&'static str>,
}

impl Fold for Subscriptions {
    const NAME: &'static str = "subscriptions";
    /// There is one row in a tenant's journal.
    type Key = ();
    type Row = SubscriptionRow;

    fn key(event: &RecordedEvent) -> Result<Option<()>, FoldError> {
        Ok((event.stream.kind == "subscription").then_some(()))
    }

    fn apply(
        row: Option<SubscriptionRow>,
        event: &RecordedEvent,
    ) -> Result<Option<SubscriptionRow>, FoldError> {
        let mut row = match (row, event.decode::<SubscriptionEvent>()?) {
            (_, SubscriptionEvent::SubscriptionStarted(started)) => SubscriptionRow {
                id: started.subscription_id,
                plan: String::new(),
                state: String::new(),
                events_per_month: 0,
                seats: 0,
                overage: String::new(),
                seats_taken: 0,
                // As fine as the database keeps it: periods are counted from here.
                started_at: started.started_at.trunc_subsecs(6),
                trial_ends_at: started.trial_ends_at,
                sequence: 0,
            },
            (None, _) => return Err(FoldError::missing_row(event)),
            (Some(row), SubscriptionEvent::SeatTaken(_)) => {
                SubscriptionRow { seats_taken: row.seats_taken + 1, ..row }
            }
            (Some(row), SubscriptionEvent::SeatReleased(_)) => {
                SubscriptionRow { seats_taken: row.seats_taken.saturating_sub(1), ..row }
            }
            (Some(row), _) => row,
        };
        let change = change(event)?;
        if let Some(terms) = change.terms {
            row.plan = terms.plan.as_str().to_owned();
            row.events_per_month = at_most_bigint(terms.events_per_month);
            row.seats = terms.seats;
            row.overage = overage_name(terms.overage).to_owned();
        }
        if let Some(state) = change.state {
            row.state = state.to_owned();
        }
        Ok(Some(SubscriptionRow { sequence: event.sequence, ..row }))
    }
}

/// The terms and the state that the event of a subscription leads to, where it does.
pub(crate) fn change(event: &RecordedEvent) -> Result<Change, DecodeError> {
    use SubscriptionEvent::*;
    let (terms, state) = match event.decode::<SubscriptionEvent>()? {
        SubscriptionStarted(started) => {
            let state = if started.trial_ends_at.is_some() { "trialing" } else { "active" };
            (Some(started.terms), Some(state))
        }
        PlanChanged(changed) => (Some(changed.terms), None),
        TrialEnded(_) | SubscriptionResumed(_) | PaymentReceived(_) => (None, Some("active")),
        SubscriptionCanceled(_) => (None, Some("canceled")),
        SubscriptionPaused(_) => (None, Some("paused")),
        PaymentFailed(_) => (None, Some("past_due")),
        SeatTaken(_) | SeatReleased(_) => (None, None),
    };
    Ok(Change { terms, state })
}

fn overage_name(overage: Overage) -> &'static str {
    match overage {
        Overage::Refused => "refused",
        Overage::Billed => "billed",
    }
}

#[async_trait]
impl Table for Subscriptions {
    async fn load(
        connection: &mut PgConnection,
        keys: &[TenantKey<()>],
    ) -> Result<Vec<(TenantKey<()>, SubscriptionRow)>, Error> {
        let rows = sqlx::query!(
            r#"SELECT subscription.tenant_id, to_jsonb(subscription) AS "row!: Json<SubscriptionRow>"
               FROM subscriptions AS subscription WHERE tenant_id = ANY($1)"#,
            &tenants(keys)
        )
        .fetch_all(connection)
        .await
        .map_err(database_error)?;
        Ok(rows.into_iter().map(|row| ((row.tenant_id.into(), ()), row.row.0)).collect())
    }

    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<()>, SubscriptionRow)]) -> Result<(), Error> {
        let records = records(rows)?;
        sqlx::query!(
            "INSERT INTO subscriptions SELECT * FROM jsonb_populate_recordset(NULL::subscriptions, $1)
             ON CONFLICT (tenant_id) DO UPDATE
             SET plan = excluded.plan, state = excluded.state, events_per_month = excluded.events_per_month,
                 seats = excluded.seats, overage = excluded.overage, seats_taken = excluded.seats_taken,
                 sequence = excluded.sequence",
            records
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<()>]) -> Result<(), Error> {
        sqlx::query!("DELETE FROM subscriptions WHERE tenant_id = ANY($1)", &tenants(keys))
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }

    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        sqlx::query!("DELETE FROM subscriptions WHERE tenant_id = $1", tenant.uuid())
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }
}

/// The tenant's subscription now, with the position that the read model has seen.
pub async fn get(ctx: &Ctx, database: &Database, min_position: u64) -> Result<(SubscriptionNow, u64), Error> {
    ctx.require(Permission::BillingRead)?;
    let (mut tx, position) =
        checkpoint::begin_at(database, ctx.tenant, Subscriptions::NAME, min_position).await?;
    let subscription = of_tenant(&mut tx).await?;
    Ok((subscription.at(ctx.now), position))
}

/// The subscription of the transaction's tenant, or that there is no such resource.
pub(crate) async fn of_tenant(tx: &mut TenantTx) -> Result<SubscriptionRow, Error> {
    row::<Subscriptions>(tx, ()).await?.ok_or_else(Error::not_found)
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
