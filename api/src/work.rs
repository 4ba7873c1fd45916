//! The background work of a process: feeding projections, carrying out jobs.

use std::sync::Arc;

use infrastructure::{growth_channel, jobs};
use projections::{ALL, projector::Projector, reactions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::annals::Annals;

/// How many connections the job worker has.
const JOB_CONNECTIONS: u32 = 4;

/// Background work that is under way.
pub struct Workers {
    projector: JoinHandle<()>,
    jobs: JoinHandle<()>,
}

/// Starts all background work; it ends in order when `stop` is cancelled.
pub async fn start(annals: Arc<Annals>, stop: CancellationToken) -> anyhow::Result<Workers> {
    let projector = Projector::new(annals.database.clone(), ALL, annals.growth.clone());
    let hints = growth_channel::listen(annals.database.owner_options().clone(), annals.growth.clone());
    let stopped = stop.clone();
    let projector = tokio::spawn(async move {
        tokio::select! {
            () = projector.run() => {}
            () = hints => {}
            () = stopped.cancelled() => {}
        }
    });
    let pool = jobs::pool(annals.database.owner_options(), JOB_CONNECTIONS).await?;
    let (office, database) = (Arc::clone(&annals.office), annals.database.clone());
    let jobs = tokio::spawn(async move {
        if let Err(error) = reactions::worker::run(pool, database, office, stop.cancelled_owned()).await {
            tracing::error!(%error, "the job worker has stopped");
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
