//! Journals for tests of folds: what happened, told event by event.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    aggregate::Fact,
    ctx::{Actor, Metadata},
    ids::TenantId,
    recorded_event::{RecordedEvent, StreamId},
    text::Name,
};
use serde_json::value::to_raw_value;
use uuid::Uuid;

use crate::fold::{Fold, fold, keyed};

/// A tenant's journal in the making. Its first event is recorded at 2026-01-01, each further one a second later.
pub(crate) struct Story {
    pub(crate) tenant: TenantId,
    pub(crate) actor: Actor,
    sequences: HashMap<Uuid, u64>,
    events: Vec<RecordedEvent>,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            tenant: TenantId::random(),
            actor: Actor::System,
            sequences: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// Adds what happened to a stream.
    pub(crate) fn tell<F: Fact>(&mut self, kind: &str, id: impl Into<StreamKey>, fact: F) {
        let StreamKey(id) = id.into();
        let sequence = self.sequences.entry(id).or_default();
        *sequence += 1;
        let (actor, request_id) = (self.actor.clone(), "req_test".to_owned());
        self.events.push(RecordedEvent {
            tenant_id: self.tenant,
            position: self.events.len() as u64 + 1,
            stream: StreamId { kind: kind.to_owned(), id },
            sequence: *sequence,
            event_type: F::TYPE.to_owned(),
            event_version: F::VERSION,
            payload: to_raw_value(&fact).unwrap(),
            metadata: to_raw_value(&Metadata { actor, request_id, session_id: None, traces: None }).unwrap(),
            recorded_at: time("2026-01-01T00:00:00Z") + TimeDelta::seconds(self.events.len() as i64),
            leaf_hash: [7; 32],
        });
    }

    pub(crate) fn events(&self) -> &[RecordedEvent] {
        &self.events
    }
}

/// A stream's id, whichever kind it is of.
pub(crate) struct StreamKey(Uuid);

macro_rules! stream_keys {
    ($($id:ident)*) => {$(
        impl From<domain::ids::$id> for StreamKey {
            fn from(id: domain::ids::$id) -> Self {
                Self(id.uuid())
            }
        }
    )*};
}

stream_keys!(TenantId WorkspaceId ProjectId MemberId ApiKeyId SubscriptionId MeterId EventId InvitationId UserId SessionId ForeignAggregateId);

/// The rows after all of a story.
pub(crate) fn rows<F: Fold>(story: &Story) -> BTreeMap<F::Key, F::Row> {
    let mut rows = BTreeMap::new();
    take_in::<F>(&mut rows, story.events());
    rows
}

/// Takes events into rows.
pub(crate) fn take_in<F: Fold>(rows: &mut BTreeMap<F::Key, F::Row>, events: &[RecordedEvent]) {
    let Some(tenant) = events.first().map(|event| event.tenant_id) else { return };
    let before = std::mem::take(rows).into_iter();
    let mut optional = before.map(|(key, row)| ((tenant, key), Some(row))).collect();
    fold::<F>(&mut optional, keyed::<F>(events).unwrap()).unwrap();
    *rows = optional.into_iter().filter_map(|((_, key), row)| row.map(|row| (key, row))).collect();
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
