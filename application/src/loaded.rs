//! A stream as a decision finds it.

use std::{any::Any, sync::Arc};

use domain::{
    aggregate::{Decide, Facts},
    recorded_event::StreamId,
};

use crate::{
    error::Error,
    journal::{History, Snapshot},
};

/// A stream at one moment: its aggregate's state, shared with everybody who looks at it.
#[derive(Clone)]
pub struct Loaded {
    stream: StreamId,
    sequence: u64,
    snapshot: u64,
    state: State,
    bytes: usize,
}

#[derive(Clone)]
enum State {
    /// As it was read; nobody has asked for the aggregate yet.
    Told(Arc<History>),
    /// The aggregate.
    Live(Arc<dyn Any + Send + Sync>),
}

/// What a stream costs in memory beside its events' payloads, roughly.
const OVERHEAD: usize = 256;

impl Loaded {
    /// The stream's kind and id.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The sequence of its newest event; 0 if there is none.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many events it has got since its newest snapshot.
    pub(crate) fn since_snapshot(&self) -> u64 {
        self.sequence.saturating_sub(self.snapshot)
    }

    /// How much memory it takes, roughly: no more than what it was told.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The aggregate that its events amount to.
    pub fn aggregate<A: Decide + 'static>(&mut self) -> Result<Arc<A>, Error> {
        if let State::Told(history) = &self.state {
            self.state = State::Live(Arc::new(replay::<A>(history)?));
        }
        match &self.state {
            State::Live(aggregate) => Arc::clone(aggregate)
                .downcast()
                .map_err(|_| Error::internal("one stream was used as two kinds of aggregate")),
            State::Told(_) => Err(Error::internal("it has just been replayed")),
        }
    }

    /// Puts the aggregate `events` events further, whose payloads have `bytes` bytes.
    pub(crate) fn evolve<A: Decide + 'static>(&mut self, aggregate: Arc<A>, events: u64, bytes: usize) {
        self.sequence += events;
        self.bytes += bytes;
        self.state = State::Live(aggregate);
    }

    /// Notes that a snapshot of it as it is was taken.
    pub(crate) fn was_snapshot(&mut self) {
        self.snapshot = self.sequence;
        // What its events said has no part in it any more that could grow.
        self.bytes = OVERHEAD;
    }
}

impl From<History> for Loaded {
    fn from(history: History) -> Self {
        let payloads = history.events.iter().map(|event| event.payload.get().len());
        let snapshot = history.snapshot.as_ref();
        let bytes =
            OVERHEAD + payloads.sum::<usize>() + snapshot.map_or(0, |snapshot| snapshot.state.get().len());
        Self {
            stream: history.stream.clone(),
            sequence: history.sequence,
            snapshot: snapshot.map_or(0, |snapshot: &Snapshot| snapshot.sequence),
            state: State::Told(Arc::new(history)),
            bytes,
        }
    }
}

/// The `A` that a history amounts to.
pub fn replay<A: Decide>(history: &History) -> Result<A, Error> {
    let mut aggregate = match &history.snapshot {
        Some(snapshot) => serde_json::from_str(snapshot.state.get()).map_err(Error::internal)?,
        None => A::default(),
    };
    for event in &history.events {
        let event = Facts::decode(&event.event_type, event.event_version, &event.payload);
        aggregate.apply(event.map_err(Error::internal)?);
    }
    Ok(aggregate)
}
