//! Restoring a tenant's journal from an export: event for event as it was, so that it has the same leaf hashes.
//!
//! What is restored happened long ago: read models take it in like everything else, but nothing reacts to it again. The one
//! exception is an erasure that was still under way: who asked to be forgotten is.

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::{
    database::Database,
    journal::{
        head,
        restoring::{append_stored, begin_locked, recount_claims},
        stored::{StoredEvent, read_stored},
    },
    tenant_tx::TenantTx,
};

use crate::{
    groups,
    reactions::{Reactions, erasure},
};

/// Puts back the events of one journal.
pub struct Restorer {
    database: Database,
    tenant: TenantId,
}

/// What was found of some events of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// They are here: so many of them, from the first one on.
    Same(usize),
    /// The event at this position is another one here.
    Different(u64),
}

/// Why events are not appended.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Somebody else has appended something.
    #[error(
        "the journal has grown meanwhile, to position {0}: somebody works here with what is being restored"
    )]
    Outrun(u64),
    /// A claim, or the database.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Restorer {
    /// For the journal of `tenant`.
    pub fn new(database: Database, tenant: TenantId) -> Self {
        Self { database, tenant }
    }

    /// Where the journal ends here.
    pub async fn end(&self) -> Result<u64, Error> {
        head(&mut TenantTx::begin(&self.database, self.tenant).await?).await
    }

    /// Compares events of an export, which follow each other, with those at their positions here.
    pub async fn compare(&self, events: &[StoredEvent]) -> Result<Found, Error> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(Found::Same(0)) };
        let mut tx = TenantTx::begin(&self.database, self.tenant).await?;
        let end = head(&mut tx).await?.min(last.position);
        let here = read_stored(&mut tx, first.position - 1, end, events.len() as u32).await?;
        let differs = |(event, here): &(&StoredEvent, &StoredEvent)| event.leaf_hash != here.leaf_hash;
        Ok(match events.iter().zip(&here).find(differs) {
            Some((event, _)) => Found::Different(event.position),
            None => Found::Same(here.len()),
        })
    }

    /// Appends events, which are the next ones, in one commit.
    pub async fn append(&self, events: &[StoredEvent]) -> Result<(), RestoreError> {
        let tx = self.begin(events).await?;
        Ok(tx.commit().await?)
    }

    /// Appends the last events of an export, if there are some that are not here, and makes the claims those of all of the
    /// journal.
    pub async fn finish(&self, events: &[StoredEvent]) -> Result<(), RestoreError> {
        let mut tx = self.begin(events).await?;
        recount_claims(&self.database, &mut tx).await?;
        erasure::resume(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Appends events behind the locked end, and puts reactions behind them.
    async fn begin(&self, events: &[StoredEvent]) -> Result<TenantTx, RestoreError> {
        let (mut tx, end) = begin_locked(&self.database, self.tenant).await?;
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            if first.position != end + 1 {
                return Err(RestoreError::Outrun(end));
            }
            append_stored(&mut tx, events).await?;
            groups::skip(&mut tx, Reactions::NAME, last.position).await?;
        }
        Ok(tx)
    }
}
