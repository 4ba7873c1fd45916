//! The port to the journal: how use cases read and append.

use std::{any::Any, sync::Arc};

use async_trait::async_trait;
use domain::{
    aggregate::Decide,
    ctx::Ctx,
    ids::{TenantId, UserId},
    recorded_event::{RecordedEvent, StreamId},
};
use secrecy::SecretSlice;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    claim::ClaimKind,
    error::Error,
    loaded::Loaded,
    once::{Identity, KeptAnswer, Once},
    recording::Recording,
    work::Work,
};

/// What a command does once its streams are loaded. It is pure, because it may run again on fresh streams, and owns what
/// it needs, because the tenant's writer runs it.
pub type Decision = Arc<dyn Fn(&mut Work) -> Result<Answer, Error> + Send + Sync>;

/// What a decision answers; the caller knows its type.
pub type Answer = Box<dyn Any + Send>;

/// A decision with the streams that it looks at.
#[derive(Clone)]
pub struct Command {
    /// On whose behalf, in which tenant.
    pub ctx: Ctx,
    /// The streams that it may look at and add to.
    pub streams: Vec<StreamRequest>,
    /// Streams that it may begin: of these it learns only whether they exist. A tracked event's has no other use.
    pub firsts: Arc<[Uuid]>,
    /// What it does.
    pub decide: Decision,
    /// What makes it leave its answer for who sends the same request again.
    pub once: Option<Arc<Once>>,
}

impl Command {
    /// A command that decides on `streams`.
    pub fn new<T: Send + 'static>(
        ctx: &Ctx,
        streams: Vec<StreamRequest>,
        decide: impl Fn(&mut Work) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Self {
        let decide = Arc::new(move |work: &mut Work| Ok(Box::new(decide(work)?) as Answer));
        Self { ctx: ctx.clone(), streams, firsts: Arc::from([]), decide, once: None }
    }

    /// The same command, which may also begin these streams.
    #[must_use]
    pub fn beginning(self, firsts: Arc<[Uuid]>) -> Self {
        Self { firsts, ..self }
    }
}

/// What became of a command.
pub struct Committed {
    /// What its decision answered.
    pub answer: Answer,
    /// What it added to the journal.
    pub recording: Arc<Recording>,
}

/// A tenant's journal, wherever it is kept.
///
/// Implementations keep these promises: positions are gapless and in commit order per tenant; one command is in one
/// commit, wholly or not at all, and is decided on the newest state of its streams; an answer, a refusal too, comes when
/// that state is known to be the newest.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Lets a command decide on its streams, and appends what it produced. A conflict with another writer runs the
    /// decision again on fresh streams, a bounded number of times. A session that has got newer events than
    /// [`Ctx::witness`] says yields [`Error::SessionChanged`].
    async fn transact(&self, command: Command) -> Result<Committed, Error>;

    /// The streams as they are now, in the order asked for; one asked for twice is given once, and one without events
    /// has sequence 0.
    async fn load(&self, tenant: TenantId, streams: &[StreamRequest]) -> Result<Vec<History>, Error>;

    /// The same as this process remembers them, which may be a moment behind what another process has appended. What is
    /// concluded from it must be checked in a commit.
    async fn recall(&self, tenant: TenantId, streams: &[StreamRequest]) -> Result<Vec<Loaded>, Error>;

    /// The stream that holds a claim.
    async fn holder(&self, tenant: TenantId, kind: ClaimKind, value: &str) -> Result<Option<Uuid>, Error>;

    /// The streams that hold a claim, in all tenants: what is unique in each of them may be held in several.
    async fn holders(&self, kind: ClaimKind, value: &str) -> Result<Vec<(TenantId, Uuid)>, Error>;

    /// A private value that a stream keeps.
    async fn secret(
        &self,
        tenant: TenantId,
        stream: Uuid,
        name: &str,
    ) -> Result<Option<SecretSlice<u8>>, Error>;

    /// The answer to a request with an idempotency key that was carried out in the last 24 hours.
    async fn kept_answer(&self, identity: &Identity) -> Result<Option<KeptAnswer>, Error>;

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
    /// Whether its aggregate reads what its events say about people.
    pub reads_personal: bool,
    /// Whether its aggregate can read this state. A snapshot that it can't read is passed over too.
    pub reads: fn(&RawValue) -> bool,
}

impl StreamRequest {
    /// The stream of the `A` with this id.
    pub fn of<A: Decide>(id: Uuid) -> Self {
        Self {
            stream: StreamId { kind: A::TYPE.to_owned(), id },
            snapshot_version: A::SNAPSHOT_VERSION,
            reads_personal: A::READS_PERSONAL,
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
    /// The user that it is about; then it is kept sealed.
    pub about: Option<UserId>,
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
