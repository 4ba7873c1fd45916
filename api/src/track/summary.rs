//! The summary: what the command says at its end.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use indicatif::HumanCount;
use serde::Serialize;

use super::{batch::Batch, intake::Finding, tally::Rejections, transfer::Transferred};

/// What became of the input, and how long it took.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Whether the input was read to its end.
    pub(super) complete: bool,
    /// Lines that were read, blank ones included.
    pub(super) lines: u64,
    /// Events that were sent at least once.
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    /// By the server, or before: lines that were not sent.
    pub(super) rejected: u64,
    pub(super) rejected_by_code: BTreeMap<String, Rejections>,
    /// Events that were read, but have no answer. Some may have arrived.
    pub(super) unacknowledged: u64,
    pub(super) unacknowledged_lines: Vec<Unacknowledged>,
    /// Why the command ended early.
    pub(super) stopped: Option<String>,
    pub(super) interrupted: bool,
    pub(super) seconds: f64,
    /// Answered events per second.
    pub(super) events_per_second: f64,
}

/// Lines with events that have no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unacknowledged {
    pub(super) first_line: u64,
    pub(super) last_line: u64,
    pub(super) events: u64,
    pub(super) reason: String,
}

impl Unacknowledged {
    pub(super) fn new(batch: &Batch, reason: &str) -> Self {
        let (first_line, last_line) = batch.lines();
        Self { first_line, last_line, events: batch.len() as u64, reason: reason.to_owned() }
    }
}

impl Summary {
    pub(super) fn new(transferred: Transferred, finding: Finding, elapsed: Duration) -> Self {
        let Transferred { sent, mut tally, unacknowledged, stopped, interrupted } = transferred;
        let answered = tally.events() as f64;
        tally.add(finding.unsendable);
        let seconds = elapsed.as_secs_f64();
        Self {
            complete: finding.complete,
            lines: finding.lines,
            sent,
            accepted: tally.accepted,
            duplicates: tally.duplicates,
            rejected: tally.rejections(),
            rejected_by_code: tally.rejected,
            unacknowledged: unacknowledged.iter().map(|lines| lines.events).sum(),
            unacknowledged_lines: merge(unacknowledged),
            stopped: stopped.or(finding.failure),
            interrupted,
            seconds,
            events_per_second: if seconds > 0.0 { answered / seconds } else { 0.0 },
        }
    }

    /// See [`super::run`].
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self { interrupted: true, .. } => ExitCode::from(130),
            Self { unacknowledged: 0, stopped: None, .. } => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    /// For machines: one line of JSON.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// For people.
    pub(super) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let count = |number: u64| HumanCount(number).to_string();
        let rate = HumanCount(self.events_per_second as u64);
        writeln!(out, "{} events sent in {:.1} s, {rate} a second", count(self.sent), self.seconds)?;
        writeln!(out, "{:>12} accepted", count(self.accepted))?;
        writeln!(out, "{:>12} duplicates", count(self.duplicates))?;
        writeln!(out, "{:>12} rejected", count(self.rejected))?;
        for (code, rejections) in &self.rejected_by_code {
            writeln!(out, "{:>16} {}", count(rejections.events), printable(code))?;
            for example in &rejections.examples {
                write!(out, "{:>16} line {}", "", example.line)?;
                if let Some(message_id) = &example.message_id {
                    write!(out, ", {}", printable(message_id))?;
                }
                writeln!(out, ": {}", example.detail.as_deref().map_or("no detail".to_owned(), printable))?;
            }
            let more = rejections.events - rejections.examples.len() as u64;
            if more > 0 {
                writeln!(out, "{:>16} and {} more", "", count(more))?;
            }
        }
        if self.unacknowledged > 0 {
            writeln!(out, "{:>12} not acknowledged", count(self.unacknowledged))?;
            for lines in &self.unacknowledged_lines {
                let Unacknowledged { first_line, last_line, events, reason } = lines;
                let reason = printable(reason);
                writeln!(out, "{:>16} in lines {first_line} to {last_line}: {reason}", count(*events))?;
            }
        }
        if !self.complete {
            writeln!(out, "Nothing after line {} was read.", self.lines)?;
        }
        if !self.complete || self.unacknowledged > 0 {
            writeln!(out, "Run the command again to send the rest: what has arrived does not count twice.")?;
        }
        Ok(())
    }
}

/// Joins what follows one another, for the same reason.
fn merge(mut unacknowledged: Vec<Unacknowledged>) -> Vec<Unacknowledged> {
    unacknowledged.sort_by_key(|lines| lines.first_line);
    let mut merged: Vec<Unacknowledged> = vec![];
    for lines in unacknowledged {
        match merged.last_mut() {
            Some(last) if last.last_line + 1 == lines.first_line && last.reason == lines.reason => {
                last.last_line = lines.last_line;
                last.events += lines.events;
            }
            _ => merged.push(lines),
        }
    }
    merged
}

/// Text from elsewhere, made safe for a terminal: on one line, of moderate length, without control characters.
pub(super) fn printable(text: &str) -> String {
    let mut printable: String =
        text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if printable.len() < text.len() && text.chars().nth(200).is_some() {
        printable.push('…');
    }
    printable
}
