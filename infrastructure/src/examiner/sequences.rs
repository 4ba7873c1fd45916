//! Whether each stream's events are numbered 1, 2, 3 … in the journal's order.
//!
//! Ten million tracked events are ten million streams, too many to remember each. So what is to be remembered is sorted
//! through a temporary file: bounded memory, 32 bytes of disk for an event.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

use uuid::Uuid;

/// How many entries are in memory at once (32 MB of them).
const ROOM: usize = 1 << 20;
/// How many bytes of a run are read at a time.
const CHUNK: usize = 1 << 16;
/// The size of an entry in the file.
const ENTRY: usize = 32;

/// An event that is not the next one of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfSequence {
    /// Its position in the journal.
    pub position: u64,
    /// The number that it should have.
    pub expected: u64,
    /// The number that it has.
    pub found: u64,
}

/// Notes about events, to be put in order by stream.
pub(super) struct Sequences {
    room: usize,
    entries: Vec<Entry>,
    file: Option<File>,
    /// Where in the file each run of sorted entries ends.
    runs: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    stream: u128,
    position: u64,
    sequence: u64,
}

impl Default for Sequences {
    fn default() -> Self {
        Self { room: ROOM, entries: Vec::new(), file: None, runs: Vec::new() }
    }
}

impl Sequences {
    /// Notes an event; in the journal's order.
    pub(super) fn note(&mut self, stream: Uuid, position: u64, sequence: u64) -> io::Result<()> {
        self.entries.push(Entry { stream: stream.as_u128(), position, sequence });
        if self.entries.len() < self.room {
            return Ok(());
        }
        self.entries.sort_unstable();
        let bytes: Vec<u8> = self.entries.drain(..).flat_map(Entry::to_bytes).collect();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all(&bytes)?;
        self.runs.push(self.runs.last().unwrap_or(&0) + bytes.len() as u64);
        Ok(())
    }

    /// The first event of the journal that is out of sequence.
    pub(super) fn first_wrong(mut self) -> io::Result<Option<OutOfSequence>> {
        self.entries.sort_unstable();
        let starts = std::iter::once(&0).chain(&self.runs);
        let runs = starts.zip(&self.runs).map(|(start, end)| Run::new(self.file.as_ref(), *start, *end));
        let mut runs: Vec<Run<'_>> = runs.collect();
        runs.push(Run { unread: std::mem::take(&mut self.entries), ..Run::new(None, 0, 0) });
        for run in &mut runs {
            run.unread.reverse();
        }
        let mut next = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            next.extend(run.next()?.map(|entry| Reverse((entry, index))));
        }
        let (mut wrong, mut stream, mut expected): (Option<OutOfSequence>, _, _) = (None, None, 0);
        while let Some(Reverse((entry, index))) = next.pop() {
            next.extend(runs[index].next()?.map(|entry| Reverse((entry, index))));
            expected = if stream == Some(entry.stream) { expected + 1 } else { 1 };
            stream = Some(entry.stream);
            if entry.sequence != expected && wrong.is_none_or(|wrong| entry.position < wrong.position) {
                wrong = Some(OutOfSequence { position: entry.position, expected, found: entry.sequence });
            }
        }
        Ok(wrong)
    }
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..16].copy_from_slice(&self.stream.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.position.to_be_bytes());
        bytes[24..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY]) -> Self {
        let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|index| bytes[at + index]));
        let stream = u128::from(number(0)) << 64 | u128::from(number(8));
        Self { stream, position: number(16), sequence: number(24) }
    }
}

/// Sorted entries, read as they are needed.
struct Run<'f> {
    file: Option<&'f File>,
    at: u64,
    end: u64,
    /// What was read, the next one last.
    unread: Vec<Entry>,
}

impl<'f> Run<'f> {
    fn new(file: Option<&'f File>, at: u64, end: u64) -> Self {
        Self { file, at, end, unread: Vec::new() }
    }

    fn next(&mut self) -> io::Result<Option<Entry>> {
        if let (true, Some(file), true) = (self.unread.is_empty(), self.file, self.at < self.end) {
            let mut bytes = vec![0; CHUNK.min((self.end - self.at) as usize)];
            file.read_exact_at(&mut bytes, self.at)?;
            self.at += bytes.len() as u64;
            self.unread = bytes.as_chunks().0.iter().rev().map(Entry::from_bytes).collect();
        }
        Ok(self.unread.pop())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn sequences(room: usize) -> Sequences {
        Sequences { room, ..Sequences::default() }
    }

    /// The same with a map.
    fn first_wrong(events: &[(u8, u64)]) -> Option<OutOfSequence> {
        let mut last: HashMap<u8, u64> = HashMap::new();
        (1..).zip(events).find_map(|(position, (stream, found))| {
            let expected = last.entry(*stream).or_default();
            *expected += 1;
            let (expected, found) = (*expected, *found);
            (expected != found).then_some(OutOfSequence { position, expected, found })
        })
    }

    proptest! {
        #[test]
        fn the_first_that_is_wrong_is_found_whatever_fits_in_memory(
            streams in prop::collection::vec(0_u8..9, 0..300),
            mistake in prop::option::of((0_usize..300, 0_u64..5)),
            room in 1_usize..120,
        ) {
            let mut last: HashMap<u8, u64> = HashMap::new();
            let mut events: Vec<(u8, u64)> = streams.into_iter().map(|stream| {
                let sequence = last.entry(stream).or_default();
                *sequence += 1;
                (stream, *sequence)
            }).collect();
            if let Some((at, wrong)) = mistake && at < events.len() {
                events[at].1 = wrong;
            }
            let mut sequences = sequences(room);
            for (position, (stream, sequence)) in (1..).zip(&events) {
                sequences.note(Uuid::from_u128((*stream).into()), position, *sequence).unwrap();
            }
            prop_assert_eq!(sequences.first_wrong().unwrap(), first_wrong(&events));
        }
    }
}
