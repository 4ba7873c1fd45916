//! Lines of a file, without trust in their length.

use std::io::{self, BufRead};

/// The longest line that is kept, in bytes: twice what an event may have, so that white space around it does no harm.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// A line of the input.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Counted from 1, blank lines included.
    pub(super) number: u64,
    /// What stands in it, without white space around it; none if it is longer than [`MAX_LINE`].
    pub(super) text: Option<&'a [u8]>,
    /// Bytes of the input that it took, its end included.
    pub(super) length: u64,
}

/// Reads lines. A line without end takes no more memory than [`MAX_LINE`].
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    kept: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, number: 0, kept: Vec::new() }
    }

    /// The next line, or none at the end. The last one needs no line feed.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.kept.clear();
        let mut length = 0;
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                available => available?,
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            // One byte more than may be kept shows that the line was too long.
            let room = (MAX_LINE + 1).saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&available[..taken.min(room)]);
            self.input.consume(taken);
            length += taken as u64;
            if end.is_some() || taken == 0 {
                break;
            }
        }
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(Line { number: self.number, text: self.text(), length }))
    }

    fn text(&self) -> Option<&[u8]> {
        let text = self.kept.as_slice();
        if text.len() > MAX_LINE {
            return None;
        }
        // Some programs start a file with a byte order mark, which is no part of its first line.
        let text = if self.number == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) } else { text };
        Some(text.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_trimmed_numbered_and_bounded() {
        let long = "x".repeat(MAX_LINE + 1);
        let text = format!("\u{feff}first\r\n\n  third \n{long}\nfifth");
        let mut lines = Lines::new(io::BufReader::with_capacity(7, text.as_bytes()));
        let mut seen = vec![];
        let mut bytes = 0;
        while let Some(line) = lines.next().unwrap() {
            bytes += line.length;
            seen.push((line.number, line.text.map(|text| String::from_utf8(text.to_vec()).unwrap())));
        }
        let expected = [Some("first"), Some(""), Some("third"), None, Some("fifth")];
        assert_eq!(seen, (1..).zip(expected.map(|text| text.map(str::to_owned))).collect::<Vec<_>>());
        assert_eq!(bytes, text.len() as u64);
        assert!(lines.kept.capacity() <= 2 * MAX_LINE + 2);
    }
}
