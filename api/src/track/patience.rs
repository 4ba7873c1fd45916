//! Patience: how long and how often a request that fails is repeated.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::RngExt;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Exponential backoff with jitter, bounded by the time since the first failure.
#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    failures: u32,
    first_failure: Option<Instant>,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, failures: 0, first_failure: None }
    }

    /// Counts a failure. How long to wait before the next try, or none when it is not worth another.
    pub(super) fn wait(&mut self, retry_after: Option<Duration>, now: Instant) -> Option<Duration> {
        let left = self.most.saturating_sub(now - *self.first_failure.get_or_insert(now));
        let backoff = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures += 1;
        let backoff = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        match retry_after {
            // Coming back earlier than asked is no use.
            Some(after) => (after < left).then(|| (after + backoff).min(left)),
            None => (!left.is_zero()).then(|| backoff.min(left)),
        }
    }
}

/// What a `Retry-After` header says: seconds or a date (RFC 9110, 10.2.3).
pub(super) fn parse_retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        let mut now = start;
        let mut waits = vec![];
        while let Some(wait) = patience.wait(None, now) {
            waits.push(wait);
            now += wait;
        }
        assert!(waits[0] < FIRST_WAIT && waits[0] >= FIRST_WAIT / 2);
        assert!(waits[5] > waits[0] * 4 && waits.iter().all(|wait| *wait <= LONGEST_WAIT));
        assert_eq!(now - start, Duration::from_secs(60));
    }

    #[test]
    fn the_server_is_not_asked_before_it_wants_to_be() {
        let now = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        assert!(patience.wait(Some(Duration::from_secs(30)), now).unwrap() >= Duration::from_secs(30));
        assert_eq!(patience.wait(Some(Duration::from_secs(61)), now), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2015-10-21T07:27:00Z".parse().unwrap();
        let minute = Some(Duration::from_secs(60));
        assert_eq!(parse_retry_after("60", now), minute);
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), minute);
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:26:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon", now), None);
    }
}
