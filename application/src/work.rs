//! What one commit is made of.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use domain::{
    aggregate::{Decide, Facts},
    ids::UserId,
    personal::Personal,
    recorded_event::StreamId,
    text::Email,
};
use secrecy::SecretSlice;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    claim::{Claim, ClaimKind, Release},
    error::Error,
    expected::Expected,
    journal::{Snapshot, StreamRequest},
    loaded::Loaded,
};

/// The stream of the `A` with this id.
pub fn stream<A: Decide>(id: impl Into<Uuid>) -> StreamRequest {
    StreamRequest::of::<A>(id.into())
}

/// The streams of one command while it is decided, and what it will add to the commit.
///
/// A step sees the effects of those before it. Nothing here does I/O, so that a decision can be repeated.
pub struct Work {
    now: DateTime<Utc>,
    streams: HashMap<Uuid, Decided>,
    /// Streams that could be begun, but exist.
    existing: HashSet<Uuid>,
    changes: Changes,
}

/// A stream of a work.
struct Decided {
    loaded: Loaded,
    /// Its sequence before this work.
    before: u64,
}

/// What a command adds to a commit.
#[derive(Debug, Default)]
pub struct Changes {
    /// New events, in order.
    pub events: Vec<NewEvent>,
    /// The streams that they begin.
    pub firsts: Vec<Uuid>,
    /// New claims.
    pub claims: Vec<Claim>,
    /// Claims given back; done before the new ones.
    pub releases: Vec<Release>,
    /// Private values to keep beside the events.
    pub secrets: Vec<NewSecret>,
    /// Users to be erased.
    pub erased: Vec<Erased>,
    /// The user whom this is about: what a request tells of nobody else is sealed for them.
    pub about: Option<UserId>,
    /// Snapshots that are due.
    pub snapshots: Vec<(StreamId, Snapshot)>,
}

/// An event that has no position yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its place in the stream: the writer's expectation, which the journal enforces.
    pub sequence: u64,
    /// The type's name.
    pub event_type: &'static str,
    /// The payload's version.
    pub event_version: u16,
    /// The payload.
    pub payload: Box<RawValue>,
    /// The payload's fields that say something about a person.
    pub personal: &'static [Personal],
    /// The payload with those fields sealed, if there are any.
    pub sealed: Option<Box<RawValue>>,
}

/// A user whose keys a commit destroys, so that nothing that was recorded about them can be read any more.
#[derive(Debug)]
pub struct Erased {
    /// Who.
    pub user: UserId,
    /// Their address, if it is theirs: then what was recorded about it without them is erased too.
    pub address: Option<Email>,
}

/// A private value of a stream, kept outside the journal because it must be replaceable and forgettable.
#[derive(Debug)]
pub struct NewSecret {
    /// Whose it is.
    pub stream: Uuid,
    /// What it is.
    pub name: &'static str,
    /// The value.
    pub value: SecretSlice<u8>,
}

impl Work {
    /// Work at `now` on these streams, and on streams that can be begun unless they are `existing`.
    pub fn new(now: DateTime<Utc>, streams: Vec<Loaded>, existing: HashSet<Uuid>) -> Self {
        let decided = |loaded: Loaded| {
            let before = loaded.sequence();
            (loaded.stream().id, Decided { loaded, before })
        };
        let streams = streams.into_iter().map(decided).collect();
        Self { now, streams, existing, changes: Changes::default() }
    }

    /// The moment that this work is decided at.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Lets the aggregate decide `command`; its events become part of the commit. Returns them.
    pub fn execute<A: Decide + 'static>(
        &mut self,
        id: impl Into<Uuid>,
        command: A::Command,
    ) -> Result<Vec<A::Event>, Error> {
        let now = self.now;
        let loaded = &mut decided::<A>(&mut self.streams, id.into())?.loaded;
        let mut aggregate = loaded.aggregate::<A>()?;
        let events = aggregate.decide(command, now)?;
        if events.is_empty() {
            return Ok(events);
        }
        let before = aggregate.user();
        let state = Arc::make_mut(&mut aggregate);
        let (mut sequence, mut bytes) = (loaded.sequence(), 0);
        for event in &events {
            sequence += 1;
            let new = NewEvent::new::<A>(loaded.stream().clone(), sequence, event)?;
            bytes += new.payload.get().len();
            state.apply(event.clone());
            self.changes.events.push(new);
        }
        self.changes.about = self.changes.about.or(before).or(state.user());
        loaded.evolve(Arc::clone(&aggregate), events.len() as u64, bytes);
        if A::SNAPSHOT_EVERY > 0 && loaded.since_snapshot() >= A::SNAPSHOT_EVERY {
            let state = serde_json::value::to_raw_value(&*aggregate).map_err(Error::internal)?;
            let about = A::IS_PERSON.then(|| loaded.stream().id.into());
            let snapshot = Snapshot { sequence, version: A::SNAPSHOT_VERSION, state, about };
            loaded.was_snapshot();
            self.changes.snapshots.retain(|(stream, _)| stream.id != loaded.stream().id);
            self.changes.snapshots.push((loaded.stream().clone(), snapshot));
        }
        Ok(events)
    }

    /// Whether a stream that could be begun exists.
    pub fn exists(&self, first: impl Into<Uuid>) -> bool {
        self.existing.contains(&first.into())
    }

    /// Lets a new aggregate decide `command` as its first one; does nothing if it exists already.
    pub fn begin<A: Decide>(&mut self, id: impl Into<Uuid>, command: A::Command) -> Result<(), Error> {
        let id = id.into();
        if !self.existing.insert(id) {
            return Ok(());
        }
        let events = A::default().decide(command, self.now)?;
        for (sequence, event) in (1..).zip(&events) {
            self.changes.events.push(NewEvent::new::<A>(stream::<A>(id).stream, sequence, event)?);
        }
        self.changes.firsts.push(id);
        Ok(())
    }

    /// Goes on only if the aggregate was in an expected version before this work.
    pub fn expect<A: Decide + 'static>(
        &mut self,
        id: impl Into<Uuid>,
        expected: &Expected,
    ) -> Result<(), Error> {
        let sequence = decided::<A>(&mut self.streams, id.into())?.before;
        if expected.allows(sequence) { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// The aggregate as it is after the commands so far.
    pub fn state<A: Decide + 'static>(&mut self, id: impl Into<Uuid>) -> Result<Arc<A>, Error> {
        decided::<A>(&mut self.streams, id.into())?.loaded.aggregate()
    }

    /// Makes `holder` the one stream that holds `value`; the work fails with `taken` if another holds it.
    pub fn claim(
        &mut self,
        kind: ClaimKind,
        value: impl Into<String>,
        holder: impl Into<Uuid>,
        taken: Error,
    ) {
        self.changes.claims.push(Claim { kind, value: value.into(), holder: holder.into(), taken });
    }

    /// Gives back a value that `holder` holds.
    pub fn release(&mut self, kind: ClaimKind, value: impl Into<String>, holder: impl Into<Uuid>) {
        self.changes.releases.push(Release { kind, value: value.into(), holder: holder.into() });
    }

    /// Keeps a private value for a stream in place of an earlier one of that name.
    pub fn keep_secret(&mut self, stream: impl Into<Uuid>, name: &'static str, value: SecretSlice<u8>) {
        self.changes.secrets.push(NewSecret { stream: stream.into(), name, value });
    }

    /// Destroys a user's keys, and the private values that their stream keeps.
    pub(crate) fn erase(&mut self, user: UserId, address: Option<Email>) {
        self.changes.erased.push(Erased { user, address });
    }

    /// What the command adds, and its streams as they are after it.
    pub fn finish(self) -> (Changes, impl Iterator<Item = Loaded>) {
        (self.changes, self.streams.into_values().map(|decided| decided.loaded))
    }
}

/// The declared stream.
fn decided<A: Decide>(streams: &mut HashMap<Uuid, Decided>, id: Uuid) -> Result<&mut Decided, Error> {
    let decided = streams.get_mut(&id).filter(|decided| decided.loaded.stream().kind == A::TYPE);
    decided.ok_or_else(|| Error::internal(format!("stream {} {id} was not declared", A::TYPE)))
}

impl NewEvent {
    fn new<A: Decide>(stream: StreamId, sequence: u64, event: &A::Event) -> Result<Self, Error> {
        Ok(Self {
            stream,
            sequence,
            event_type: event.type_name(),
            event_version: event.version(),
            payload: event.encode().map_err(Error::internal)?,
            personal: event.personal(),
            sealed: None,
        })
    }

    /// The payload as the journal keeps it.
    pub fn stored(&self) -> &RawValue {
        self.sealed.as_deref().unwrap_or(&self.payload)
    }
}

impl Changes {
    /// Whether it can be refused by the database, as a claim can: then nothing else may be in its commit.
    pub fn needs_own_commit(&self) -> bool {
        let keeps = self.claims.is_empty() && self.releases.is_empty() && self.secrets.is_empty();
        !(keeps && self.erased.is_empty())
    }
}
