//! How many events of which name each project has tracked, by the hour in which they happened.

use application::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    aggregate::RefusalKind,
    ctx::Ctx,
    ids::{ProjectId, TenantId},
    permission::Permission,
    recorded_event::RecordedEvent,
};
use infrastructure::{
    database::{Database, database_error},
    projecting_tx::ProjectingTx,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey},
    tracked_events::{Outline, indexed, indexed_time},
};

/// How many points a series may have.
const MAX_POINTS: usize = 10_000;

/// The projection.
pub struct Usage;

/// What is counted apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// The full hour in which it happened.
    pub hour: DateTime<Utc>,
    /// The project that it was sent to.
    pub project_id: ProjectId,
    /// [`EventTracked::usage_name`](domain::tracked_events::EventTracked::usage_name).
    pub event: String,
}

/// How long a bucket of a series is, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A calendar month.
    Month,
}

/// What a series is broken down by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// The events' names.
    Event,
    /// The projects.
    Project,
}

impl Interval {
    /// All there are.
    pub const ALL: &[Self] = &[Self::Hour, Self::Day, Self::Month];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl GroupBy {
    /// All there are.
    pub const ALL: &[Self] = &[Self::Event, Self::Project];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Project => "project",
        }
    }
}

/// Which series is asked for.
#[derive(Clone, Copy, Debug)]
pub struct UsageSeries {
    /// The first moment that counts, rounded down to a full hour.
    pub from: DateTime<Utc>,
    /// The first moment after it that no longer counts, rounded up to a full hour.
    pub to: DateTime<Utc>,
    /// How long a bucket is.
    pub interval: Interval,
    /// What it is broken down by; none: nothing.
    pub group_by: Option<GroupBy>,
}

/// How many events happened in one bucket. A bucket in which nothing happened has no point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsagePoint {
    /// The bucket's first moment.
    pub start: DateTime<Utc>,
    /// The events' name, in a series by event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The project, in a series by project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub project_id: Option<ProjectId>,
    /// How many.
    pub count: u64,
}

impl Fold for Usage {
    const NAME: &'static str = "usage";
    type Key = UsageKey;
    /// How many.
    type Row = u64;

    fn key(event: &RecordedEvent) -> Result<Option<UsageKey>, FoldError> {
        let Some(outline) = Outline::of(event)? else { return Ok(None) };
        Ok(Some(UsageKey {
            hour: full_hour(indexed_time(outline.timestamp)),
            project_id: outline.project_id,
            event: indexed(outline.usage_name()),
        }))
    }

    fn apply(row: Option<u64>, _event: &RecordedEvent) -> Result<Option<u64>, FoldError> {
        Ok(Some(row.unwrap_or(0) + 1))
    }
}

fn full_hour(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(time.timestamp().div_euclid(3_600) * 3_600, 0).unwrap_or(time)
}

/// Keys, column by column.
#[derive(Default)]
struct Columns<'a> {
    tenants: Vec<Uuid>,
    hours: Vec<DateTime<Utc>>,
    projects: Vec<Uuid>,
    events: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(keys: impl Iterator<Item = &'a TenantKey<UsageKey>>) -> Self {
        let mut columns = Self::default();
        for (tenant, key) in keys {
            columns.tenants.push(tenant.uuid());
            columns.hours.push(key.hour);
            columns.projects.push(key.project_id.uuid());
            columns.events.push(key.event.as_str());
        }
        columns
    }
}

#[async_trait]
impl Table for Usage {
    async fn load(
        connection: &mut PgConnection,
        keys: &[TenantKey<UsageKey>],
    ) -> Result<Vec<(TenantKey<UsageKey>, u64)>, Error> {
        let Columns { tenants, hours, projects, events } = Columns::of(keys.iter());
        let rows = sqlx::query!(
            r#"SELECT wanted.tenant_id AS "tenant_id!", wanted.hour AS "hour!", wanted.project_id AS "project_id!",
                      wanted.event AS "event!", used.count
               FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[])
                   AS wanted (tenant_id, hour, project_id, event)
               CROSS JOIN LATERAL (
                   SELECT count FROM usage
                   WHERE tenant_id = wanted.tenant_id AND hour = wanted.hour AND project_id = wanted.project_id
                     AND event = wanted.event
                   OFFSET 0
               ) AS used"#,
            &tenants,
            &hours,
            &projects,
            &events as &[&str]
        )
        .fetch_all(connection)
        .await
        .map_err(database_error)?;
        let key = |hour, project: Uuid, event| UsageKey { hour, project_id: project.into(), event };
        Ok(rows
            .into_iter()
            .map(|row| ((row.tenant_id.into(), key(row.hour, row.project_id, row.event)), row.count as u64))
            .collect())
    }

    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<UsageKey>, u64)]) -> Result<(), Error> {
        let Columns { tenants, hours, projects, events } = Columns::of(rows.iter().map(|(key, _)| key));
        let counts: Vec<i64> = rows.iter().map(|(_, count)| *count as i64).collect();
        sqlx::query!(
            "INSERT INTO usage (tenant_id, hour, project_id, event, count)
             SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::bigint[])
             ON CONFLICT (tenant_id, hour, project_id, event) DO UPDATE SET count = excluded.count",
            &tenants,
            &hours,
            &projects,
            &events as &[&str],
            &counts
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<UsageKey>]) -> Result<(), Error> {
        let Columns { tenants, hours, projects, events } = Columns::of(keys.iter());
        sqlx::query!(
            "DELETE FROM usage WHERE (tenant_id, hour, project_id, event) IN (
                 SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[])
             )",
            &tenants,
            &hours,
            &projects,
            &events as &[&str]
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        sqlx::query!("DELETE FROM usage WHERE tenant_id = $1", tenant.uuid())
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }
}

/// A series of the tenant's usage in order of time, with the position that the read model has seen. One of more than
/// 10 000 points is refused (`series_too_long`).
pub async fn series(
    ctx: &Ctx,
    database: &Database,
    series: UsageSeries,
    min_position: u64,
) -> Result<(Vec<UsagePoint>, u64), Error> {
    ctx.require(Permission::UsageRead)?;
    let (mut tx, position) = checkpoint::begin_at(database, ctx.tenant, Usage::NAME, min_position).await?;
    let interval = match series.interval {
        Interval::Hour => "hour",
        Interval::Day => "day",
        Interval::Month => "month",
    };
    let group_by = match series.group_by {
        None => "nothing",
        Some(GroupBy::Event) => "event",
        Some(GroupBy::Project) => "project",
    };
    let rows = sqlx::query!(
        r#"SELECT date_trunc($4, hour, 'UTC') AS "start!", CASE WHEN $5 = 'event' THEN event END AS event,
                  CASE WHEN $5 = 'project' THEN project_id END AS project_id, sum(count)::bigint AS "count!"
           FROM usage WHERE tenant_id = $1 AND hour >= $2 AND hour < $3
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT $6"#,
        ctx.tenant.uuid(),
        full_hour(indexed_time(series.from)),
        indexed_time(series.to),
        interval,
        group_by,
        MAX_POINTS as i64 + 1
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    if rows.len() > MAX_POINTS {
        let detail = "the series has more than 10 000 points; ask for less time or a longer interval";
        return Err(Error::refused(RefusalKind::Invalid, "series_too_long", detail));
    }
    let points = rows.into_iter().map(|row| UsagePoint {
        start: row.start,
        event: row.event,
        project_id: row.project_id.map(ProjectId::from),
        count: row.count as u64,
    });
    Ok((points.collect(), position))
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
