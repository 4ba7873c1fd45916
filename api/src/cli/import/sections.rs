//! What is imported in one commit: sections of aggregates, up to a number of events.

use infrastructure::postgres_es::{AggregateEnd, Section};

/// How many events one commit takes at most.
const EVENTS: i64 = 1_000;

/// The sections of the commit in the making.
#[derive(Debug, Default)]
pub(super) struct Sections {
    sections: Vec<Section>,
    events: i64,
}

impl Sections {
    /// Adds an aggregate from the newest event that was imported (to see that it is the same one) to its end. Returns the
    /// commits that are full.
    pub(super) fn add(&mut self, end: &AggregateEnd, imported: i64) -> Vec<Vec<Section>> {
        let mut full = Vec::new();
        let mut from = imported;
        while from <= end.sequence {
            let to = end.sequence.min(from + EVENTS - self.events - 1);
            let (aggregate_type, aggregate_id) = (end.aggregate_type.clone(), end.aggregate_id.clone());
            self.sections.push(Section { aggregate_type, aggregate_id, from, to });
            self.events += to - from + 1;
            if self.events == EVENTS {
                full.push(self.take());
            }
            from = to + 1;
        }
        full
    }

    /// What is left.
    pub(super) fn take(&mut self) -> Vec<Section> {
        self.events = 0;
        std::mem::take(&mut self.sections)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn commits_are_of_bounded_size_and_hold_everything_in_order(
            aggregates in prop::collection::vec((0_i64..3_000, 0_i64..3_000), 0..20),
        ) {
            let (mut sections, mut commits) = (Sections::default(), Vec::new());
            let mut expected = Vec::new();
            for (number, (imported, more)) in aggregates.into_iter().enumerate() {
                let (aggregate_id, sequence) = (number.to_string(), imported + more);
                let aggregate_type = "order".to_owned();
                let end = AggregateEnd { aggregate_type, aggregate_id, sequence, events: sequence };
                commits.extend(sections.add(&end, imported));
                expected.extend((imported..=sequence).map(|sequence| (number.to_string(), sequence)));
            }
            commits.push(sections.take());
            let mut found = Vec::new();
            for commit in &commits {
                let events = commit.iter().map(|section| section.to - section.from + 1).sum::<i64>();
                prop_assert!(events <= EVENTS);
                for Section { aggregate_id, from, to, .. } in commit {
                    found.extend((*from..=*to).map(|sequence| (aggregate_id.clone(), sequence)));
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
