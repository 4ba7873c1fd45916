//! What is said about what was measured.

use std::time::Duration;

/// Prints one line of the table.
pub(crate) fn line(what: &str, measured: &str) {
    println!("{what:<58}{measured}");
}

/// How many a second.
pub(crate) fn rate(count: u64, elapsed: Duration) -> String {
    format!("{:>10.0} /s  ({count} in {:.2} s)", count as f64 / elapsed.as_secs_f64(), elapsed.as_secs_f64())
}

/// What half, and all but a hundredth, of some durations do not exceed.
pub(crate) fn quantiles(mut durations: Vec<Duration>) -> String {
    durations.sort_unstable();
    let rank = |percent: usize| (durations.len() * percent).div_ceil(100).saturating_sub(1);
    let milliseconds = |percent| durations.get(rank(percent)).map_or(0.0, |each| each.as_secs_f64() * 1e3);
    format!("p50 {:.2} ms, p99 {:.2} ms", milliseconds(50), milliseconds(99))
}
