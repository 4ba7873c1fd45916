//! The job queue's schema: [graphile_worker](https://docs.rs/graphile_worker), chosen in `docs/adr/0004-job-queue.md`.
//!
//! Jobs carry ids and nothing else: their tables are outside row level security.

use graphile_worker::WorkerUtils;
use serde::Serialize;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// The schema that the queue's tables live in.
pub const SCHEMA: &str = "graphile_worker";

/// What the application's role may do there: look. It adds jobs through the function `add_jobs` of our migrations.
pub(crate) const GRANTS: &str = "
    GRANT USAGE ON SCHEMA graphile_worker TO annals_app;
    GRANT SELECT ON graphile_worker.jobs TO annals_app;";

pub(crate) async fn migrate(
    options: &PgConnectOptions,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let pool = pool(options, 1).await?;
    WorkerUtils::new(pool.clone(), SCHEMA).migrate().await?;
    pool.close().await;
    Ok(())
}

/// The worker's own connections, as the owner of the queue's tables.
pub async fn pool(options: &PgConnectOptions, connections: u32) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new().max_connections(connections).connect_with(options.clone()).await
}

/// A job to be done after the transaction that adds it has committed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewJob {
    /// Which task carries it out.
    pub task: &'static str,
    /// Ids that the task needs.
    pub payload: serde_json::Value,
    /// How often it is tried before it has failed for good.
    pub max_attempts: i16,
}
