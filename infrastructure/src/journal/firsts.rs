//! Streams that were begun a short while ago.

use std::collections::HashSet;

use uuid::Uuid;

/// How many of a generation.
const GENERATION: usize = 16_384;

/// The last tens of thousands of streams that were begun, in two generations: what a sender repeats, it mostly repeats
/// soon. Whatever is not here may exist all the same, and the journal's unique index knows.
#[derive(Default)]
pub(super) struct Firsts {
    newer: HashSet<Uuid>,
    older: HashSet<Uuid>,
}

impl Firsts {
    /// Whether it was begun lately.
    pub(super) fn contains(&self, id: &Uuid) -> bool {
        self.newer.contains(id) || self.older.contains(id)
    }

    /// Takes in streams that exist for good.
    pub(super) fn remember(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        for id in ids {
            if self.newer.len() == GENERATION {
                self.older = std::mem::take(&mut self.newer);
            }
            self.newer.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_generation_is_known_and_the_number_is_bounded() {
        let mut firsts = Firsts::default();
        let ids: Vec<Uuid> = (0..GENERATION * 3).map(|_| Uuid::now_v7()).collect();
        firsts.remember(ids.iter().copied());
        assert!(ids[GENERATION * 2..].iter().all(|id| firsts.contains(id)));
        assert!(!firsts.contains(&ids[0]));
        assert!(firsts.newer.len() + firsts.older.len() <= 2 * GENERATION);
    }
}
