//! The lines of an export, and the one form that each has.

use std::{
    fmt::Display,
    io::{self, BufRead, Read},
};

use serde::{Serialize, de::DeserializeOwned};

/// How long a line may be. An event is far smaller, but an export is examined because it is not trusted.
pub(super) const LONGEST: u64 = 64 << 20;

/// Lines, one at a time.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// How many were read.
    pub(super) count: u64,
    /// Whether a line was too long, which ends them.
    pub(super) is_cut: bool,
}

/// A line of an export.
pub(super) struct Line<'l> {
    /// What is before its end.
    pub(super) text: &'l [u8],
    /// Whether a newline is its end.
    is_ended: bool,
    /// Counted from 1.
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input, line: Vec::new(), count: 0, is_cut: false }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let read = self.input.by_ref().take(LONGEST).read_until(b'\n', &mut self.line)?;
        self.is_cut = read as u64 == LONGEST;
        if read == 0 || self.is_cut {
            return Ok(None);
        }
        self.count += 1;
        let ended = self.line.strip_suffix(b"\n");
        let (text, is_ended) = (ended.unwrap_or(&self.line), ended.is_some());
        Ok(Some(Line { text, is_ended, number: self.count }))
    }
}

impl Line<'_> {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(self.text).map_err(|error| self.unreadable(&error))
    }

    pub(super) fn unreadable(&self, error: &dyn Display) -> String {
        format!("line {} can't be read: {error}", self.number)
    }

    /// An export has one form, byte for byte, so that two of the same journal can be compared as files.
    pub(super) fn is_written_as(&self, entry: &impl Serialize) -> Result<(), String> {
        let number = self.number;
        if !self.is_ended {
            return Err(format!("line {number} does not end with a newline"));
        }
        if self.text.ends_with(b"\r") {
            return Err(format!("line {number} ends with a carriage return before the newline"));
        }
        let form = serde_json::to_vec(entry).map_err(|error| self.unreadable(&error))?;
        let differs = || {
            let same = form.iter().zip(self.text).take_while(|(form, text)| form == text).count();
            format!("line {number} is not written as an export is, from its byte {} on", same + 1)
        };
        if form == self.text { Ok(()) } else { Err(differs()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_ends_the_examination_and_not_the_memory() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        let mut lines = Lines::of(endless);
        assert!(lines.next().unwrap().is_none() && lines.is_cut);
        assert_eq!(lines.line.len() as u64, LONGEST);
    }
}
