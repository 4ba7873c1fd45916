//! Projections that are not worth trying for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::ids::TenantId;
use tokio::time::Instant;

/// Until when which projection of which tenant is left alone.
#[derive(Default)]
pub(crate) struct LeftAlone {
    until: Mutex<HashMap<(TenantId, &'static str), Instant>>,
}

impl LeftAlone {
    /// Leaves a projection alone for `time`.
    pub(crate) fn add(&self, tenant: TenantId, projection: &'static str, time: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.insert((tenant, projection), Instant::now() + time);
    }

    /// Whether any projection of a tenant is, or was until it was last asked for.
    pub(crate) fn has_any_of(&self, tenant: TenantId) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.keys().any(|(of, _)| *of == tenant)
    }

    /// Whether a projection is left alone now.
    pub(crate) fn contains(&self, tenant: TenantId, projection: &'static str) -> bool {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        match until.get(&(tenant, projection)) {
            Some(end) if *end > Instant::now() => true,
            Some(_) => until.remove(&(tenant, projection)).is_none(),
            None => false,
        }
    }
}
