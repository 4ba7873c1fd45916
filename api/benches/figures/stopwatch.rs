//! How long something took, and how many cores it kept busy.

use std::time::{Duration, Instant};

use super::{procfs::Processor, quantiles::Latencies};

/// A running stopwatch.
pub(super) struct Stopwatch {
    start: Instant,
    used: Processor,
}

/// What was done while a stopwatch ran.
#[derive(Clone, Debug)]
pub(super) struct Done {
    /// How many of what is counted.
    pub(super) count: u64,
    /// From the first to the last of them.
    pub(super) elapsed: Duration,
    /// Of single requests, transactions or commands.
    pub(super) latencies: Latencies,
    /// Cores that were in use on average.
    pub(super) cores: Processor,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { used: Processor::used(), start: Instant::now() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn stop(self, count: u64, latencies: Latencies) -> Done {
        let elapsed = self.start.elapsed();
        let cores = Processor::used().cores_since(self.used, elapsed.as_secs_f64());
        Done { count, elapsed, latencies, cores }
    }
}

impl Done {
    /// Per second.
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}
