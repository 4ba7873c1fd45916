//! The tiles of a tenant's tree, as the notary keeps them (C2SP tlog-tiles).

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use application::error::Error;
use tlog_tiles::{Error as TreeError, HASH_SIZE, Hash, HashReader, Tile};

use super::edge::{TILE_HEIGHT, TileHash};
use crate::{database::database_error, tenant_tx::TenantTx};

/// How many hashes a full tile has.
pub(crate) const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// A tile of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Coordinates {
    pub(crate) level: u8,
    pub(crate) tile: u64,
}

/// Consecutive hashes of one tile.
pub(super) struct Piece {
    pub(super) at: Coordinates,
    /// Where in the tile they begin.
    pub(super) start: u8,
    pub(super) hashes: Vec<u8>,
}

/// Hashes that are to be added to tiles, as the pieces that they make.
#[derive(Default)]
pub(super) struct Pieces(BTreeMap<Coordinates, Piece>);

impl Pieces {
    /// Adds the next hash of its level.
    pub(super) fn push(&mut self, hash: &TileHash) {
        let at = Coordinates { level: hash.level, tile: hash.index / TILE_WIDTH };
        let start = (hash.index % TILE_WIDTH) as u8;
        let piece = self.0.entry(at).or_insert_with(|| Piece { at, start, hashes: Vec::new() });
        piece.hashes.extend_from_slice(&hash.hash);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.0.values()
    }
}

/// Tiles that have been read, as far as they are stored.
#[derive(Debug, Default)]
pub(crate) struct Tiles(HashMap<Coordinates, Vec<u8>>);

impl Tiles {
    /// Reads these tiles of the transaction's tenant, each up to its width, in one query.
    pub(crate) async fn load(tx: &mut TenantTx, wanted: &BTreeMap<Coordinates, u32>) -> Result<Self, Error> {
        let levels: Vec<i16> = wanted.keys().map(|at| i16::from(at.level)).collect();
        let tiles: Vec<i64> = wanted.keys().map(|at| at.tile as i64).collect();
        let widths: Vec<i32> = wanted.values().map(|width| *width as i32).collect();
        let pieces = sqlx::query!(
            "SELECT piece.level, piece.tile, piece.start, piece.hashes
             FROM unnest($2::smallint[], $3::bigint[], $4::int[]) AS wanted (level, tile, width)
             JOIN journal_tiles AS piece
                 ON piece.tenant_id = $1 AND piece.level = wanted.level AND piece.tile = wanted.tile
                AND piece.start < wanted.width
             ORDER BY piece.level, piece.tile, piece.start",
            tx.tenant().uuid(),
            &levels,
            &tiles,
            &widths
        )
        .fetch_all(&mut **tx)
        .await
        .map_err(database_error)?;
        let mut read: HashMap<Coordinates, Vec<u8>> = HashMap::new();
        for piece in pieces {
            let at = Coordinates { level: piece.level as u8, tile: piece.tile as u64 };
            let data = read.entry(at).or_default();
            // What comes after a hole is as good as not there.
            if data.len() == piece.start as usize * HASH_SIZE {
                data.extend_from_slice(&piece.hashes);
            }
        }
        Ok(Self(read))
    }

    /// The first `width` hashes of a tile, if it has as many.
    pub(crate) fn get(&self, at: Coordinates, width: u32) -> Option<&[u8]> {
        self.0.get(&at)?.get(..width as usize * HASH_SIZE)
    }

    /// The hash at a place of a level, counted from 0.
    pub(crate) fn hash(&self, level: u8, place: u64) -> Option<&[u8; 32]> {
        let data = self.0.get(&Coordinates { level, tile: place / TILE_WIDTH })?;
        data.as_chunks().0.get((place % TILE_WIDTH) as usize)
    }
}

impl HashReader for Tiles {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TreeError> {
        let find = |index: &u64| {
            let tile = Tile::from_index(TILE_HEIGHT, *index);
            let at = Coordinates { level: tile.level(), tile: tile.level_index() };
            let data = self.get(at, tile.width()).ok_or(TreeError::IndexesNotInTree)?;
            tile.hash_at_index(data, *index)
        };
        indexes.iter().map(find).collect()
    }
}

/// Finds out which tiles a computation reads: it is run once on this, fails, and can be run again on those tiles. (The
/// functions of tlog_tiles read synchronously and all at once.)
#[derive(Default)]
pub(super) struct Plan(RefCell<BTreeMap<Coordinates, u32>>);

impl Plan {
    pub(super) fn into_inner(self) -> BTreeMap<Coordinates, u32> {
        self.0.into_inner()
    }
}

impl HashReader for Plan {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TreeError> {
        for index in indexes {
            let tile = Tile::from_index(TILE_HEIGHT, *index);
            let at = Coordinates { level: tile.level(), tile: tile.level_index() };
            let mut wanted = self.0.borrow_mut();
            let width = wanted.entry(at).or_default();
            *width = tile.width().max(*width);
        }
        Err(TreeError::IndexesNotInTree)
    }
}
