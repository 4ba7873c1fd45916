//! A request that may be sent again: it is carried out once, and what is answered is kept in the commit of what it did.

use std::{any::Any, sync::Arc};

use domain::{aggregate::RefusalKind, ids::TenantId, recorded_event::RecordedEvent};
use uuid::Uuid;

use crate::{error::Error, recording::Recording};

/// A request with an idempotency key, as the database knows it: who asks for what with which key can't be told from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Among whose answers it is found: the tenant of the route, or the platform.
    pub scope: TenantId,
    /// Stands for principal, route and key.
    pub request: [u8; 32],
    /// Stands for what was sent along with the key.
    pub fingerprint: [u8; 32],
}

/// A commit, as an answer tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// What the command has added.
    pub recording: &'a Recording,
    /// All events of the streams that were asked for, as of the commit.
    pub events: &'a [RecordedEvent],
}

impl Commit<'_> {
    /// The journal's position after it.
    pub fn position(&self) -> u64 {
        self.recording.position()
    }
}

/// Makes what is kept of what a decision has answered; `None` for another answer than the request is about, and for what
/// is not to be kept. It is pure.
pub type Render = Arc<dyn Fn(&dyn Any, &Commit<'_>) -> Result<Option<Vec<u8>>, Error> + Send + Sync>;

/// What makes a command leave its answer.
#[derive(Clone)]
pub struct Once {
    /// Which request it is carried out for.
    pub identity: Identity,
    /// The streams whose events are needed to tell the answer.
    pub streams: Vec<Uuid>,
    /// Makes the answer.
    pub render: Render,
}

/// An answer that was given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Stands for what was sent along with the key then.
    pub fingerprint: [u8; 32],
    /// What [`Render`] has made.
    pub answer: Vec<u8>,
}

/// Another request with the same key is being carried out, or has been in this very moment.
pub fn in_use() -> Error {
    let detail = "a request with this Idempotency-Key is being carried out; send it again for its answer";
    Error::refused(RefusalKind::Conflict, "idempotency_key_in_use", detail)
}
