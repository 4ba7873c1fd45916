//! What one command adds to a journal, with the places that it gets there.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{
    ids::TenantId,
    recorded_event::{Leaf, RecordedEvent, leaf_hash},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::work::NewEvent;

/// The events of one command: consecutive in the journal, recorded at the same moment.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Whose journal.
    pub tenant: TenantId,
    /// The position before the first event; the journal's head if there are no events.
    pub after: u64,
    /// When they are recorded.
    pub recorded_at: DateTime<Utc>,
    /// Who caused them, as the journal keeps it.
    pub metadata: Arc<RawValue>,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// The leaf hash of each.
    pub leaf_hashes: Vec<[u8; 32]>,
}

impl Recording {
    /// Gives `events` their places behind position `after`.
    pub fn new(
        tenant: TenantId,
        after: u64,
        recorded_at: DateTime<Utc>,
        metadata: Arc<RawValue>,
        events: Vec<NewEvent>,
    ) -> Self {
        let hash = |(index, event): (usize, &NewEvent)| {
            leaf_hash(&Leaf {
                tenant_id: tenant,
                position: after + 1 + index as u64,
                stream: &event.stream,
                sequence: event.sequence,
                event_type: event.event_type,
                event_version: event.event_version,
                recorded_at,
                payload: event.stored().get(),
                metadata: metadata.get(),
            })
        };
        let leaf_hashes = events.iter().enumerate().map(hash).collect();
        Self { tenant, after, recorded_at, metadata, events, leaf_hashes }
    }

    /// The journal's position with these events in it.
    pub fn position(&self) -> u64 {
        self.after + self.events.len() as u64
    }

    /// The events of one stream as the journal has them, but for what it keeps sealed: that is readable.
    pub fn of_stream(&self, stream: Uuid) -> Vec<RecordedEvent> {
        self.recorded(|event| event.stream.id == stream)
    }

    /// The events that `wanted` wants as the journal has them.
    pub fn recorded(&self, wanted: impl Fn(&NewEvent) -> bool) -> Vec<RecordedEvent> {
        let events = self.events.iter().zip(&self.leaf_hashes).enumerate();
        let own = events.filter(|(_, (event, _))| wanted(event));
        own.map(|(index, (event, leaf_hash))| RecordedEvent {
            tenant_id: self.tenant,
            position: self.after + 1 + index as u64,
            stream: event.stream.clone(),
            sequence: event.sequence,
            event_type: event.event_type.to_owned(),
            event_version: event.event_version,
            payload: event.payload.clone(),
            metadata: (*self.metadata).to_owned(),
            recorded_at: self.recorded_at,
            leaf_hash: *leaf_hash,
        })
        .collect()
    }
}
