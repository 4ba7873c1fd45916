//! How far a long command is: a bar on a terminal, nothing elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Events,
    Bytes,
    Keys,
}

/// A bar of `length`, if that is known.
pub(super) fn bar(length: Option<u64>, unit: Unit) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(length, target);
    let template = match unit {
        Unit::Events => "{msg} {wide_bar} {human_pos}/{human_len} events  {per_sec}  {eta} left",
        Unit::Keys => "{msg} {wide_bar} {human_pos}/{human_len} keys  {per_sec}  {eta} left",
        Unit::Bytes => "{msg} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
