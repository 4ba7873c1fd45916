use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use application::{
    error::Error,
    limits::{Limits, Policy, Standing},
};
use async_trait::async_trait;

/// Counts in this process; forgets when it ends.
#[derive(Default)]
pub struct MemoryLimits {
    windows: Mutex<HashMap<(&'static str, String), Window>>,
}

struct Window {
    count: u32,
    end: Instant,
}

#[async_trait]
impl Limits for MemoryLimits {
    async fn count(&self, policy: Policy, key: &str) -> Result<Standing, Error> {
        let now = Instant::now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        // Sweeping only when the map is about to grow keeps it within twice the windows that are open.
        if windows.len() == windows.capacity() {
            windows.retain(|_, window| window.end > now);
        }
        let window = windows
            .entry((policy.name, key.to_owned()))
            .and_modify(|window| {
                if window.end <= now {
                    *window = Window { count: 0, end: now + policy.window };
                }
            })
            .or_insert(Window { count: 0, end: now + policy.window });
        window.count = window.count.saturating_add(1);
        Ok(Standing {
            policy,
            allowed: window.count <= policy.quota,
            remaining: policy.quota.saturating_sub(window.count),
            reset: window.end - now,
        })
    }

    async fn forget(&self, policy: Policy, key: &str) -> Result<(), Error> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(&(policy.name, key.to_owned()));
        Ok(())
    }
}
