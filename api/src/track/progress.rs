//! Progress: a bar on a terminal, a line now and then elsewhere. Always on standard error: standard output is for the
//! summary.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::summary::printable;

const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How far the transfer is.
pub(super) struct Progress {
    display: Display,
    size: Option<u64>,
    started: Instant,
    state: Mutex<State>,
}

enum Display {
    Bar(ProgressBar),
    Lines,
    Silent,
}

#[derive(Default)]
struct State {
    acknowledged: u64,
    source_bytes: u64,
    /// What went wrong since events were last acknowledged.
    note: Option<String>,
    last_line: Option<Instant>,
}

impl Progress {
    /// Shows progress; `size` is that of the input in bytes, where it is known.
    pub(super) fn on_stderr(size: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
        if bar.is_hidden() {
            return Self::new(Display::Lines, size);
        }
        let template = match size {
            Some(_) => "{bar:30} {percent:>3} %  {msg}  {eta} left",
            None => "{spinner} {msg}  {elapsed}",
        };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::new(Display::Bar(bar), size)
    }

    pub(super) fn silent() -> Self {
        Self::new(Display::Silent, None)
    }

    fn new(display: Display, size: Option<u64>) -> Self {
        Self { display, size, started: Instant::now(), state: Mutex::default() }
    }

    /// Counts events that the server has answered for, and the bytes of input that are done with.
    pub(super) fn advance(&self, events: u64, source_bytes: u64) {
        self.change(|state| {
            state.acknowledged += events;
            state.source_bytes += source_bytes;
            if events > 0 {
                state.note = None;
            }
        });
    }

    /// Says what is wrong just now.
    pub(super) fn note(&self, note: String) {
        self.change(|state| state.note = Some(note));
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        self.change(|_| {});
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        match &self.display {
            Display::Silent => {}
            Display::Bar(bar) => {
                bar.set_position(state.source_bytes);
                bar.set_message(self.describe(&state));
            }
            Display::Lines => {
                let now = Instant::now();
                let since = now - state.last_line.unwrap_or(self.started);
                // The first trouble is told at once, for it may be a wrong address.
                let first_trouble = state.note.is_some() && state.last_line.is_none();
                if since >= LINE_INTERVAL || first_trouble {
                    state.last_line = Some(now);
                    complain(&(self.describe(&state) + &self.describe_rest(&state)));
                }
            }
        }
    }

    fn describe(&self, state: &State) -> String {
        let rate = state.acknowledged as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let count = HumanCount(state.acknowledged);
        let mut text = format!("{count} events acknowledged, {}/s", HumanCount(rate as u64));
        if let Some(note) = &state.note {
            text = format!("{text} ({})", printable(note));
        }
        text
    }

    /// What a bar shows by itself.
    fn describe_rest(&self, state: &State) -> String {
        let Some(size) = self.size.filter(|size| *size > 0 && state.source_bytes > 0) else {
            return String::new();
        };
        let done = (state.source_bytes as f64 / size as f64).min(1.0);
        let left = self.started.elapsed().mul_f64((1.0 - done) / done);
        format!(", {:.0} %, {} left", done * 100.0, HumanDuration(left))
    }
}

/// Writes a line to standard error. If nobody reads it, nothing is lost that the summary would not say.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "annals track: {}", printable(text));
}
