//! Hints that journals have grown, so that projectors need not wait for their next poll.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, Weak},
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
    branches: Mutex<Vec<Weak<Shared>>>,
}

impl Growth {
    /// Says that `tenant`'s journal has grown. Any number of times before somebody asks are one.
    pub fn grew(&self, tenant: TenantId) {
        self.shared.grew(tenant);
    }

    /// The same hints for somebody else who waits for them: who [waits](Self::wait) here takes none from there.
    #[must_use]
    pub fn branch(&self) -> Self {
        let branch = Self::default();
        let mut branches = self.shared.branches.lock().unwrap_or_else(PoisonError::into_inner);
        branches.retain(|branch| branch.strong_count() > 0);
        branches.push(Arc::downgrade(&branch.shared));
        branch
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

impl Shared {
    fn grew(&self, tenant: TenantId) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        self.any.notify_one();
        let branches = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
        branches.iter().filter_map(Weak::upgrade).for_each(|branch| branch.grew(tenant));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_branch_gets_every_hint() {
        let growth = Growth::default();
        let (one, other) = (growth.branch(), growth.branch());
        let tenants = [TenantId::random(), TenantId::random()];
        tenants.iter().for_each(|tenant| growth.grew(*tenant));
        for waiting in [&growth, &one, &other] {
            assert_eq!(waiting.wait().await, tenants.into());
        }
        drop(one);
        other.grew(tenants[0]);
        assert_eq!(other.wait().await, [tenants[0]].into());
        assert!(growth.shared.tenants.lock().unwrap().is_empty());
    }
}
