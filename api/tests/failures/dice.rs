//! Chance that a seed decides.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

/// One stream of chances; each task has its own, so that they do not depend on who comes first.
pub(crate) struct Dice(StdRng);

impl Dice {
    /// The chances of a seed's round for one purpose.
    pub(crate) fn new(seed: u64, round: u64, purpose: &str) -> Self {
        let hash = Sha256::digest(format!("{seed} {round} {purpose}"));
        Self(StdRng::from_seed(hash.into()))
    }

    /// A number from `from` up to and without `to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..to)
    }

    /// An index below `length`.
    pub(crate) fn below(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }

    /// True that often in a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.between(0, 100) < chance
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// All of them, in some order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}
