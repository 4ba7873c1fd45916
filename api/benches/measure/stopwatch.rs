//! How long something took, and how many cores it kept busy.

use std::time::{Duration, Instant};

use super::{procfs::Processor, quantiles::Latencies};

/// A running stopwatch.
pub(crate) struct Stopwatch {
    start: Instant,
    used: Processor,
}

/// What was done while a stopwatch ran.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// How many of what is counted.
    pub(crate) count: u64,
    /// From the first to the last of them.
    pub(crate) elapsed: Duration,
    /// Of single requests, transactions or commands.
    pub(crate) latencies: Latencies,
    /// Cores that were in use on average.
    pub(crate) cores: Processor,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { used: Processor::used(), start: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn stop(self, count: u64, latencies: Latencies) -> Done {
        let elapsed = self.start.elapsed();
        let cores = Processor::used().cores_since(self.used, elapsed.as_secs_f64());
        Done { count, elapsed, latencies, cores }
    }
}

impl Done {
    /// Per second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}
