//! Examining a journal where it is, against what the notary has signed.
//!
//! It finds what was changed behind the server's back, by somebody who may do anything in the database but has not the key.
//! Who has removed the notary's tables as well, and let everything be signed anew, is found out by an earlier checkpoint.

use application::error::Error;
use domain::ids::TenantId;

use super::{Broken, Examiner, Fault, Finding, Report};
use crate::{
    database::{Database, database_error},
    journal::{
        self,
        stored::{StoredEvent, read_stored},
    },
    notary::{
        Checkpoint, CheckpointError, PublicKey,
        signed::{self, Signed},
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
    /// How many events it has, or had when it was signed.
    pub events: u64,
}

/// All journals, or that of `tenant`.
pub async fn journals(database: &Database, tenant: Option<TenantId>) -> Result<Vec<Journal>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", greatest(head.position, tree.size) AS "events!"
           FROM journal_heads AS head FULL JOIN journal_trees AS tree USING (tenant_id)
           WHERE ($1::uuid IS NULL OR tenant_id = $1) AND greatest(head.position, tree.size) > 0
           ORDER BY tenant_id"#,
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
    let mut walk = Walk { database, key, since, tree, head, examiner: Examiner::new(tenant), tenant };
    let walked = loop {
        match walk.page().await? {
            Ok(0) => {
                break match (walk.end(), beyond_head(database, tenant).await?) {
                    (Ok(()), Some(position)) => Err(Finding::at(position, Fault::BeyondHead).into()),
                    (ended, _) => ended,
                };
            }
            Ok(events) => progress(events),
            Err(broken) => break Err(broken),
        }
    };
    walk.examiner.conclude(walked).map_err(Error::internal)
}

/// The first event behind the journal's end, where no append puts one.
async fn beyond_head(database: &Database, tenant: TenantId) -> Result<Option<u64>, Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    // In one statement, because the journal may be growing.
    let position = sqlx::query_scalar!(
        "SELECT min(position) FROM events
         WHERE tenant_id = $1
           AND position > coalesce((SELECT position FROM journal_heads WHERE tenant_id = $1), 0)",
        tenant.uuid()
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(position.map(|position| position as u64))
}

struct Walk<'w> {
    database: &'w Database,
    key: &'w PublicKey,
    since: Option<&'w Checkpoint>,
    tree: Option<Signed>,
    head: u64,
    examiner: Examiner,
    tenant: TenantId,
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
        let leaves = signed::leaves(&mut tx, after.min(signed), signed).await?;
        let kept = signed::kept(&mut tx, after, signed).await?;
        drop(tx);
        for event in &events {
            let kept = kept.iter().filter(|(size, _)| *size == event.position);
            let kept = kept.map(|(_, checkpoint)| checkpoint.as_str());
            if let Err(broken) = self.examine(event, leaves.at(event.position), kept) {
                return Ok(Err(broken));
            }
        }
        Ok(Ok(events.len() as u64))
    }

    fn examine<'k>(
        &mut self,
        event: &StoredEvent,
        signed: Option<&[u8; 32]>,
        kept: impl Iterator<Item = &'k str>,
    ) -> Result<(), Broken> {
        self.examiner.take(event)?;
        let position = event.position;
        match signed {
            Some(signed) if *signed != event.leaf_hash => {
                return Err(Finding::at(position, Fault::Signed).into());
            }
            None if position <= self.signed() => return Err(Finding::at(position, Fault::Unrecorded).into()),
            _ => {}
        }
        for checkpoint in kept {
            match self.key.open(checkpoint) {
                // Signed before the installation was given another key.
                Err(CheckpointError::OtherKey) => {}
                opened => self.compare(opened)?,
            }
        }
        if let Some(since) = self.since.filter(|since| since.size == position) {
            self.examiner.compare(since)?;
        }
        let newest = self.tree.as_ref().filter(|tree| tree.size == position);
        if let Some(opened) = newest.map(|tree| self.key.open(&tree.checkpoint)) {
            self.compare(opened)?;
        }
        Ok(())
    }

    fn compare(&mut self, opened: Result<Checkpoint, CheckpointError>) -> Result<(), Finding> {
        let after = self.examiner.position();
        let checkpoint = opened.map_err(|error| Finding::of_checkpoint(after, Fault::Checkpoint(error)))?;
        self.examiner.compare(&checkpoint)
    }

    fn end(&self) -> Result<(), Broken> {
        let wanted = [self.head, self.signed(), self.since.map_or(0, |since| since.size)];
        let position = self.examiner.position();
        if wanted.iter().any(|wanted| position < *wanted) {
            return Err(Finding::at(position + 1, Fault::Missing { next: None }).into());
        }
        Ok(())
    }
}
