//! The Redis of a test run, which all tests of the run share: each keeps to its own key prefix.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::test_postgres::missing;

/// Names the server.
pub const TEST_REDIS_URL: &str = "TEST_REDIS_URL";

/// The URL of the server that `scripts/with-test-servers` started.
///
/// # Panics
/// When there is none, saying how to get one.
pub fn url() -> String {
    std::env::var(TEST_REDIS_URL).unwrap_or_else(|_| panic!("{}", missing(TEST_REDIS_URL)))
}

/// A key prefix that no other test of the run has.
pub fn key_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test:{}:{}:", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
