//! The server's PostgreSQL, seen by its superuser, whom row level security does not hold back.

use std::time::{Duration, Instant};

use anyhow::ensure;
use domain::ids::TenantId;
use sqlx::{Connection, PgConnection};

/// How long read models may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(90);

/// A superuser's way into the server's PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    url: String,
}

impl Postgres {
    pub(super) fn new(url: String) -> Self {
        Self { url }
    }

    /// How to connect to the server's own database.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// Its version, and that it waits for the disk.
    pub(super) async fn describe(&self) -> anyhow::Result<String> {
        let mut connection = self.connect().await?;
        let show = "SELECT format('PostgreSQL %s, fsync %s, synchronous_commit %s, shared_buffers %s',
            current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
            current_setting('shared_buffers'))";
        Ok(sqlx::query_scalar(show).fetch_one(&mut connection).await?)
    }

    /// Waits until every projection of every tenant has seen its whole journal.
    pub(super) async fn caught_up(&self) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let start = Instant::now();
        loop {
            let behind: i64 = sqlx::query_scalar(
                "WITH seen AS (
                     SELECT tenant_id, sum(cardinality(projections)) AS projections, min(position) AS position
                     FROM projection_checkpoints GROUP BY tenant_id
                 )
                 SELECT count(*) FROM journal_heads AS head LEFT JOIN seen USING (tenant_id)
                 WHERE head.position > coalesce(seen.position, 0)
                    OR seen.projections < (SELECT max(projections) FROM seen)",
            )
            .fetch_one(&mut connection)
            .await?;
            if behind == 0 {
                return Ok(());
            }
            ensure!(start.elapsed() < CATCH_UP, "read models of {behind} tenants do not catch up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many events the journals of these tenants hold together.
    pub(super) async fn events(&self, tenants: &[TenantId]) -> anyhow::Result<u64> {
        let tenants: Vec<_> = tenants.iter().map(|tenant| tenant.uuid()).collect();
        let sum = "SELECT coalesce(sum(position), 0)::bigint FROM journal_heads WHERE tenant_id = ANY($1)";
        let events: i64 = sqlx::query_scalar(sum).bind(tenants).fetch_one(&mut self.connect().await?).await?;
        Ok(events.cast_unsigned())
    }

    /// How many tracked events a tenant's journal holds.
    pub(super) async fn tracked(&self, tenant: TenantId) -> anyhow::Result<u64> {
        let count = "SELECT count(*) FROM events WHERE tenant_id = $1 AND event_type = 'EventTracked'";
        let events: i64 =
            sqlx::query_scalar(count).bind(tenant.uuid()).fetch_one(&mut self.connect().await?).await?;
        Ok(events.cast_unsigned())
    }
}
