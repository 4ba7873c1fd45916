//! The notary: lets each tenant's Merkle tree grow with its journal, and signs it.
//!
//! A checkpoint that was signed must never be contradicted by a later one. That holds whatever dies when, and however many
//! notaries work at once, because a tree is made of nothing but events that are committed for good and in their final
//! order: two notaries that look at the same events sign the same tree, to the byte, and one that looks later signs a
//! longer one. Beyond that a notary goes on only from what its own key has signed: an edge that does not give the root of
//! its checkpoint was changed behind its back, and is left for `annals verify` to tell of.
//!
//! Its commits need not wait for the disk. A crash of PostgreSQL may forget a checkpoint that somebody has fetched; but it
//! forgets no event that was committed, so what is signed next continues what was forgotten.

mod checkpoint;
pub mod edge;
mod key;
pub mod proofs;
mod rounds;
pub mod signed;
mod tiles;
mod trees;
mod visit;

use application::error::Error;
use domain::ids::TenantId;

pub(crate) use self::checkpoint::claimed;
pub use self::{
    checkpoint::{Checkpoint, CheckpointError},
    key::{NotaryKey, PublicKey, PublicKeyError},
};
use crate::database::Database;

/// How many events are taken into a tree in one visit.
const BATCH: u32 = 8_192;

/// Signs the trees of all tenants.
pub struct Notary {
    database: Database,
    key: NotaryKey,
    batch: u32,
}

/// How a visit to a tenant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The signed tree covers the journal, as far as could be seen.
    Done,
    /// A batch was signed, by this notary or by another one; there may be more.
    More,
}

impl Notary {
    /// A notary for the journals in `database`.
    pub fn new(database: Database, key: NotaryKey) -> Self {
        Self { database, key, batch: BATCH }
    }

    /// The same with smaller batches.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn with_batch(self, batch: u32) -> Self {
        Self { batch, ..self }
    }

    /// Signs all of a tenant's journal.
    pub async fn catch_up(&self, tenant: TenantId) -> Result<(), Error> {
        while self.visit(tenant).await? == Visit::More {}
        Ok(())
    }
}
