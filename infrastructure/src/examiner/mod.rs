//! Examines a journal, event by event, with nothing to trust but a public key.
//!
//! It holds a few hashes, and notes about streams that it puts into a temporary file as they become many, so a journal may
//! be of any length.

mod ending;
mod finding;
mod in_database;
mod in_export;
mod lines;
mod sequences;

use std::io;

use chrono::{DateTime, Utc};
use domain::ids::TenantId;

use self::sequences::Sequences;
pub use self::{
    finding::{Fault, Finding, Place},
    in_database::{Journal, examine_database, journals},
    in_export::{examine_each, examine_export},
};
use crate::{
    journal::stored::StoredEvent,
    notary::{
        Checkpoint,
        edge::{Edge, TileHash},
    },
};

/// What an examination came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose journal it is, if that could be read.
    pub tenant: Option<TenantId>,
    /// How many events were found to be good.
    pub events: u64,
    /// How many of them no checkpoint covers yet.
    pub unsigned: u64,
    /// When the last of them was recorded.
    pub recorded_at: Option<DateTime<Utc>>,
    /// The root of the tree over them.
    pub root: [u8; 32],
    /// The first thing that is wrong.
    pub finding: Option<Finding>,
}

/// Why an examination does not go on.
#[derive(Debug)]
pub enum Broken {
    /// Something is wrong with the journal.
    Finding(Finding),
    /// It can't be read, or there is no room for notes about it.
    Io(io::Error),
}

impl From<Finding> for Broken {
    fn from(finding: Finding) -> Self {
        Self::Finding(finding)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An examination under way.
pub struct Examiner {
    tenant: TenantId,
    edge: Edge,
    recorded_at: Option<DateTime<Utc>>,
    sequences: Sequences,
    /// How many events the last good checkpoint covers.
    vouched: u64,
}

impl Examiner {
    /// Begins with a tenant's first event.
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, edge: Edge::default(), recorded_at: None, sequences: Sequences::default(), vouched: 0 }
    }

    /// The position of the last event that was taken.
    pub fn position(&self) -> u64 {
        self.edge.size()
    }

    /// Takes the next event.
    pub fn take(&mut self, event: &StoredEvent) -> Result<(), Broken> {
        self.take_and_tell(event, |_| {})
    }

    /// The same; tells which hashes of tiles are final with it.
    fn take_and_tell(&mut self, event: &StoredEvent, tell: impl FnMut(TileHash)) -> Result<(), Broken> {
        if let Some(finding) = self.look_at(event) {
            return Err(finding.into());
        }
        self.sequences.note(event.stream.id, event.position, event.sequence)?;
        self.recorded_at = Some(event.recorded_at);
        self.edge.grow(event.leaf_hash, tell);
        Ok(())
    }

    fn look_at(&self, event: &StoredEvent) -> Option<Finding> {
        let expected = self.edge.size() + 1;
        let found = event.position;
        // An event that comes again, or that was put between others, stands where a later one is expected.
        let fault = if found > expected {
            return Some(Finding::at(expected, Fault::Missing { next: Some(found) }));
        } else if found < expected {
            Fault::Twice { expected }
        } else if event.tenant_id != self.tenant {
            Fault::Tenant { found: event.tenant_id }
        } else if event.computed_leaf_hash() != event.leaf_hash {
            Fault::LeafHash
        } else if self.recorded_at.is_some_and(|earlier| event.recorded_at < earlier) {
            Fault::TimeTurnedBack
        } else {
            return None;
        };
        Some(Finding::at(found, fault))
    }

    /// Compares what was taken so far with a checkpoint that claims to cover just that.
    pub fn compare(&mut self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        let (taken, covered) = (self.edge.size(), checkpoint.size);
        if checkpoint.tenant != self.tenant {
            return Err(Finding::of_checkpoint(taken, Fault::Tenant { found: checkpoint.tenant }));
        }
        if covered > taken {
            return Err(Finding::at(taken + 1, Fault::Missing { next: None }));
        }
        if covered < taken {
            return Err(Finding::at(covered + 1, Fault::Uncovered { covered }));
        }
        if checkpoint.root != self.edge.root() {
            return Err(Finding::at(self.vouched + 1, Fault::Root { upto: taken }));
        }
        self.vouched = covered;
        Ok(())
    }

    /// Ends the examination; `walked` is how it went.
    pub fn conclude(self, walked: Result<(), Broken>) -> io::Result<Report> {
        let found = match walked {
            Ok(()) => None,
            Err(Broken::Finding(finding)) => Some(finding),
            Err(Broken::Io(error)) => return Err(error),
        };
        let (events, root) = (self.edge.size(), self.edge.root());
        let wrong = self.sequences.first_wrong()?;
        let wrong = wrong.map(|wrong| Finding::at(wrong.position, Fault::Sequence(wrong)));
        Ok(Report {
            tenant: Some(self.tenant),
            events,
            unsigned: events - self.vouched,
            recorded_at: self.recorded_at,
            root,
            finding: wrong.into_iter().chain(found).min_by_key(|finding| finding.place),
        })
    }
}
