//! How far behind each projection is over all tenants, as metrics and administrators see it.

use std::collections::HashMap;

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::ids::TenantId;
use infrastructure::{
    database::{Database, database_error},
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::status::{names, seconds};

/// Of how many tenants for which the same projections stand together it is looked up since when they lag: those that have
/// got nothing for longest, and the one that has most to be taken in.
const DATED: i64 = 100;

/// How far one projection is, over all tenants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProjectionLag {
    /// Which.
    pub name: String,
    /// How many tenants it lags for.
    pub tenants_behind: u64,
    /// How many tenants it fails for.
    pub tenants_failing: u64,
    /// How many events it has still to take in for the tenant that it has most to take in for.
    pub lag_events: u64,
    /// How old the oldest event is that it has still to take in, of whatever tenant; 0 if there is none.
    pub lag_seconds: f64,
}

/// A tenant for which projections that stand together lag or fail, and how many there are for which the same do.
struct Standing {
    projections: Vec<String>,
    tenant_id: Uuid,
    position: i64,
    behind: i64,
    failing: i64,
    lag: i64,
}

/// Each projection over all tenants.
pub async fn by_projection(database: &Database, now: DateTime<Utc>) -> Result<Vec<ProjectionLag>, Error> {
    let standings = standings(database).await?;
    let since = since(database, &standings).await?;
    let lag = |name: String| {
        let of: Vec<&Standing> =
            standings.iter().filter(|standing| standing.projections.contains(&name)).collect();
        // What is counted is the same in all rows of those that stand together.
        let groups: HashMap<&[String], &&Standing> =
            of.iter().map(|standing| (standing.projections.as_slice(), standing)).collect();
        let sum = |count: fn(&Standing) -> i64| groups.values().map(|standing| count(standing)).sum::<i64>();
        let since =
            of.iter().filter_map(|standing| since.get(&(standing.tenant_id, standing.position))).min();
        ProjectionLag {
            tenants_behind: sum(|standing| standing.behind) as u64,
            tenants_failing: sum(|standing| standing.failing) as u64,
            lag_events: of.iter().map(|standing| standing.lag).max().unwrap_or(0) as u64,
            lag_seconds: since.map_or(0.0, |since| seconds(now, *since)),
            name,
        }
    };
    Ok(names().into_iter().map(lag).collect())
}

/// Where projections that lag or fail stand. One that has not begun stands with the others that have not, at 0.
async fn standings(database: &Database) -> Result<Vec<Standing>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    sqlx::query_as!(
        Standing,
        r#"WITH head AS (
               SELECT tenant_id, position, recorded_at FROM journal_heads WHERE position > 0
           ), begun AS (
               SELECT tenant_id, count(*) AS names
               FROM projection_checkpoints, unnest(projections) AS name WHERE name = ANY ($1) GROUP BY tenant_id
           ), standing AS (
               SELECT tenant_id, projections, checkpoint.position, error, recorded_at,
                      greatest(head.position - checkpoint.position, 0) AS lag
               FROM head JOIN projection_checkpoints AS checkpoint USING (tenant_id)
               UNION ALL
               SELECT tenant_id, ARRAY(
                          SELECT name FROM unnest($1) AS name
                          EXCEPT SELECT projection FROM projection_positions WHERE tenant_id = head.tenant_id
                          ORDER BY 1
                      ), 0, NULL, recorded_at, position
               FROM head LEFT JOIN begun USING (tenant_id) WHERE coalesce(names, 0) < cardinality($1)
           ), troubled AS (
               SELECT projections, tenant_id, position,
                      count(*) FILTER (WHERE standing.lag > 0) OVER alike AS behind,
                      count(error) OVER alike AS failing, max(standing.lag) OVER alike AS lag,
                      row_number() OVER (alike ORDER BY standing.lag = 0, recorded_at) AS by_age,
                      row_number() OVER (alike ORDER BY standing.lag DESC) AS by_lag
               FROM standing WHERE standing.lag > 0 OR error IS NOT NULL
               WINDOW alike AS (PARTITION BY projections)
           )
           SELECT projections AS "projections!", tenant_id AS "tenant_id!", position AS "position!",
                  behind AS "behind!", failing AS "failing!", lag AS "lag!"
           FROM troubled WHERE by_age <= $2 OR by_lag = 1"#,
        &names(),
        DATED
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)
}

/// When the events were recorded that are next after these tenants' positions.
async fn since(
    database: &Database,
    standings: &[Standing],
) -> Result<HashMap<(Uuid, i64), DateTime<Utc>>, Error> {
    let tenants: Vec<Uuid> = standings.iter().map(|standing| standing.tenant_id).collect();
    let positions: Vec<i64> = standings.iter().map(|standing| standing.position).collect();
    if tenants.is_empty() {
        return Ok(HashMap::new());
    }
    let named = tenants.iter().copied().map(TenantId::from).collect();
    let mut tx = ProjectingTx::begin(database, named).await?;
    let rows = sqlx::query!(
        r#"SELECT asked.tenant_id AS "tenant_id!", asked.position AS "position!", next.recorded_at
           FROM unnest($1::uuid[], $2::bigint[]) AS asked (tenant_id, position)
           CROSS JOIN LATERAL (SELECT asked.position + 1 AS position OFFSET 0) AS following
           CROSS JOIN LATERAL (
               SELECT recorded_at FROM events
               WHERE tenant_id = asked.tenant_id AND position = following.position
               -- A fence, as the one before: the index is entered with columns, and for these rows only.
               OFFSET 0
           ) AS next"#,
        &tenants,
        &positions
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(rows.into_iter().map(|row| ((row.tenant_id, row.position), row.recorded_at)).collect())
}
