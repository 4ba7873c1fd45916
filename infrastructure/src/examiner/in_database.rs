//! Examining a journal where it is, against what the notary has signed.
//!
//! It finds what was changed behind the server's back, by somebody who may do anything in the database but has not the key.
//! Who has removed the notary's tables as well, and let everything be signed anew, is found out by an earlier checkpoint.

use application::error::Error;
use domain::ids::TenantId;

use super::{Broken, Examiner, Fault, Finding, Report, ending::examine_ending};
use crate::{
    database::{Database, database_error},
    journal::{
        self,
        stored::{StoredEvent, read_stored},
    },
    notary::{
        Checkpoint, CheckpointError, PublicKey, claimed,
        edge::TileHash,
        signed::{self, Signed, SignedHashes},
    },
    tenant_tx::TenantTx,
};

/// How many events are read at a time: whole tiles.
const PAGE: u64 = 1_024;

/// A journal that can be examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Whose.
    pub tenant: TenantId,
    /// How many events it has, or had when it was signed or read.
    pub events: u64,
}

/// All journals, or that of `tenant`. One whose head and tree are gone is known from those who have read it.
pub async fn journals(database: &Database, tenant: Option<TenantId>) -> Result<Vec<Journal>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", max(events) AS "events!"
           FROM (
               SELECT tenant_id, position AS events FROM journal_heads
               UNION ALL SELECT tenant_id, size FROM journal_trees
               UNION ALL SELECT tenant_id, position FROM projection_checkpoints
           ) AS known
           WHERE ($1::uuid IS NULL OR tenant_id = $1) AND events > 0
           GROUP BY tenant_id ORDER BY tenant_id"#,
        tenant.map(TenantId::uuid)
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(rows
        .into_iter()
        .map(|row| Journal { tenant: row.tenant_id.into(), events: row.events as u64 })
        .collect())
}

/// Examines a tenant's journal, which is said to continue what `since` is about. `progress` is told how many events have
/// been read.
pub async fn examine_database(
    database: &Database,
    key: &PublicKey,
    tenant: TenantId,
    since: Option<&Checkpoint>,
    mut progress: impl FnMut(u64),
) -> Result<Report, Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    let tree = signed::newest(&mut tx).await?;
    let head = journal::head(&mut tx).await?;
    drop(tx);
    let examiner = Examiner::new(tenant);
    let mut walk = Walk { database, key, since, tree, head, examiner, tenant, doubt: None };
    let walked = loop {
        match walk.page().await? {
            Ok(0) => {
                let ending = examine_ending(&mut TenantTx::begin(database, tenant).await?).await?;
                let found = walk.end().into_iter().chain(ending).min_by_key(|finding| finding.place);
                break found.map_or(Ok(()), |finding| Err(finding.into()));
            }
            Ok(events) => progress(events),
            Err(broken) => break Err(broken),
        }
    };
    walk.examiner.conclude(walked).map_err(Error::internal)
}

struct Walk<'w> {
    database: &'w Database,
    key: &'w PublicKey,
    since: Option<&'w Checkpoint>,
    tree: Option<Signed>,
    head: u64,
    examiner: Examiner,
    tenant: TenantId,
    /// A hash of the notary's that is wrong, if what it was made of is what was signed.
    doubt: Option<Finding>,
}

impl Walk<'_> {
    fn signed(&self) -> u64 {
        self.tree.as_ref().map_or(0, |tree| tree.size)
    }

    /// Examines the next events; tells how many there were.
    async fn page(&mut self) -> Result<Result<u64, Broken>, Error> {
        let after = self.examiner.position();
        let signed = self.signed().min(after + PAGE);
        let mut tx = TenantTx::begin(self.database, self.tenant).await?;
        let events = read_stored(&mut tx, after, self.head.max(self.signed()), PAGE as u32).await?;
        let hashes = signed::hashes(&mut tx, after.min(signed), signed).await?;
        let kept = signed::kept(&mut tx, after, signed).await?;
        drop(tx);
        for event in &events {
            let kept = kept.iter().filter(|(size, _)| *size == event.position);
            let kept = kept.map(|(_, checkpoint)| checkpoint.as_str());
            if let Err(broken) = self.examine(event, &hashes, kept) {
                return Ok(Err(broken));
            }
        }
        Ok(Ok(events.len() as u64))
    }

    fn examine<'k>(
        &mut self,
        event: &StoredEvent,
        hashes: &SignedHashes,
        mut kept: impl Iterator<Item = &'k str>,
    ) -> Result<(), Broken> {
        let (position, signed) = (event.position, self.signed());
        let mut wrong = None;
        self.examiner.take_and_tell(event, |hash| {
            let fault = || compare_hash(&hash, hashes.at(hash.level, hash.index));
            wrong = wrong.take().or_else(|| if position <= signed { fault() } else { None });
        })?;
        match wrong.map(|fault| Finding::at(position, fault)) {
            // Either the hash was changed, or all that it is made of: the next checkpoint tells.
            Some(doubt @ Finding { fault: Fault::Tile { .. }, .. }) => drop(self.doubt.get_or_insert(doubt)),
            Some(finding) => return Err(finding.into()),
            None => {}
        }
        kept.try_for_each(|checkpoint| self.compare_kept(checkpoint))?;
        if let Some(since) = self.since.filter(|since| since.size == position) {
            self.compare(since)?;
        }
        if let Some(tree) = self.tree.as_ref().filter(|tree| tree.size == position).cloned() {
            let checkpoint = self.open(&tree.checkpoint)?;
            self.compare(&checkpoint)?;
            if self.examiner.edge.to_bytes() != tree.edge {
                return Err(Finding::of_checkpoint(position, Fault::Edge).into());
            }
        }
        Ok(())
    }

    /// Compares with an earlier checkpoint that was kept as one of just the events that were taken.
    fn compare_kept(&mut self, note: &str) -> Result<(), Finding> {
        let (taken, root) = (self.examiner.position(), self.examiner.edge.root());
        match self.open(note) {
            // Signed before the installation was given another key: it vouches for nothing, but must not say otherwise.
            Err(Finding { fault: Fault::Checkpoint(CheckpointError::OtherKey), .. }) => {
                let same = claimed(note) == Some((self.tenant, taken, root));
                same.then_some(()).ok_or(Finding::of_checkpoint(taken, Fault::OtherTree))
            }
            opened => self.compare(&opened?),
        }
    }

    fn open(&self, note: &str) -> Result<Checkpoint, Finding> {
        let of = |fault| Finding::of_checkpoint(self.examiner.position(), fault);
        let checkpoint = self.key.open(note).map_err(|error| of(Fault::Checkpoint(error)))?;
        let size = checkpoint.size;
        if size == self.examiner.position() { Ok(checkpoint) } else { Err(of(Fault::CheckpointOf { size })) }
    }

    /// Compares with a checkpoint, which also settles what was in doubt.
    fn compare(&mut self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        self.examiner.compare(checkpoint)?;
        self.doubt.take().map_or(Ok(()), Err)
    }

    fn end(&self) -> Option<Finding> {
        let wanted = [self.head, self.signed(), self.since.map_or(0, |since| since.size)];
        let position = self.examiner.position();
        let is_short = wanted.iter().any(|wanted| position < *wanted);
        is_short.then(|| Finding::at(position + 1, Fault::Missing { next: None }))
    }
}

/// What is wrong with a hash of the tree as the notary keeps it.
fn compare_hash(hash: &TileHash, kept: Option<&[u8; 32]>) -> Option<Fault> {
    let level = hash.level;
    match (kept, level) {
        (Some(kept), _) if *kept == hash.hash => None,
        (Some(_), 0) => Some(Fault::Signed),
        (Some(_), _) => Some(Fault::Tile { level }),
        (None, 0) => Some(Fault::Unrecorded),
        (None, _) => Some(Fault::TileGone { level }),
    }
}
