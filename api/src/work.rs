//! The background work of a process: feeding projections, signing journals, carrying out jobs, forgetting what has had its
//! time.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use infrastructure::{database::Database, growth_channel, jobs, kept_answers, notary::Notary};
use projections::{ALL, lag, projector::Projector, reactions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::annals::Annals;

/// How many connections the job worker has.
const JOB_CONNECTIONS: u32 = 4;
/// How long a job worker that has failed is left alone.
const RESTART: Duration = Duration::from_secs(1);

/// How often the projections' lag is measured.
const LAG_INTERVAL: Duration = Duration::from_secs(15);

/// How often answers that nobody gets any more are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Background work that is under way.
pub struct Workers {
    projector: JoinHandle<()>,
    jobs: JoinHandle<()>,
}

/// Starts all background work; it ends in order when `stop` is cancelled.
pub async fn start(annals: Arc<Annals>, stop: CancellationToken) -> anyhow::Result<Workers> {
    let projector = Projector::new(annals.database.clone(), ALL, annals.growth.clone());
    let hints = growth_channel::listen(annals.database.owner_options().clone(), annals.growth.clone());
    let lags = measure_lags(annals.database.clone());
    let notary = Notary::new(annals.database.clone(), annals.notary_key.clone()).run(annals.growth.branch());
    let sweeps = sweep_answers(annals.database.clone());
    let stopped = stop.clone();
    let projector = tokio::spawn(async move {
        tokio::select! {
            () = projector.run() => {}
            () = hints => {}
            () = notary => {}
            () = lags => {}
            () = sweeps => {}
            () = stopped.cancelled() => {}
        }
    });
    let pool = jobs::pool(annals.database.owner_options(), JOB_CONNECTIONS).await?;
    let (app, office, database) = (annals.app.clone(), Arc::clone(&annals.office), annals.database.clone());
    let jobs = tokio::spawn(async move {
        while !stop.is_cancelled() {
            let (pool, app, office) = (pool.clone(), app.clone(), Arc::clone(&office));
            let shutdown = stop.clone().cancelled_owned();
            // A database that goes away ends it; the next one finds the jobs where they are.
            if let Err(error) = reactions::worker::run(pool, database.clone(), app, office, shutdown).await {
                tracing::warn!(%error, "the job worker has stopped; it is started again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RESTART) => {}
            }
        }
    });
    Ok(Workers { projector, jobs })
}

impl Workers {
    /// Waits for what is under way.
    pub async fn finish(self) {
        let _ = tokio::join!(self.projector, self.jobs);
    }
}

/// Deletes expired answers to requests with idempotency keys, until dropped.
async fn sweep_answers(database: Database) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        match kept_answers::sweep(&database).await {
            Ok(0) => {}
            Ok(swept) => tracing::debug!(swept, "expired answers are deleted"),
            Err(error) => tracing::warn!(%error, "expired answers can't be deleted; the next sweep will"),
        }
    }
}

/// Keeps the figures of how far projections are behind, until dropped.
async fn measure_lags(database: Database) {
    let mut interval = tokio::time::interval(LAG_INTERVAL);
    loop {
        interval.tick().await;
        for lag in lag::by_projection(&database, Utc::now()).await.unwrap_or_default() {
            let labels = [("projection", lag.name)];
            metrics::gauge!("annals_projection_lag_events", &labels).set(lag.lag_events as f64);
            metrics::gauge!("annals_projection_lag_seconds", &labels).set(lag.lag_seconds);
            metrics::gauge!("annals_projection_tenants_failing", &labels).set(lag.tenants_failing as f64);
        }
    }
}
