//! Queues of commands, one a tenant.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use application::error::Error;
use domain::ids::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// How many commands of one tenant may wait; the next one is told to come back.
const WAITING: usize = 512;

/// A queue for each tenant that has commands under way; an idle tenant has none.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<TenantId, Weak<Lane>>>,
}

struct Lane {
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// The right to work on a tenant's journal, until dropped.
pub(super) struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
    _lane: Arc<Lane>,
}

impl Lanes {
    /// Waits in line (first come, first served); refuses at once if the line is full.
    pub(super) async fn enter(&self, tenant: TenantId) -> Result<Turn, Error> {
        let lane = self.lane(tenant);
        let place = match Arc::clone(&lane.places).try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits) => return Err(Error::Overloaded),
            Err(TryAcquireError::Closed) => return Err(Error::internal("lanes are never closed")),
        };
        let turn = Arc::clone(&lane.turn).acquire_owned().await.map_err(Error::internal)?;
        Ok(Turn { _turn: turn, _place: place, _lane: lane })
    }

    fn lane(&self, tenant: TenantId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&tenant).and_then(Weak::upgrade) {
            return lane;
        }
        // Sweeping only when the map is about to grow keeps it within twice the lanes in use.
        if lanes.len() == lanes.capacity() {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        let lane =
            Arc::new(Lane { places: Arc::new(Semaphore::new(WAITING)), turn: Arc::new(Semaphore::new(1)) });
        lanes.insert(tenant, Arc::downgrade(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_line_refuses_and_others_go_on() {
        let (lanes, busy) = (Lanes::default(), TenantId::random());
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(lanes.enter(busy))).collect();
        let first = waiting.remove(0).await.unwrap();
        for enter in &mut waiting {
            assert!(futures_poll(enter.as_mut()).await.is_none());
        }
        assert!(matches!(lanes.enter(busy).await, Err(Error::Overloaded)));
        assert!(lanes.enter(TenantId::random()).await.is_ok());
        drop(first);
        assert!(waiting.remove(0).await.is_ok());
    }

    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
