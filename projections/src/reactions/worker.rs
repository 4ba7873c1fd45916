//! The worker that does the jobs.

use std::{fmt, sync::Arc, time::Duration};

use application::{app::App, error::Error};
use graphile_worker::{
    IntoTaskHandlerResult, TaskHandler, WorkerContext, WorkerOptions, WorkerRecoveryConfig,
};
use infrastructure::{database::Database, jobs::SCHEMA};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{JOBS, Job, MailOffice};
use crate::{causes::with_causes, rebuild_job::RebuildJob};

/// How many jobs are done at once.
const AT_ONCE: usize = 4;

/// Does jobs until `shutdown` is there; those under way may finish then, for five seconds. `pool` connects as the owner
/// of the queue's tables. The jobs of a worker that was killed are taken over within a minute.
pub async fn run(
    pool: PgPool,
    database: Database,
    app: App,
    office: Arc<MailOffice>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let recovery = WorkerRecoveryConfig::default()
        .heartbeat_interval(Duration::from_secs(5))
        .sweep_interval(Duration::from_secs(15))
        .sweep_threshold(Duration::from_secs(30))
        .recovery_delay(Duration::ZERO);
    let worker = WorkerOptions::default()
        .schema(SCHEMA)
        .concurrency(AT_ONCE)
        .worker_recovery(recovery)
        .define_jobs(JOBS.iter().map(|kind| (kind.definition)()))
        .define_job::<RebuildJob>()
        .pg_pool(pool)
        .add_extension(app)
        .add_extension(office)
        .add_extension(database)
        .listen_os_shutdown_signals(false)
        .shutdown_signal(shutdown)
        .init()
        .await
        .map_err(Error::internal)?;
    worker.run().await.map_err(Error::internal)
}

/// A job as the worker knows it.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "J: Job")]
pub(super) struct Task<J>(J);

impl<J: Job> TaskHandler for Task<J> {
    const IDENTIFIER: &'static str = J::TASK;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let office = context.get_ext::<Arc<MailOffice>>().cloned();
        let office = office.ok_or_else(|| Failure(Error::internal("the worker has no mail office")))?;
        self.0.run(&office).await.map_err(Failure)
    }
}

/// Why a job failed. The queue keeps what `Debug` says for operators to read.
pub(super) struct Failure(pub(super) Error);

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&with_causes(&self.0))
    }
}
