//! The port to the journal: how use cases read and append.

use async_trait::async_trait;
use domain::{
    aggregate::Decide,
    ctx::Ctx,
    ids::TenantId,
    recorded_event::{RecordedEvent, StreamId},
};
use secrecy::SecretSlice;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{claim::ClaimKind, error::Error, work::Work};

/// What `transact` runs once the streams are loaded. It is pure, because it may run again on fresh streams.
pub type Decision<'a> = &'a mut (dyn FnMut(&mut Work) -> Result<(), Error> + Send);

/// A tenant's journal, wherever it is kept.
///
/// Implementations keep these promises: positions are gapless and in commit order per tenant; one `transact` is one
/// commit, wholly or not at all, and decides on the newest state of its streams; an answer comes after the commit.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Loads `streams` of the context's tenant, lets `decide` act on them, and appends what it produced in one commit.
    /// Returns the position that the journal has reached. A conflict with another writer runs `decide` again on fresh
    /// streams, a bounded number of times.
    async fn transact(
        &self,
        ctx: &Ctx,
        streams: &[StreamRequest],
        decide: Decision<'_>,
    ) -> Result<u64, Error>;

    /// The streams as they are now, in the order asked for; one asked for twice is given once, and one without events
    /// has sequence 0.
    async fn load(&self, tenant: TenantId, streams: &[StreamRequest]) -> Result<Vec<History>, Error>;

    /// The stream that holds a claim.
    async fn holder(&self, tenant: TenantId, kind: ClaimKind, value: &str) -> Result<Option<Uuid>, Error>;

    /// A private value that a stream keeps.
    async fn secret(
        &self,
        tenant: TenantId,
        stream: Uuid,
        name: &str,
    ) -> Result<Option<SecretSlice<u8>>, Error>;

    /// At most `limit` events after position `after`, in order.
    async fn read(&self, tenant: TenantId, after: u64, limit: u32) -> Result<Vec<RecordedEvent>, Error>;

    /// The position of the newest event; 0 if there is none.
    async fn head(&self, tenant: TenantId) -> Result<u64, Error>;
}

/// A stream that is asked for, and which snapshots of it are of use.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// Which stream.
    pub stream: StreamId,
    /// The version of the states that its aggregate reads. A snapshot of another one is passed over.
    pub snapshot_version: u16,
    /// Whether its aggregate can read this state. A snapshot that it can't read is passed over too.
    pub reads: fn(&RawValue) -> bool,
}

impl StreamRequest {
    /// The stream of the `A` with this id.
    pub fn of<A: Decide>(id: Uuid) -> Self {
        Self {
            stream: StreamId { kind: A::TYPE.to_owned(), id },
            snapshot_version: A::SNAPSHOT_VERSION,
            reads: |state| serde_json::from_str::<A>(state.get()).is_ok(),
        }
    }
}

/// What the journal knows of one stream.
#[derive(Debug)]
pub struct History {
    /// Which stream.
    pub stream: StreamId,
    /// The sequence of its newest event; 0 if there is none.
    pub sequence: u64,
    /// The newest snapshot, if one was taken that the request has a use for.
    pub snapshot: Option<Snapshot>,
    /// The events after the snapshot, in order.
    pub events: Vec<PastEvent>,
}

/// An aggregate's state after an event.
#[derive(Debug)]
pub struct Snapshot {
    /// The sequence of the last event that is in the state.
    pub sequence: u64,
    /// The state's version.
    pub version: u16,
    /// The state as JSON.
    pub state: Box<RawValue>,
}

/// An event as far as its aggregate needs it.
#[derive(Debug)]
pub struct PastEvent {
    /// The type's name.
    pub event_type: String,
    /// The payload's version.
    pub event_version: u16,
    /// The payload.
    pub payload: Box<RawValue>,
}
