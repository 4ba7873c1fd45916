//! The right edge of a Merkle tree (RFC 6962, section 2.1): all that it takes to let it grow.

use tlog_tiles::{
    Error, Hash, HashReader, split_stored_hash_index, stored_hash_index, stored_hashes_for_record_hash,
    tree_hash,
};

/// How many hashes high a tile is, as a power of two (C2SP tlog-tiles).
pub(crate) const TILE_HEIGHT: u8 = 8;

/// The roots of the perfect subtrees that a tree consists of, the largest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edge {
    size: u64,
    /// With each root's height, from high to low.
    roots: Vec<(u8, Hash)>,
}

/// A hash that has become final, in the coordinates of C2SP tlog-tiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TileHash {
    /// The tile's level; 0 holds leaves.
    pub(crate) level: u8,
    /// The hash's place in the level.
    pub(crate) index: u64,
    pub(crate) hash: [u8; 32],
}

impl Edge {
    /// The edge of a tree of `size` leaves, from what [`Self::to_bytes`] gave; `None` if it is not that long.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != size.count_ones() as usize {
            return None;
        }
        let heights = (0..64_u8).rev().filter(|height| size >> height & 1 == 1);
        Some(Self { size, roots: heights.zip(hashes.iter().copied().map(Hash)).collect() })
    }

    /// The roots, one after the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.roots.iter().flat_map(|(_, root)| root.0).collect()
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    pub fn root(&self) -> [u8; 32] {
        tree_hash(self.size, self).expect("an edge has what its root is made of").0
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: [u8; 32]) {
        self.grow(leaf, |_| {});
    }

    /// Adds a leaf, and tells which hashes of tiles have become final by it: the leaf's own first, then from below.
    pub(crate) fn grow(&mut self, leaf: [u8; 32], mut tell: impl FnMut(TileHash)) {
        let place = self.size;
        let completed = stored_hashes_for_record_hash(place, Hash(leaf), self)
            .expect("an edge has what a new leaf is joined with");
        for (height, hash) in (0_u8..).zip(&completed).step_by(TILE_HEIGHT.into()) {
            tell(TileHash { level: height / TILE_HEIGHT, index: place >> height, hash: hash.0 });
        }
        // All but the last have become parts of it.
        let joined = completed.len() - 1;
        self.roots.truncate(self.roots.len() - joined);
        self.roots.push((joined as u8, completed[joined]));
        self.size += 1;
    }
}

impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let find = |index: &u64| {
            let (height, _) = split_stored_hash_index(*index);
            let found = self.roots.iter().find(|(of, _)| *of == height);
            let is_there =
                |(height, _): &&(u8, Hash)| stored_hash_index(*height, (self.size >> height) - 1) == *index;
            // Of each height there is one at most, and it is the last that is complete.
            found.filter(is_there).map(|(_, root)| *root).ok_or(Error::IndexesNotInTree)
        };
        indexes.iter().map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn leaf(place: u64) -> [u8; 32] {
        Sha256::digest(place.to_be_bytes()).into()
    }

    /// The definition of RFC 6962, section 2.1, word for word.
    fn mth(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(half);
                let mut hash = Sha256::new();
                hash.update([1]);
                hash.update(mth(left));
                hash.update(mth(right));
                hash.finalize().into()
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn roots_and_tiles_are_those_of_the_rfc(size in prop_oneof![10 => 0_u64..2_000, 1 => Just(65_536 + 300)]) {
            let leaves: Vec<_> = (0..size).map(leaf).collect();
            let (mut edge, mut tiles) = (Edge::default(), Vec::new());
            leaves.iter().for_each(|leaf| edge.grow(*leaf, |hash| tiles.push(hash)));
            prop_assert_eq!(edge.root(), mth(&leaves));
            prop_assert_eq!(edge.size(), size);
            for level in 0..3_u32 {
                let (width, found) = (256_usize.pow(level), tiles.iter().filter(|hash| u32::from(hash.level) == level));
                let expected = leaves.chunks_exact(width).map(mth);
                let found: Vec<_> = found.map(|hash| (hash.index, hash.hash)).collect();
                prop_assert_eq!(found, (0..).zip(expected).collect::<Vec<_>>());
            }
        }

        #[test]
        fn an_edge_that_was_kept_grows_on(size in 1_u64..2_000, more in 0_u64..600) {
            let mut whole = Edge::default();
            (0..size).for_each(|place| whole.push(leaf(place)));
            let bytes = whole.to_bytes();
            let mut kept = Edge::from_bytes(size, &bytes).unwrap();
            prop_assert_eq!(&kept, &whole);
            prop_assert!(Edge::from_bytes(size, &bytes[1..]).is_none());
            prop_assert!(Edge::from_bytes(2 * size + 1, &bytes).is_none());
            for place in size..size + more {
                kept.push(leaf(place));
                whole.push(leaf(place));
            }
            prop_assert_eq!(kept.root(), whole.root());
        }
    }
}
