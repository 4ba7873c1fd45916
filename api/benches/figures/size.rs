//! How much is measured.

use std::time::Duration;

/// How much each part does at most; what is bounded by both a count and a time ends with the first of them.
#[derive(Clone, Debug)]
pub(super) struct Size {
    /// Whether this is only a smoke run.
    pub(super) quick: bool,
    /// Rows of one COPY.
    pub(super) copied_rows: usize,
    /// Batches of 500 tracked events, for each number of connections.
    pub(super) batches: usize,
    /// Numbers of connections that batches are sent over.
    pub(super) tracking: &'static [usize],
    /// Numbers of connections that commands are sent over, and of tasks that call the peer.
    pub(super) commanding: &'static [usize],
    /// Tenants that are founded, and that commands then go to.
    pub(super) tenants: usize,
    /// Commands of one load.
    pub(super) commands: usize,
    /// How long one load may take.
    pub(super) load: Duration,
    /// How long a load runs before it is measured.
    pub(super) warm_up: Duration,
    /// Commands whose way into a read model is timed.
    pub(super) probes: usize,
}

impl Size {
    /// What figures are taken from.
    pub(super) const FULL: Self = Self {
        quick: false,
        copied_rows: 100_000,
        batches: 128,
        tracking: &[1, 2, 4, 8],
        commanding: &[16, 64],
        tenants: 200,
        commands: 20_000,
        load: Duration::from_secs(4),
        warm_up: Duration::from_secs(1),
        probes: 400,
    };

    /// What shows that everything works.
    pub(super) const QUICK: Self = Self {
        quick: true,
        copied_rows: 5_000,
        batches: 8,
        tracking: &[2],
        commanding: &[4],
        tenants: 20,
        commands: 400,
        load: Duration::from_secs(1),
        warm_up: Duration::from_millis(100),
        probes: 20,
    };
}
