//! How far an import has come: a bar on a terminal, a line every few seconds elsewhere.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long there is nothing to read between two lines.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    told: Instant,
}

impl Progress {
    /// Of an import of so many events.
    pub(super) fn new(events: u64) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(events), target);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} events  {per_sec}  {eta} left")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, told: Instant::now() }
    }

    /// So many more are in the journal.
    pub(super) fn advance(&mut self, events: u64) {
        self.bar.inc(events);
        if self.bar.is_hidden() && self.told.elapsed() >= PAUSE {
            self.told = Instant::now();
            tracing::info!(events = self.bar.position(), of = self.bar.length(), "importing");
        }
    }

    /// That was all.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
