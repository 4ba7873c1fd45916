//! Which tenants are being projected, so that no two tasks are at the same one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::ids::TenantId;

/// The tenants that are being projected.
#[derive(Default)]
pub(crate) struct Busy {
    tenants: Mutex<HashMap<TenantId, Again>>,
}

/// Whether a tenant that is being projected has grown again meanwhile.
#[derive(Clone, Copy, PartialEq)]
enum Again {
    No,
    Yes,
}

/// The right to project a tenant. When it is dropped, however that comes about, the tenant can be started again.
pub(crate) struct Turn {
    busy: Arc<Busy>,
    tenant: TenantId,
    is_over: bool,
}

impl Busy {
    /// The turn of a tenant that has grown; if it has one, that one goes on once more.
    pub(crate) fn start(self: &Arc<Self>, tenant: TenantId) -> Option<Turn> {
        let mut tenants = self.tenants();
        match tenants.get_mut(&tenant) {
            Some(again) => {
                *again = Again::Yes;
                None
            }
            None => {
                tenants.insert(tenant, Again::No);
                Some(Turn { busy: Arc::clone(self), tenant, is_over: false })
            }
        }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Again>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whose turn it is.
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whether the tenant has grown since the turn began or this was last asked. If not, the turn is over.
    pub(crate) fn goes_on(&mut self) -> bool {
        let mut tenants = self.busy.tenants();
        if tenants.get(&self.tenant) == Some(&Again::Yes) {
            tenants.insert(self.tenant, Again::No);
            return true;
        }
        tenants.remove(&self.tenant);
        // From here on an entry is somebody else's.
        self.is_over = true;
        false
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.busy.tenants().remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_grows_in_its_turn_gets_no_second_one_but_a_longer_one() {
        let (busy, tenant) = (Arc::new(Busy::default()), TenantId::random());
        let mut turn = busy.start(tenant).unwrap();
        assert!(busy.start(tenant).is_none() && busy.start(tenant).is_none());
        assert!(turn.goes_on());
        assert!(!turn.goes_on());
        let next = busy.start(tenant);
        assert!(next.is_some());
        // What is over takes nothing from the next turn.
        drop(turn);
        assert!(busy.start(tenant).is_none());
    }

    #[tokio::test]
    async fn a_turn_that_ends_in_a_panic_or_is_given_up_leaves_the_tenant_free() {
        let (busy, tenant) = (Arc::new(Busy::default()), TenantId::random());
        let turn = busy.start(tenant).unwrap();
        let panicked = tokio::spawn(async move { panic!("in the turn of {}", turn.tenant()) }).await;
        assert!(panicked.unwrap_err().is_panic());
        let turn = busy.start(tenant).unwrap();
        let given_up = tokio::spawn(async move {
            let _turn = turn;
            std::future::pending::<()>().await;
        });
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        assert!(busy.start(tenant).is_some());
    }
}
