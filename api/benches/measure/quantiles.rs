//! Latencies, and what half and all but a hundredth of them stay below.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Latencies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn quantiles(mut self) -> Option<Quantiles> {
        self.0.sort_unstable();
        // The nearest rank: the smallest latency that this share of all does not exceed.
        let rank = |percent: usize| (self.0.len() * percent).div_ceil(100).checked_sub(1);
        Some(Quantiles { p50: *self.0.get(rank(50)?)?, p99: *self.0.get(rank(99)?)? })
    }
}

/// What half of the latencies, and all but a hundredth, stay within.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Quantiles {
    /// The median.
    #[serde(rename = "p50_ms", serialize_with = "milliseconds")]
    pub(crate) p50: Duration,
    /// The 99th percentile.
    #[serde(rename = "p99_ms", serialize_with = "milliseconds")]
    pub(crate) p99: Duration,
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1e3)
}
