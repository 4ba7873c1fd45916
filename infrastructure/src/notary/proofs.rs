//! What whoever does not trust the server asks for: checkpoints, tiles and proofs. All of it is about the newest
//! checkpoint, and is computed from a handful of tiles, however long the journal is.

use std::time::Duration;

use application::error::Error;
use domain::{aggregate::RefusalKind, ctx::Ctx, invalid::Invalid, permission::Permission};
use tlog_tiles::{Error as TreeError, Hash, HashReader, Tile, prove_record, prove_tree, stored_hash_index};
use tokio::time::Instant;

use super::{
    edge::TILE_HEIGHT,
    signed::{self, Signed},
    tiles::{Coordinates, Plan, TILE_WIDTH, Tiles},
};
use crate::{database::Database, tenant_tx::TenantTx};

/// How long a read waits for a checkpoint over the position that it was asked for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(50);

/// That an event is in the tree (RFC 6962, section 2.1.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Inclusion {
    /// The leaf's place in the tree: one less than the event's position.
    pub leaf_index: u64,
    /// The leaf.
    pub leaf_hash: [u8; 32],
    /// The audit path, from the leaf to the root.
    pub hashes: Vec<[u8; 32]>,
    /// The tree.
    pub tree: Signed,
}

/// That a tree continues an earlier one (RFC 6962, section 2.1.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Consistency {
    /// The size of the earlier tree.
    pub from: u64,
    /// The size of the later tree.
    pub to: u64,
    /// The proof.
    pub hashes: Vec<[u8; 32]>,
    /// The newest tree.
    pub tree: Signed,
}

/// The newest checkpoint of the context's tenant. Waits a little for one that covers `min_position`, or for the first.
pub async fn newest(ctx: &Ctx, database: &Database, min_position: u64) -> Result<Signed, Error> {
    ctx.require(Permission::AuditRead)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let signed = signed::newest(&mut TenantTx::begin(database, ctx.tenant).await?).await?;
        let seen = signed.as_ref().map_or(0, |signed| signed.size);
        match signed {
            Some(signed) if seen >= min_position => return Ok(signed),
            _ if Instant::now() + PAUSE > deadline => {
                return Err(Error::ReadModelBehind { seen, wanted: min_position.max(1) });
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// That the event at `position` is in the newest tree.
pub async fn inclusion(ctx: &Ctx, database: &Database, position: u64) -> Result<Inclusion, Error> {
    let Some(leaf_index) = position.checked_sub(1) else {
        return Err(refused(RefusalKind::Invalid, "position_out_of_range", "positions begin at 1"));
    };
    let (tree, hashes) = prove(ctx, database, Some(position), |size, reader| {
        let leaf = reader.read_hashes(&[stored_hash_index(0, leaf_index)]);
        let path = prove_record(size, leaf_index, reader)?;
        Ok([leaf?, path].concat())
    })
    .await?;
    let (leaf, path) = hashes.split_first().ok_or_else(|| Error::internal("the leaf was read"))?;
    Ok(Inclusion { leaf_index, leaf_hash: *leaf, hashes: path.to_vec(), tree })
}

/// That the tree over the first `to` events (by default, the newest one) continues that over the first `from`.
pub async fn consistency(
    ctx: &Ctx,
    database: &Database,
    from: u64,
    to: Option<u64>,
) -> Result<Consistency, Error> {
    if from == 0 {
        return Err(out_of_range("?from", "must be at least 1"));
    }
    if to.is_some_and(|to| to < from) {
        return Err(out_of_range("?to", "must be at least `from`"));
    }
    let (tree, hashes) = prove(ctx, database, Some(to.unwrap_or(from)), |size, reader| {
        prove_tree(to.unwrap_or(size), from, reader)
    })
    .await?;
    Ok(Consistency { from, to: to.unwrap_or(tree.size), hashes, tree })
}

/// A tile by its path below `tile/{level}/` (C2SP tlog-tiles, "Merkle Tree"): its hashes, one after the other.
pub async fn tile(ctx: &Ctx, database: &Database, level: &str, path: &str) -> Result<Vec<u8>, Error> {
    ctx.require(Permission::AuditRead)?;
    let (at, width) = coordinates(level, path).ok_or_else(Error::not_found)?;
    let mut tx = TenantTx::begin(database, ctx.tenant).await?;
    let tree = signed::newest(&mut tx).await?.ok_or_else(Error::not_found)?;
    let hashes_in_level = tree.size >> (u32::from(at.level) * u32::from(TILE_HEIGHT));
    if at.tile.checked_mul(TILE_WIDTH).is_none_or(|start| start + u64::from(width) > hashes_in_level) {
        return Err(Error::not_found());
    }
    let tiles = Tiles::load(&mut tx, &[(at, width)].into()).await?;
    tiles.get(at, width).map(<[u8]>::to_vec).ok_or_else(|| Error::internal("a tile is not complete"))
}

/// What a path means, if it is written as it must be.
fn coordinates(level: &str, path: &str) -> Option<(Coordinates, u32)> {
    // Tile::from_path panics at what could be no tile: it has at least one hash and is below level 64. Level 7 is the
    // last that a tree can reach whose size is a 64-bit number.
    if !matches!(level.as_bytes(), [b'0'..=b'7']) || path.ends_with(".p/0") {
        return None;
    }
    let tile = Tile::from_path(&format!("tile/{TILE_HEIGHT}/{level}/{path}")).ok()?;
    Some((Coordinates { level: tile.level(), tile: tile.level_index() }, tile.width()))
}

/// Computes a proof about the newest tree, which must cover position `upto`.
async fn prove(
    ctx: &Ctx,
    database: &Database,
    upto: Option<u64>,
    compute: impl Fn(u64, &Reader<'_>) -> Result<Vec<Hash>, TreeError>,
) -> Result<(Signed, Vec<[u8; 32]>), Error> {
    ctx.require(Permission::AuditRead)?;
    let mut tx = TenantTx::begin(database, ctx.tenant).await?;
    let tree = signed::newest(&mut tx).await?;
    let size = tree.as_ref().map_or(0, |tree| tree.size);
    let Some(tree) = tree.filter(|_| upto.is_none_or(|upto| upto <= size)) else {
        let detail =
            format!("the newest checkpoint covers {size} events; newer ones are signed within a second");
        return Err(refused(RefusalKind::Conflict, "not_signed_yet", &detail));
    };
    let plan = Plan::default();
    // Fails, for the plan has no hashes, unless it needs none.
    let _ = compute(size, &Reader(&plan));
    let tiles = Tiles::load(&mut tx, &plan.into_inner()).await?;
    let proof = compute(size, &Reader(&tiles)).map_err(|error| Error::internal(error.to_string()))?;
    Ok((tree, proof.into_iter().map(|hash| hash.0).collect()))
}

/// Either of the two that a proof is computed with.
struct Reader<'r>(&'r dyn HashReader);

impl HashReader for Reader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TreeError> {
        self.0.read_hashes(indexes)
    }
}

fn refused(kind: RefusalKind, code: &'static str, detail: &str) -> Error {
    Error::refused(kind, code, detail)
}

fn out_of_range(parameter: &str, rule: &'static str) -> Error {
    Error::field(parameter, Invalid::new("out_of_range", rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_one_path() {
        let at = |level, tile, width| Some((Coordinates { level, tile }, width));
        assert_eq!(coordinates("0", "000"), at(0, 0, 256));
        assert_eq!(coordinates("0", "000.p/1"), at(0, 0, 1));
        assert_eq!(coordinates("1", "x001/x234/067.p/255"), at(1, 1_234_067, 255));
        let wrong = [
            "",
            "0",
            "0000",
            "x000/001",
            "000.p/0",
            "000.p/256",
            "000.p/01",
            "-01",
            "000/",
            "../000",
            "data/000",
            "x018/x446/x744/x073/x709/x551/616.p/255",
            "x999/x999/x999/x999/x999/x999/x999/999",
        ];
        for path in wrong {
            assert_eq!(coordinates("0", path), None, "{path}");
        }
        assert_eq!(coordinates("8", "000"), None);
        assert_eq!(coordinates("00", "000"), None);
    }
}
