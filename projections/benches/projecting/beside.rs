//! Commands while the projector runs beside them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::{database::Database, journal::PgJournal};
use projections::checkpoint;
use tokio::task::JoinSet;

use crate::journals::create_workspaces;

/// How many commands are under way at once.
const TASKS: u64 = 16;
/// Of how many commands one is followed into the read model.
const FOLLOWED: u64 = 20;

/// How fast commands may come.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as they are done.
    Free,
    /// So many a second.
    PerSecond(f64),
}

/// What a load has done.
pub(crate) struct Load {
    pub(crate) commands: u64,
    /// From a commit until a read sees it, for some of the commands.
    pub(crate) visible_after: Vec<Duration>,
}

/// Sends single commands to `tenants` in turn for some time; follows some of them if asked to.
pub(crate) async fn load(
    journal: &Arc<PgJournal>,
    read: Option<&Database>,
    tenants: &Arc<Vec<TenantId>>,
    pace: Pace,
    time: Duration,
) -> Result<Load, Error> {
    let (start, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let visible_after = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (journal, tenants, next) = (Arc::clone(journal), Arc::clone(tenants), Arc::clone(&next));
        let (read, visible_after) = (read.cloned(), Arc::clone(&visible_after));
        tasks.spawn(async move {
            let mut followers = JoinSet::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if let Pace::PerSecond(rate) = pace {
                    let due = start + Duration::from_secs_f64(index as f64 / rate);
                    tokio::time::sleep_until(due.into()).await;
                }
                if start.elapsed() > time {
                    break;
                }
                let tenant = tenants[(index.wrapping_mul(7_919) % tenants.len() as u64) as usize];
                let position = create_workspaces(&*journal, tenant, 1).await?;
                if let Some(read) = read.clone().filter(|_| index.is_multiple_of(FOLLOWED)) {
                    let visible_after = Arc::clone(&visible_after);
                    followers.spawn(async move {
                        let committed = Instant::now();
                        let seen =
                            checkpoint::begin_at_all(&read, tenant, &["workspaces", "audit"], position);
                        if seen.await.is_ok() {
                            let mut visible_after =
                                visible_after.lock().unwrap_or_else(PoisonError::into_inner);
                            visible_after.push(committed.elapsed());
                        }
                    });
                }
            }
            followers.join_all().await;
            Ok::<_, Error>(())
        });
    }
    for done in tasks.join_all().await {
        done?;
    }
    let commands = next.load(Ordering::Relaxed) - TASKS;
    let visible_after = std::mem::take(&mut *visible_after.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Load { commands, visible_after })
}
