//! What one commit is made of.

use std::{any::Any, collections::HashMap};

use chrono::{DateTime, Utc};
use domain::{
    aggregate::{Decide, Facts},
    recorded_event::StreamId,
};
use secrecy::SecretSlice;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    claim::{Claim, ClaimKind, Release},
    error::Error,
    expected::Expected,
    journal::{History, Snapshot, StreamRequest},
};

/// The stream of the `A` with this id.
pub fn stream<A: Decide>(id: impl Into<Uuid>) -> StreamRequest {
    StreamRequest::of::<A>(id.into())
}

/// The `A` that a history amounts to.
pub fn replay<A: Decide>(history: &History) -> Result<A, Error> {
    let mut aggregate = match &history.snapshot {
        Some(snapshot) => serde_json::from_str(snapshot.state.get()).map_err(Error::internal)?,
        None => A::default(),
    };
    for event in &history.events {
        let event = A::Event::decode(&event.event_type, event.event_version, &event.payload);
        aggregate.apply(event.map_err(Error::internal)?);
    }
    Ok(aggregate)
}

/// The streams of one commit while commands are decided on them, and what the commit will hold.
///
/// A command sees the effects of those before it. Nothing here does I/O, so that a decision can be repeated.
pub struct Work {
    now: DateTime<Utc>,
    streams: HashMap<Uuid, LoadedStream>,
    changes: Changes,
}

/// What a commit holds.
#[derive(Debug, Default)]
pub struct Changes {
    /// New events, in order.
    pub events: Vec<NewEvent>,
    /// New claims.
    pub claims: Vec<Claim>,
    /// Claims given back; done before the new ones.
    pub releases: Vec<Release>,
    /// Private values to keep beside the events.
    pub secrets: Vec<NewSecret>,
    /// Snapshots that are due.
    pub snapshots: Vec<(StreamId, Snapshot)>,
}

/// An event that has no position yet.
#[derive(Debug)]
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

struct LoadedStream {
    history: History,
    /// Replayed on first use; `None` until then.
    aggregate: Option<Box<dyn Any + Send>>,
    /// The sequence after the commands so far.
    sequence: u64,
}

impl Work {
    /// Work on freshly loaded streams at `now`.
    pub fn new(now: DateTime<Utc>, histories: Vec<History>) -> Self {
        let mut streams = HashMap::with_capacity(histories.len());
        for history in histories {
            let (id, sequence) = (history.stream.id, history.sequence);
            streams.insert(id, LoadedStream { history, aggregate: None, sequence });
        }
        Self { now, streams, changes: Changes::default() }
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
        let loaded = loaded::<A>(&mut self.streams, id.into())?;
        let aggregate = aggregate_mut::<A>(&mut loaded.aggregate)?;
        let events = aggregate.decide(command, now)?;
        for event in &events {
            loaded.sequence += 1;
            let new = NewEvent {
                stream: loaded.history.stream.clone(),
                sequence: loaded.sequence,
                event_type: event.type_name(),
                event_version: event.version(),
                payload: event.encode().map_err(Error::internal)?,
            };
            aggregate.apply(event.clone());
            self.changes.events.push(new);
        }
        if snapshot_due::<A>(loaded) {
            let state = serde_json::value::to_raw_value(aggregate_mut::<A>(&mut loaded.aggregate)?);
            let state = state.map_err(Error::internal)?;
            let snapshot = Snapshot { sequence: loaded.sequence, version: A::SNAPSHOT_VERSION, state };
            self.changes.snapshots.retain(|(stream, _)| stream.id != loaded.history.stream.id);
            self.changes.snapshots.push((loaded.history.stream.clone(), snapshot));
        }
        Ok(events)
    }

    /// Goes on only if the aggregate was in an expected version before this work.
    pub fn expect<A: Decide + 'static>(
        &mut self,
        id: impl Into<Uuid>,
        expected: &Expected,
    ) -> Result<(), Error> {
        let sequence = loaded::<A>(&mut self.streams, id.into())?.history.sequence;
        if expected.allows(sequence) { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// The aggregate as it is after the commands so far.
    pub fn state<A: Decide + 'static>(&mut self, id: impl Into<Uuid>) -> Result<&A, Error> {
        let loaded = loaded::<A>(&mut self.streams, id.into())?;
        aggregate_mut::<A>(&mut loaded.aggregate).map(|aggregate| &*aggregate)
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

    /// What the commit holds.
    pub fn into_changes(self) -> Changes {
        self.changes
    }
}

/// The declared stream, replayed.
fn loaded<A: Decide + 'static>(
    streams: &mut HashMap<Uuid, LoadedStream>,
    id: Uuid,
) -> Result<&mut LoadedStream, Error> {
    let loaded = streams.get_mut(&id).filter(|loaded| loaded.history.stream.kind == A::TYPE);
    let loaded =
        loaded.ok_or_else(|| Error::internal(format!("stream {} {id} was not declared", A::TYPE)))?;
    if loaded.aggregate.is_none() {
        loaded.aggregate = Some(Box::new(replay::<A>(&loaded.history)?));
    }
    Ok(loaded)
}

fn aggregate_mut<A: 'static>(aggregate: &mut Option<Box<dyn Any + Send>>) -> Result<&mut A, Error> {
    let aggregate = aggregate.as_mut().and_then(|aggregate| aggregate.downcast_mut::<A>());
    aggregate.ok_or_else(|| Error::internal("one stream was used as two kinds of aggregate"))
}

/// The policy: a stream whose tail since its last snapshot has grown to the aggregate's bound gets a new one.
fn snapshot_due<A: Decide>(loaded: &LoadedStream) -> bool {
    let last = loaded.history.snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    A::SNAPSHOT_EVERY > 0 && loaded.sequence - last >= A::SNAPSHOT_EVERY
}

impl Changes {
    /// Whether a commit of this would change nothing.
    pub fn is_empty(&self) -> bool {
        let Self { events, claims, releases, secrets, snapshots: _ } = self;
        events.is_empty() && claims.is_empty() && releases.is_empty() && secrets.is_empty()
    }
}
