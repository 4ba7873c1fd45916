//! What the notary has signed, as it is kept.

use std::collections::BTreeMap;

use application::error::Error;

use super::{
    edge::TILE_HEIGHT,
    tiles::{Coordinates, TILE_WIDTH, Tiles},
};
use crate::{database::database_error, tenant_tx::TenantTx};

/// A signed tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// How many events it covers.
    pub size: u64,
    /// Its right edge ([`Edge::from_bytes`](super::edge::Edge::from_bytes)).
    pub edge: Vec<u8>,
    /// The checkpoint's text.
    pub checkpoint: String,
}

/// The newest tree of the transaction's tenant.
pub async fn newest(tx: &mut TenantTx) -> Result<Option<Signed>, Error> {
    let row = sqlx::query!(
        "SELECT size, edge, checkpoint FROM journal_trees WHERE tenant_id = $1",
        tx.tenant().uuid()
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(row.map(|row| Signed { size: row.size as u64, edge: row.edge, checkpoint: row.checkpoint }))
}

/// Earlier checkpoints that were kept, with their sizes: those that cover more than `after` events and at most `upto`.
pub async fn kept(tx: &mut TenantTx, after: u64, upto: u64) -> Result<Vec<(u64, String)>, Error> {
    let rows = sqlx::query!(
        "SELECT size, checkpoint FROM journal_checkpoints
         WHERE tenant_id = $1 AND size > $2 AND size <= $3 ORDER BY size",
        tx.tenant().uuid(),
        after as i64,
        upto as i64
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(rows.into_iter().map(|row| (row.size as u64, row.checkpoint)).collect())
}

/// The notary's hashes, of all levels, that became final with the events after position `after` and up to `upto`.
pub async fn hashes(tx: &mut TenantTx, after: u64, upto: u64) -> Result<SignedHashes, Error> {
    let mut wanted = BTreeMap::new();
    for level in 0..LEVELS {
        let [first, end] = [after, upto].map(|size| hashes_of(size, level));
        if first < end {
            let tiles = first / TILE_WIDTH..end.div_ceil(TILE_WIDTH);
            wanted.extend(tiles.map(|tile| (Coordinates { level, tile }, TILE_WIDTH as u32)));
        }
    }
    Ok(SignedHashes(Tiles::load(tx, &wanted).await?))
}

/// Hashes of a tree as they were signed.
pub struct SignedHashes(Tiles);

impl SignedHashes {
    /// The one that stands at a place of a level of the tiles, if it is kept.
    pub(crate) fn at(&self, level: u8, place: u64) -> Option<&[u8; 32]> {
        self.0.hash(level, place)
    }
}

/// What is kept of the hashes of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The level.
    pub level: u8,
    /// How many hashes are kept.
    pub hashes: u64,
    /// Where in the level they end.
    pub end: u64,
    /// How many the newest signed tree has.
    pub expected: u64,
    /// How many events that covers.
    pub covered: u64,
}

/// What is kept of each level, and belongs there by the newest tree, all as of one moment.
pub async fn counts(tx: &mut TenantTx) -> Result<Vec<Kept>, Error> {
    let rows = sqlx::query!(
        r#"SELECT level AS "level!", coalesce(piece.hashes, 0) AS "hashes!", coalesce(piece.ends, 0) AS "ends!",
                  coalesce(tree.size, 0) AS "size!"
           FROM generate_series(0, 7) AS level
           LEFT JOIN journal_trees AS tree ON tree.tenant_id = $1
           LEFT JOIN (
               SELECT level, sum(octet_length(hashes) / 32) AS hashes,
                      max(tile * 256 + start + octet_length(hashes) / 32) AS ends
               FROM journal_tiles WHERE tenant_id = $1 GROUP BY level
           ) AS piece USING (level)
           ORDER BY level"#,
        tx.tenant().uuid()
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let kept = rows.into_iter().map(|row| {
        let (level, covered) = (row.level as u8, row.size as u64);
        let expected = hashes_of(covered, level);
        Kept { level, hashes: row.hashes as u64, end: row.ends as u64, expected, covered }
    });
    Ok(kept.collect())
}

/// How many levels tiles can have: a tree's size is a 64-bit number.
const LEVELS: u8 = 8;

/// How many hashes of a level a tree of this size has.
fn hashes_of(size: u64, level: u8) -> u64 {
    size >> (u32::from(level) * u32::from(TILE_HEIGHT))
}
