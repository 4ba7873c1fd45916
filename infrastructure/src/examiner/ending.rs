//! How a journal ends in the database: whether its head, its newest tree and what else the notary keeps fit each other.
//!
//! Each is looked at in one statement, because the journal may be growing.

use application::error::Error;

use super::{Fault, Finding};
use crate::{
    database::database_error,
    notary::signed::{self, Kept},
    tenant_tx::TenantTx,
};

/// The first thing that is wrong with the ends of the journal of the transaction's tenant.
pub(super) async fn examine_ending(tx: &mut TenantTx) -> Result<Option<Finding>, Error> {
    let head = examine_head(tx).await?;
    let tree = examine_tree(tx).await?;
    Ok(head.into_iter().chain(tree).min_by_key(|finding| finding.place))
}

/// Whether the head is the last event's. (That no event is missing before it, who reads them all finds out.)
async fn examine_head(tx: &mut TenantTx) -> Result<Option<Finding>, Error> {
    let ends = sqlx::query!(
        r#"SELECT coalesce(head.position, 0) AS "position!", head.recorded_at AS "recorded_at?",
                  last.recorded_at AS "last_at?",
                  (SELECT min(position) FROM events WHERE tenant_id = $1
                    AND position > coalesce((SELECT position FROM journal_heads WHERE tenant_id = $1), 0)) AS beyond
           FROM (VALUES (true)) AS one (row)
           LEFT JOIN journal_heads AS head ON head.tenant_id = $1
           LEFT JOIN events AS last ON last.tenant_id = $1 AND last.position = head.position"#,
        tx.tenant().uuid()
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(database_error)?;
    let late = match (ends.recorded_at, ends.last_at) {
        (Some(found), Some(last)) if found != last => {
            Some(Finding::at(ends.position as u64, Fault::HeadTime { found }))
        }
        _ => None,
    };
    let beyond = ends.beyond.map(|position| Finding::at(position as u64, Fault::BeyondHead));
    // A head that is not the last event's is another event's.
    Ok(beyond.or(late))
}

/// Whether the newest tree is newer than all else that the notary keeps, and has just the hashes that are kept.
async fn examine_tree(tx: &mut TenantTx) -> Result<Option<Finding>, Error> {
    let checkpoints = sqlx::query!(
        r#"SELECT coalesce(max(size), 0) AS "once!",
                  coalesce((SELECT size FROM journal_trees WHERE tenant_id = $1), 0) AS "covered!"
           FROM journal_checkpoints WHERE tenant_id = $1"#,
        tx.tenant().uuid()
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(database_error)?;
    let tiles = signed::counts(tx).await?;
    let leaves = tiles.iter().find(|kept| kept.level == 0);
    let outlived = rolled_back(checkpoints.covered as u64, checkpoints.once as u64);
    let outlived = outlived.into_iter().chain(leaves.and_then(|kept| rolled_back(kept.covered, kept.end)));
    // The one that tells how far the tree once went.
    Ok(outlived.last().or_else(|| tiles.iter().find_map(miscounted)))
}

fn rolled_back(covered: u64, once: u64) -> Option<Finding> {
    (once > covered).then(|| Finding::at(covered + 1, Fault::RolledBack { covered, once }))
}

fn miscounted(kept: &Kept) -> Option<Finding> {
    let Kept { level, hashes: found, expected, covered, .. } = *kept;
    (found != expected).then(|| Finding::of_checkpoint(covered, Fault::TileCount { level, found, expected }))
}
