//! Foreign aggregate: one whose events another cqrs-es system has decided, kept as they came.
//!
//! ```text
//!                          ┌────────┐
//!                          ▼        │ Import
//! Absent ── Import ──▶ Imported ────┘
//! ```
//! Nothing here knows what the events mean. What is kept is their order: event n of the other system is event n of the
//! stream, so an import that comes again changes nothing, one that was interrupted goes on, and one that leaves something
//! out is refused. The newest event's digest is remembered, so that a history does not go on as another one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    raw_json::RawJson,
};

/// A foreign aggregate's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum ForeignAggregate {
    /// Nothing of it was imported.
    #[default]
    Absent,
    /// Its beginning was imported, or all of it.
    Imported {
        /// The sequence of the newest event.
        sequence: u64,
        /// That event's [`ForeignEventImported::digest`].
        digest: String,
    },
}

/// What can be asked of a foreign aggregate.
#[derive(Clone, Debug)]
pub enum ForeignAggregateCommand {
    /// Keep its next event.
    Import(ForeignEventImported),
}

events! {
    /// What has happened to a foreign aggregate.
    ForeignAggregateEvent {
        /// An event of it was imported.
        ForeignEventImported = 1 {
            /// What the other system calls this kind of aggregate.
            aggregate_type: String,
            /// What it calls this one.
            aggregate_id: String,
            /// The event's place among those of the aggregate, from 1.
            sequence: u64,
            /// What it calls the event's type.
            event_type: String,
            /// The version that it gives the payload.
            event_version: String,
            /// The payload, byte for byte.
            payload: RawJson,
            /// The metadata, byte for byte.
            metadata: RawJson,
        }
    }
}

/// Why a foreign event was not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignAggregateReason {
    /// There are events before it that were not imported.
    #[error("{aggregate}: event {found} follows where event {expected} should")]
    Gap {
        /// Type and id of the aggregate.
        aggregate: String,
        /// The sequence that is next.
        expected: u64,
        /// The sequence that came.
        found: u64,
    },
    /// It is not the event that was imported under this sequence.
    #[error(
        "{aggregate}: event {sequence} is not the one that was imported; this is another system's aggregate of the same \
         name, or its history was rewritten"
    )]
    Diverged {
        /// Type and id of the aggregate.
        aggregate: String,
        /// The sequence that there are two events of.
        sequence: u64,
    },
}

impl Refusal for ForeignAggregateReason {
    fn kind(&self) -> RefusalKind {
        RefusalKind::Conflict
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Gap { .. } => "foreign_event_gap",
            Self::Diverged { .. } => "foreign_history_diverged",
        }
    }
}

aggregate! {
    ForeignAggregate = "foreign_aggregate",
    ForeignAggregateCommand -> ForeignAggregateEvent or ForeignAggregateReason
}

impl Decide for ForeignAggregate {
    const SNAPSHOT_EVERY: u64 = 100;

    fn decide(
        &self,
        command: ForeignAggregateCommand,
        _now: DateTime<Utc>,
    ) -> Result<Vec<ForeignAggregateEvent>, ForeignAggregateReason> {
        let ForeignAggregateCommand::Import(imported) = command;
        let found = imported.sequence;
        match self {
            // What comes before the newest is taken to be the same: its digest is not here any more.
            Self::Imported { sequence, .. } if (1..*sequence).contains(&found) => Ok(vec![]),
            Self::Imported { sequence, digest } if found == *sequence => {
                if imported.digest() == *digest {
                    return Ok(vec![]);
                }
                Err(ForeignAggregateReason::Diverged { aggregate: imported.aggregate(), sequence: found })
            }
            Self::Absent | Self::Imported { .. } => {
                let expected = self.sequence() + 1;
                if found == expected {
                    return Ok(vec![imported.into()]);
                }
                Err(ForeignAggregateReason::Gap { aggregate: imported.aggregate(), expected, found })
            }
        }
    }
}

impl ForeignAggregate {
    /// The sequence of the newest event; 0 if there is none.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Imported { sequence, .. } => *sequence,
        }
    }

    fn evolve(&mut self, event: ForeignAggregateEvent) {
        let ForeignAggregateEvent::ForeignEventImported(imported) = event;
        *self = Self::Imported { sequence: imported.sequence, digest: imported.digest() };
    }
}

impl ForeignEventImported {
    /// SHA-256 over what the other system says of the event, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for text in [&self.event_type, &self.event_version, self.payload.get(), self.metadata.get()] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn aggregate(&self) -> String {
        format!("{} {}", self.aggregate_type, self.aggregate_id)
    }
}

#[cfg(test)]
#[path = "foreign_aggregates_tests.rs"]
mod tests;
