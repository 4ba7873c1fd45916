//! How far behind each projection is over all tenants, as metrics and administrators see it.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::ids::TenantId;
use infrastructure::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};

use crate::status::{names, recorded_at, seconds};

/// How far one projection is, over all tenants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProjectionLag {
    /// Which.
    pub name: String,
    /// How many tenants it lags for.
    pub tenants_behind: u64,
    /// How many tenants it fails for.
    pub tenants_failing: u64,
    /// How many events it has still to take in for the tenant that it lags most for.
    pub lag_events: u64,
    /// How old the oldest of those is; 0 if there is none.
    pub lag_seconds: f64,
}

/// Tenants for which the same projections stand together.
struct Alike {
    projections: Vec<String>,
    tenants: u64,
    behind: u64,
    failing: u64,
    /// The one of them for which they are furthest behind, if they are.
    furthest: Option<Furthest>,
}

/// A tenant that a projection is behind for.
#[derive(Clone, Copy)]
struct Furthest {
    tenant: TenantId,
    /// Where the projection stands.
    position: u64,
    events: u64,
}

/// Each projection over all tenants.
pub async fn by_projection(database: &Database, now: DateTime<Utc>) -> Result<Vec<ProjectionLag>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let (tenants, standings) = (journals(&mut tx).await?, alike(&mut tx).await?);
    let mut lags = Vec::new();
    for name in names() {
        let of: Vec<&Alike> = standings.iter().filter(|alike| alike.projections.contains(&name)).collect();
        let sum = |count: fn(&Alike) -> u64| of.iter().map(|alike| count(alike)).sum::<u64>();
        let (mut behind, failing) = (sum(|alike| alike.behind), sum(|alike| alike.failing));
        let mut furthest: Vec<Furthest> = of.iter().filter_map(|alike| alike.furthest).collect();
        if sum(|alike| alike.tenants) < tenants {
            let (unbegun, longest) = unbegun(&mut tx, &name).await?;
            behind += unbegun;
            furthest.extend(longest);
        }
        let furthest = furthest.into_iter().max_by_key(|furthest| furthest.events);
        lags.push((name, behind, failing, furthest));
    }
    drop(tx);
    let mut dated = Vec::with_capacity(lags.len());
    for (name, tenants_behind, tenants_failing, furthest) in lags {
        let since = match furthest {
            Some(Furthest { tenant, position, .. }) => {
                recorded_at(database, tenant, &[position as i64 + 1]).await?.into_values().next()
            }
            None => None,
        };
        dated.push(ProjectionLag {
            name,
            tenants_behind,
            tenants_failing,
            lag_events: furthest.map_or(0, |furthest| furthest.events),
            lag_seconds: since.map_or(0.0, |since| seconds(now, since)),
        });
    }
    Ok(dated)
}

/// How many journals have events.
async fn journals(tx: &mut TenantTx) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM journal_heads WHERE position > 0"#);
    Ok(count.fetch_one(&mut **tx).await.map_err(database_error)? as u64)
}

/// How the tenants' projections stand: there are as many rows as ways to stand together, and mostly all stand alike.
async fn alike(tx: &mut TenantTx) -> Result<Vec<Alike>, Error> {
    let rows = sqlx::query!(
        r#"WITH standing AS MATERIALIZED (
               SELECT tenant_id, projections, checkpoint.position, error,
                      greatest(head.position - checkpoint.position, 0) AS lag
               FROM journal_heads AS head JOIN projection_checkpoints AS checkpoint USING (tenant_id)
               WHERE head.position > 0
           ), alike AS (
               SELECT projections, count(*) AS tenants, count(*) FILTER (WHERE lag > 0) AS behind,
                      count(error) AS failing
               FROM standing GROUP BY projections
           ), furthest AS (
               SELECT DISTINCT ON (projections) projections, tenant_id, position, lag
               FROM standing WHERE lag > 0 ORDER BY projections, lag DESC
           )
           SELECT projections AS "projections!", tenants AS "tenants!", behind AS "behind!", failing AS "failing!",
                  tenant_id AS "tenant_id?", position AS "position?", lag AS "lag?"
           FROM alike LEFT JOIN furthest USING (projections)"#
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let alike =
        rows.into_iter().map(|row| Alike {
            projections: row.projections,
            tenants: row.tenants as u64,
            behind: row.behind as u64,
            failing: row.failing as u64,
            furthest: row.tenant_id.zip(row.position).zip(row.lag).map(|((tenant, position), lag)| {
                Furthest { tenant: tenant.into(), position: position as u64, events: lag as u64 }
            }),
        });
    Ok(alike.collect())
}

/// How many tenants a projection has not begun with, and the one of them that has the longest journal.
async fn unbegun(tx: &mut TenantTx, projection: &str) -> Result<(u64, Option<Furthest>), Error> {
    let row = sqlx::query!(
        r#"SELECT tenant_id, position, count(*) OVER () AS "count!"
           FROM journal_heads AS head
           WHERE position > 0 AND NOT EXISTS (
               SELECT FROM projection_checkpoints AS checkpoint
               WHERE checkpoint.tenant_id = head.tenant_id AND $1 = ANY (checkpoint.projections)
           )
           ORDER BY position DESC LIMIT 1"#,
        projection
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(database_error)?;
    let furthest = row.as_ref().map(|row| Furthest {
        tenant: row.tenant_id.into(),
        position: 0,
        events: row.position as u64,
    });
    Ok((row.map_or(0, |row| row.count as u64), furthest))
}
