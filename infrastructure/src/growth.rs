//! Hints that journals have grown, so that projectors need not wait for their next poll.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use domain::ids::TenantId;
use tokio::sync::Notify;

/// The tenants whose journals have grown since somebody last asked. A hint may be lost (with the process, or because
/// another process wrote): correctness never depends on it.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tenants: Mutex<HashSet<TenantId>>,
    any: Notify,
}

impl Growth {
    /// Says that `tenant`'s journal has grown. Any number of times before somebody asks are one.
    pub fn grew(&self, tenant: TenantId) {
        self.shared.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        self.shared.any.notify_one();
    }

    /// Waits until a journal has grown, and takes the tenants whose have.
    pub async fn wait(&self) -> HashSet<TenantId> {
        loop {
            let tenants =
                std::mem::take(&mut *self.shared.tenants.lock().unwrap_or_else(PoisonError::into_inner));
            if !tenants.is_empty() {
                return tenants;
            }
            self.shared.any.notified().await;
        }
    }
}
