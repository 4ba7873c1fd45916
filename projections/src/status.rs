//! How far the projections are, tenant by tenant, as administrators see it.

use std::collections::HashMap;

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{ctx::Ctx, ids::TenantId};
use infrastructure::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ALL,
    page::{Page, PageRequest},
};

/// For how many tenants of a page at most it is looked up since when they lag: each takes a transaction of its own.
const DATED_TENANTS: usize = 50;

/// Which tenants are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All.
    All,
    /// Those for which some projection lags or fails.
    Behind,
}

/// How far the projections of one tenant are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TenantStatus {
    /// Whose.
    #[schema(value_type = String, example = "ten_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub tenant_id: TenantId,
    /// The position of the journal's newest event.
    pub head: u64,
    /// Each projection.
    pub projections: Vec<ProjectionStatus>,
}

/// How far one projection of one tenant is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProjectionStatus {
    /// Which.
    pub name: String,
    /// The position of the newest event that it has taken in.
    pub position: u64,
    /// How many events it has still to take in.
    pub lag_events: u64,
    /// How old the oldest of those is; null if there is none, or if too many tenants lag for it to be looked up.
    pub lag_seconds: Option<f64>,
    /// What the last try failed with, if it did.
    pub error: Option<String>,
}

/// The projections tenant by tenant, for the platform's administrators: the caller has checked that the actor is one.
/// The pages' key is the tenant; their position is 0, because they are of many journals.
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    which: Which,
    page: PageRequest<TenantId>,
) -> Result<Page<TenantStatus, TenantId>, Error> {
    if ctx.tenant != TenantId::PLATFORM {
        return Err(Error::internal("all projections are listed in the platform's context only"));
    }
    let mut tx = TenantTx::begin(database, ctx.tenant).await?;
    let heads = heads(&mut tx, which, &page).await?;
    let mut tenants = statuses(&mut tx, &heads).await?;
    drop(tx);
    let behind =
        tenants.iter_mut().filter(|tenant| tenant.projections.iter().any(|each| each.lag_events > 0));
    for tenant in behind.take(DATED_TENANTS) {
        date(ctx.now, database, tenant).await?;
    }
    Ok(page.page(tenants, 0, |tenant| tenant.tenant_id))
}

struct Head {
    tenant_id: Uuid,
    position: i64,
}

async fn heads(tx: &mut TenantTx, which: Which, page: &PageRequest<TenantId>) -> Result<Vec<Head>, Error> {
    sqlx::query_as!(
        Head,
        r#"SELECT tenant_id, position FROM journal_heads AS head
           WHERE position > 0 AND ($1::uuid IS NULL OR tenant_id > $1)
             AND ($2 OR EXISTS (
                 SELECT FROM unnest($3::text[]) AS wanted (name)
                 LEFT JOIN projection_positions AS checkpoint
                     ON checkpoint.tenant_id = head.tenant_id AND checkpoint.projection = wanted.name
                 WHERE coalesce(checkpoint.position, 0) < head.position OR checkpoint.error IS NOT NULL
             ))
           ORDER BY tenant_id LIMIT $4"#,
        page.after.map(TenantId::uuid),
        which == Which::All,
        &names(),
        page.fetch()
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)
}

async fn statuses(tx: &mut TenantTx, heads: &[Head]) -> Result<Vec<TenantStatus>, Error> {
    let tenants: Vec<Uuid> = heads.iter().map(|head| head.tenant_id).collect();
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", projection AS "projection!", position AS "position!", error
           FROM projection_positions WHERE tenant_id = ANY($1)"#,
        &tenants
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let mut checkpoints: HashMap<(Uuid, String), (u64, Option<String>)> = rows
        .into_iter()
        .map(|row| ((row.tenant_id, row.projection), (row.position as u64, row.error)))
        .collect();
    let mut status = |head: &Head, name: String| {
        let (position, error) = checkpoints.remove(&(head.tenant_id, name.clone())).unwrap_or_default();
        let lag_events = (head.position as u64).saturating_sub(position);
        ProjectionStatus { name, position, lag_events, lag_seconds: None, error }
    };
    let status = |head: &Head| TenantStatus {
        tenant_id: head.tenant_id.into(),
        head: head.position as u64,
        projections: names().into_iter().map(|name| status(head, name)).collect(),
    };
    Ok(heads.iter().map(status).collect())
}

/// Finds out since when a tenant's projections lag.
async fn date(now: DateTime<Utc>, database: &Database, tenant: &mut TenantStatus) -> Result<(), Error> {
    let lagging = tenant.projections.iter_mut().filter(|projection| projection.lag_events > 0);
    let lagging: Vec<_> = lagging.collect();
    let next: Vec<i64> = lagging.iter().map(|projection| projection.position as i64 + 1).collect();
    let since = recorded_at(database, tenant.tenant_id, &next).await?;
    for projection in lagging {
        projection.lag_seconds = since.get(&(projection.position + 1)).map(|since| seconds(now, *since));
    }
    Ok(())
}

/// When the events at `positions` were recorded.
async fn recorded_at(
    database: &Database,
    tenant: TenantId,
    positions: &[i64],
) -> Result<HashMap<u64, DateTime<Utc>>, Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    let rows = sqlx::query!(
        "SELECT position, recorded_at FROM events WHERE tenant_id = $1 AND position = ANY($2)",
        tenant.uuid(),
        positions
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(rows.into_iter().map(|row| (row.position as u64, row.recorded_at)).collect())
}

pub(crate) fn names() -> Vec<String> {
    ALL.iter().map(|projection| projection.name().to_owned()).collect()
}

pub(crate) fn seconds(now: DateTime<Utc>, since: DateTime<Utc>) -> f64 {
    (now - since).num_milliseconds().max(0) as f64 / 1_000.0
}
