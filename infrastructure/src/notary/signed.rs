//! What the notary has signed, as it is kept.

use std::collections::BTreeMap;

use application::error::Error;

use super::tiles::{Coordinates, TILE_WIDTH, Tiles};
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

/// The notary's copies of the leaf hashes of the events after position `after` and up to `upto`.
pub async fn leaves(tx: &mut TenantTx, after: u64, upto: u64) -> Result<SignedLeaves, Error> {
    let tiles = after / TILE_WIDTH..upto.div_ceil(TILE_WIDTH);
    let wanted: BTreeMap<_, _> =
        tiles.map(|tile| (Coordinates { level: 0, tile }, TILE_WIDTH as u32)).collect();
    Ok(SignedLeaves(Tiles::load(tx, &wanted).await?))
}

/// Leaf hashes as they were signed.
pub struct SignedLeaves(Tiles);

impl SignedLeaves {
    /// That of the event at a position, if it is kept.
    pub fn at(&self, position: u64) -> Option<&[u8; 32]> {
        self.0.leaf(position.checked_sub(1)?)
    }
}
