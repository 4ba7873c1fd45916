//! What is said to a benchmark by whoever starts it, and not by the person at the keyboard.

use clap::Args;

/// The arguments of `cargo bench` and of test runners.
#[derive(Args)]
pub(crate) struct Runner {
    /// What `cargo bench` says; without it nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
    /// What test runners ask before they run anything.
    #[arg(long, hide = true)]
    list: bool,
}

impl Runner {
    /// Whether something is to be measured.
    pub(crate) fn measures(&self) -> bool {
        self.bench && !self.list
    }
}
