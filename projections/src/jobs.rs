//! The job queue as administrators see it.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{ctx::Ctx, ids::TenantId};
use infrastructure::{
    database::{Database, database_error},
    jobs::NewJob,
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::page::{Page, PageRequest};

/// A job that has failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct FailedJob {
    /// Which one.
    pub id: i64,
    /// Which task carries it out.
    pub task: String,
    /// `retrying`, or `failed` for good.
    pub state: String,
    /// How often it was tried.
    pub attempts: i16,
    /// How often it is tried at most.
    pub max_attempts: i16,
    /// What the last try failed with.
    pub last_error: Option<String>,
    /// When it is tried next, if it is.
    pub run_at: DateTime<Utc>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// The jobs whose last try has failed, the newest first, for the platform's administrators: the caller has checked that
/// the actor is one. The page's position is 0: a queue is no journal.
pub async fn failed(
    ctx: &Ctx,
    database: &Database,
    page: PageRequest<u64>,
) -> Result<Page<FailedJob, u64>, Error> {
    if ctx.tenant != TenantId::PLATFORM {
        return Err(Error::internal("jobs are listed in the platform's context only"));
    }
    let mut tx = TenantTx::begin(database, ctx.tenant).await?;
    // Not checked at compile time: these tables are made by the queue's own migrations.
    let jobs: Vec<FailedJob> = sqlx::query_as(
        "SELECT id, task_identifier AS task, attempts, max_attempts,
                CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'retrying' END AS state,
                last_error, run_at, created_at
         FROM graphile_worker.jobs
         WHERE (last_error IS NOT NULL OR attempts >= max_attempts) AND locked_at IS NULL
           AND ($1::bigint IS NULL OR id < $1)
         ORDER BY id DESC LIMIT $2",
    )
    .bind(page.after.map(|id| id as i64))
    .bind(page.fetch())
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(page.page(jobs, 0, |job| job.id as u64))
}

/// Adds jobs in the transaction that asks for them.
pub(crate) async fn add(connection: &mut PgConnection, jobs: &[NewJob]) -> Result<(), Error> {
    let tasks: Vec<&str> = jobs.iter().map(|job| job.task).collect();
    let payloads: Vec<String> = jobs.iter().map(|job| job.payload.to_string()).collect();
    let attempts: Vec<i16> = jobs.iter().map(|job| job.max_attempts).collect();
    sqlx::query!("SELECT add_jobs($1, $2, $3)", &tasks as &[&str], &payloads, &attempts)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(database_error)
}
