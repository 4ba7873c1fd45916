//! What an examination finds to be wrong.

use std::{cmp::Ordering, fmt};

use chrono::{DateTime, Utc};
use domain::ids::TenantId;

use super::sequences::OutOfSequence;
use crate::notary::CheckpointError;

/// The first thing that is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// Where something is wrong. One place is before another if it is come across earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In what precedes the events.
    Header,
    /// At the event of this position.
    Position(u64),
    /// In the checkpoint that stands after this many events.
    Checkpoint(u64),
}

impl Place {
    fn order(self) -> (u64, u8) {
        match self {
            Self::Header => (0, 0),
            Self::Position(position) => (position, 1),
            Self::Checkpoint(after) => (after, 2),
        }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It can't be read, or not in this place.
    Malformed(String),
    /// There is no event of this position; instead there is another, or the end.
    Missing {
        /// What comes in its place.
        next: Option<u64>,
    },
    /// An event of this position comes where another is expected.
    Twice {
        /// The position that is expected.
        expected: u64,
    },
    /// It belongs to another tenant.
    Tenant {
        /// To which.
        found: TenantId,
    },
    /// The leaf hash is not that of the fields.
    LeafHash,
    /// Fields and leaf hash fit each other, but another leaf hash was signed.
    Signed,
    /// The notary has signed it, but its copy of the leaf hash is gone.
    Unrecorded,
    /// It is behind the journal's end: no append has put it there, or the end was moved.
    BeyondHead,
    /// It was recorded earlier than the event before it.
    TimeTurnedBack,
    /// Its place in its stream is not the next one.
    Sequence(OutOfSequence),
    /// No checkpoint covers it, though one should.
    Uncovered {
        /// How many events are covered.
        covered: u64,
    },
    /// The tree is not the one that was signed: some event from here up to `upto` is not what it was.
    Root {
        /// The last position that can be at fault.
        upto: u64,
    },
    /// The checkpoint is not good.
    Checkpoint(CheckpointError),
    /// It is kept as a checkpoint of as many events as precede it, and is one of another number.
    CheckpointOf {
        /// Of how many.
        size: u64,
    },
    /// The checkpoint, which another key has signed, is not one of this journal.
    OtherTree,
    /// The notary's hash over the events up to here is not that of the events, though those are what was signed.
    Tile {
        /// Its level in the tiles, from 1.
        level: u8,
    },
    /// That hash is gone.
    TileGone {
        /// Its level in the tiles, from 1.
        level: u8,
    },
    /// The notary keeps another number of hashes than the signed tree has.
    TileCount {
        /// Their level in the tiles.
        level: u8,
        /// How many it keeps.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// The edge that the tree is to grow from is not the tree's.
    Edge,
    /// It was signed once, as the notary's tables show, but the newest signed tree does not reach it.
    RolledBack {
        /// How many events the newest signed tree has.
        covered: u64,
        /// How many there were once, at least.
        once: u64,
    },
    /// It is the journal's last event, and was not recorded when the journal's end says.
    HeadTime {
        /// What that says.
        found: DateTime<Utc>,
    },
}

impl Finding {
    /// At an event.
    pub fn at(position: u64, fault: Fault) -> Self {
        Self { place: Place::Position(position), fault }
    }

    /// In the checkpoint after so many events.
    pub fn of_checkpoint(after: u64, fault: Fault) -> Self {
        Self { place: Place::Checkpoint(after), fault }
    }

    /// In what precedes the events.
    pub fn in_header(what: impl Into<String>) -> Self {
        Self { place: Place::Header, fault: Fault::Malformed(what.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, &self.fault) {
            (Place::Position(from), Fault::Root { upto }) if *upto > from => {
                return write!(formatter, "positions {from} to {upto}: {}", self.fault);
            }
            (Place::Header, _) => write!(formatter, "the header: ")?,
            (Place::Position(position), _) => write!(formatter, "position {position}: ")?,
            (Place::Checkpoint(after), _) => write!(formatter, "the checkpoint after position {after}: ")?,
        }
        self.fault.fmt(formatter)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => formatter.write_str(what),
            Self::Missing { next: Some(next) } => {
                write!(formatter, "the event is missing; in its place comes that of position {next}")
            }
            Self::Missing { next: None } => {
                formatter.write_str("the event is missing; nothing comes after it")
            }
            Self::Twice { expected } => {
                write!(
                    formatter,
                    "there is more than one event of this position, one of them in the place of {expected}"
                )
            }
            Self::Tenant { found } => write!(formatter, "it is of another tenant, {found}"),
            Self::LeafHash => formatter.write_str("the leaf hash is not that of the event's fields"),
            Self::Signed => formatter.write_str("the event and its leaf hash are not what was signed"),
            Self::Unrecorded => {
                formatter.write_str("the notary's copy of the leaf hash that it has signed is gone")
            }
            Self::BeyondHead => formatter.write_str("the event is behind the journal's end"),
            Self::TimeTurnedBack => {
                formatter.write_str("the event was recorded before the one that precedes it")
            }
            Self::Sequence(wrong) => write!(
                formatter,
                "the event is number {} of its stream, where number {} is expected",
                wrong.found, wrong.expected
            ),
            Self::Uncovered { covered } => {
                write!(formatter, "no checkpoint covers the event; the last one covers {covered}")
            }
            Self::Root { .. } => formatter
                .write_str("the root of the tree is not the one that was signed; an event here was changed"),
            Self::Checkpoint(error) => error.fmt(formatter),
            Self::CheckpointOf { size } => write!(formatter, "it is a checkpoint of {size} events"),
            Self::OtherTree => {
                formatter.write_str("another key has signed it, and what it is about is not this journal")
            }
            Self::Tile { level } => write!(
                formatter,
                "the notary's hash of level {level} over the events up to here is not what was signed"
            ),
            Self::TileGone { level } => {
                write!(formatter, "the notary's hash of level {level} over the events up to here is gone")
            }
            Self::TileCount { level, found, expected } => {
                write!(
                    formatter,
                    "the notary keeps {found} hashes of level {level}, where the tree has {expected}"
                )
            }
            Self::Edge => formatter.write_str("the edge that is kept with it is not that of its tree"),
            Self::RolledBack { covered, once } => write!(
                formatter,
                "a tree of {once} events was signed once, but the newest that is kept has {covered}"
            ),
            Self::HeadTime { found } => write!(
                formatter,
                "it is the last event, but the journal's end says that it was recorded at {}",
                found.to_rfc3339()
            ),
        }
    }
}
