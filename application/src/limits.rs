//! The port that counts attempts.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;

/// How many attempts are allowed in a window of time, which begins with the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name, in headers and keys.
    pub name: &'static str,
    /// How many.
    pub quota: u32,
    /// In how much time.
    pub window: Duration,
}

/// Where a key stands after an attempt was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The policy that it was counted under.
    pub policy: Policy,
    /// Whether the attempt was within the quota.
    pub allowed: bool,
    /// How many are left in this window.
    pub remaining: u32,
    /// When the window ends.
    pub reset: Duration,
}

/// Counts attempts by key: in this process, or in Redis for all processes.
#[async_trait]
pub trait Limits: Send + Sync {
    /// Counts an attempt under `policy` and says whether it is within the quota.
    async fn count(&self, policy: Policy, key: &str) -> Result<Standing, Error>;

    /// Forgets the attempts of `key`.
    async fn forget(&self, policy: Policy, key: &str) -> Result<(), Error>;
}

impl Standing {
    /// Goes on only within the quota.
    pub fn require(self) -> Result<(), Error> {
        if self.allowed { Ok(()) } else { Err(Error::RateLimited { retry_after: self.reset }) }
    }
}
