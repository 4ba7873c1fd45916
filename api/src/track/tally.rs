//! The tally: what became of events, counted.

use std::collections::BTreeMap;

use serde::Serialize;

/// How many rejections of a code are shown.
const EXAMPLES: usize = 5;

/// How many events were accepted, were known, were rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    /// By code.
    pub(super) rejected: BTreeMap<String, Rejections>,
}

/// The events that were rejected with one code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rejections {
    pub(super) events: u64,
    /// The first ones, by line.
    pub(super) examples: Vec<Example>,
}

/// One rejected event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Example {
    pub(super) line: u64,
    pub(super) message_id: Option<String>,
    pub(super) detail: Option<String>,
}

impl Tally {
    pub(super) fn reject(&mut self, code: &str, example: Example) {
        // Without the look first, every event of a long file would allocate its code.
        if !self.rejected.contains_key(code) {
            self.rejected.insert(code.to_owned(), Rejections::default());
        }
        if let Some(rejections) = self.rejected.get_mut(code) {
            rejections.add(Rejections { events: 1, examples: vec![example] });
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        for (code, rejections) in other.rejected {
            self.rejected.entry(code).or_default().add(rejections);
        }
    }

    pub(super) fn rejections(&self) -> u64 {
        self.rejected.values().map(|rejections| rejections.events).sum()
    }

    /// All events in it.
    pub(super) fn events(&self) -> u64 {
        self.accepted + self.duplicates + self.rejections()
    }
}

impl Rejections {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.examples.extend(other.examples);
        self.examples.sort();
        self.examples.truncate(EXAMPLES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_examples_are_kept_whatever_order_they_come_in() {
        let mut tally = Tally::default();
        for line in [9, 2, 7, 4, 5, 8, 1, 6, 3] {
            tally.reject("a", Example { line, message_id: None, detail: None });
        }
        let mut sum = Tally { accepted: 1, duplicates: 2, ..Tally::default() };
        sum.add(tally);
        let lines: Vec<u64> = sum.rejected["a"].examples.iter().map(|example| example.line).collect();
        assert_eq!((lines, sum.rejections(), sum.events()), (vec![1, 2, 3, 4, 5], 9, 12));
    }
}
