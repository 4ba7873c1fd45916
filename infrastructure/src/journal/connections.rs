//! Connections for one call after the other.

use std::{
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Postgres, pool::PoolConnection};
use tokio::{runtime::Handle, time::sleep};

use crate::database::Database;

/// How long a connection that nobody uses is kept from the pool for the next call.
const KEPT: Duration = Duration::from_secs(1);
/// One of how many of the pool's connections is kept from it at most.
const ONE_OF: u32 = 4;

/// Connections that calls have used. The pool looks at each that it gets back, with a round trip that a call every
/// millisecond can do without.
pub(super) struct Connections {
    database: Database,
    runtime: Handle,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    connections: Vec<(PoolConnection<Postgres>, Instant)>,
    /// Whether somebody will give back those that stay unused.
    is_swept: bool,
}

impl Connections {
    /// None, yet. The database's pool gets them back when it closes.
    pub(super) fn new(database: Database, runtime: Handle) -> Arc<Self> {
        let (closing, kept) = (database.pool().close_event(), Arc::<Mutex<Kept>>::default());
        let given_back = Arc::clone(&kept);
        // A pool that closes waits for its connections.
        runtime.spawn(async move {
            closing.await;
            drop(take(&mut lock(&given_back).connections));
        });
        Arc::new(Self { database, runtime, kept })
    }

    pub(super) async fn take(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        // The server of one that was kept for longer may have gone away meanwhile, which the pool finds out.
        let kept = lock(&self.kept).connections.pop().filter(|(_, since)| since.elapsed() < KEPT);
        match kept {
            Some((connection, _)) => Ok(connection),
            None => self.database.pool().acquire().await,
        }
    }

    pub(super) fn keep(&self, connection: PoolConnection<Postgres>) {
        let pool = self.database.pool();
        let all = pool.options().get_max_connections();
        // Somebody may be waiting for it.
        let is_last = pool.size() >= all && pool.num_idle() == 0;
        let mut kept = lock(&self.kept);
        if is_last || kept.connections.len() >= (all / ONE_OF).max(1) as usize || pool.is_closed() {
            return;
        }
        kept.connections.push((connection, Instant::now()));
        if !kept.is_swept {
            kept.is_swept = true;
            self.runtime.spawn(sweep(Arc::clone(&self.kept)));
        }
    }
}

/// Gives back what stays unused, until nothing is kept.
async fn sweep(kept: Arc<Mutex<Kept>>) {
    loop {
        sleep(KEPT).await;
        let mut kept = lock(&kept);
        kept.connections.retain(|(_, since)| since.elapsed() < KEPT);
        if kept.connections.is_empty() {
            kept.is_swept = false;
            return;
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(feature = "test-support")]
mod tests {
    use super::*;
    use crate::{test_postgres::TestDatabase, vault::Vault};

    #[tokio::test]
    async fn the_last_connection_is_not_kept_from_those_who_wait_for_it() {
        let test_database = TestDatabase::migrated().await;
        let database = Database::connect(test_database.connect_options(), 2, Vault::locked()).await.unwrap();
        let connections = Connections::new(database.clone(), Handle::current());
        let (one, other) = (connections.take().await.unwrap(), connections.take().await.unwrap());
        connections.keep(one);
        assert!(lock(&connections.kept).connections.is_empty(), "nothing is left for anybody else");
        // It is back now, so that the other may be kept.
        let returned = database.pool().acquire().await.unwrap();
        drop(returned);
        while database.pool().num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        connections.keep(other);
        assert_eq!(lock(&connections.kept).connections.len(), 1);
        connections.take().await.unwrap();
        assert!(lock(&connections.kept).connections.is_empty());
    }
}
