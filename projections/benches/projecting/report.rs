//! What is said about what was measured.

use std::time::Duration;

/// Prints one line of the table.
pub(crate) fn line(what: &str, measured: &str) {
    println!("{what:<58}{measured}");
}

/// How long something took.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    /// By the clock.
    pub(crate) elapsed: Duration,
    /// Of the processors.
    pub(crate) processor: Duration,
}

/// How many a second, and what each took of the processors.
pub(crate) fn rate(count: u64, took: Took) -> String {
    let each = took.processor.as_secs_f64() * 1e6 / count as f64;
    format!("{:>8.0} /s {each:>8.1} µs of processors each", count as f64 / took.elapsed.as_secs_f64())
}

/// How many a second.
pub(crate) fn per_second(count: u64, elapsed: Duration) -> String {
    format!("{:>8.0} /s", count as f64 / elapsed.as_secs_f64())
}

/// What half, and all but a hundredth, of some durations do not exceed.
pub(crate) fn quantiles(mut durations: Vec<Duration>) -> String {
    durations.sort_unstable();
    let rank = |percent: usize| (durations.len() * percent).div_ceil(100).saturating_sub(1);
    let milliseconds = |percent| durations.get(rank(percent)).map_or(0.0, |each| each.as_secs_f64() * 1e3);
    format!("p50 {:.2} ms, p99 {:.2} ms", milliseconds(50), milliseconds(99))
}
