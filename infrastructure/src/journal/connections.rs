//! Connections for one call after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Postgres, pool::PoolConnection};
use tokio::runtime::Handle;

use crate::database::Database;

/// How long a connection is kept from the pool for the next call.
const KEPT: Duration = Duration::from_secs(1);

/// Connections that calls have used. The pool looks at each that it gets back, with a round trip that a call every
/// millisecond can do without.
pub(super) struct Connections {
    database: Database,
    most: usize,
    kept: Arc<Mutex<Kept>>,
}

type Kept = Vec<(PoolConnection<Postgres>, Instant)>;

impl Connections {
    /// At most `most` connections of the database's pool, which gets them back when it closes.
    pub(super) fn new(database: Database, most: usize, runtime: &Handle) -> Self {
        let (closing, kept) = (database.pool().close_event(), Arc::<Mutex<Kept>>::default());
        let given_back = Arc::clone(&kept);
        // A pool that closes waits for its connections.
        runtime.spawn(async move {
            closing.await;
            lock(&given_back).clear();
        });
        Self { database, most, kept }
    }

    pub(super) async fn take(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let kept = lock(&self.kept).pop();
        match kept {
            Some((connection, since)) if since.elapsed() < KEPT => Ok(connection),
            // Its server may have gone away meanwhile, which the pool finds out.
            _ => self.database.pool().acquire().await,
        }
    }

    pub(super) fn keep(&self, connection: PoolConnection<Postgres>) {
        let mut kept = lock(&self.kept);
        if kept.len() < self.most && !self.database.pool().is_closed() {
            kept.push((connection, Instant::now()));
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
