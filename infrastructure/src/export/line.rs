//! The lines of an export.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{ids::TenantId, recorded_event::StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::journal::stored::StoredEvent;

/// What an export says that it is.
pub const FORMAT: &str = "annals-journal";
/// The format's version.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Whose journal.
    pub tenant: TenantId,
    /// The name of the key that has signed it. Not the key: who verifies has that from elsewhere.
    pub key: String,
    /// How many events follow.
    pub events: u64,
}

/// An event: all that its leaf hash is taken over, in the same order. Payload and metadata are strings that hold the stored
/// JSON, so that no JSON library on the way changes a byte of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    tenant: TenantId,
    position: u64,
    stream_kind: String,
    stream_id: Uuid,
    sequence: u64,
    #[serde(rename = "type")]
    event_type: String,
    version: u16,
    recorded_at: String,
    payload: String,
    metadata: String,
    leaf_hash: String,
}

/// A checkpoint over all events before it. The last line is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    /// The checkpoint's text.
    pub checkpoint: String,
}

/// What is wrong with an event's line, though it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not as RFC 3339 with microseconds in UTC.
    #[error("recorded_at is not written like 2026-01-02T03:04:05.000006Z")]
    RecordedAt,
    /// Not 64 hexadecimal digits in lower case.
    #[error("leaf_hash is not 64 hexadecimal digits in lower case")]
    LeafHash,
}

impl From<StoredEvent> for EventLine {
    fn from(event: StoredEvent) -> Self {
        Self {
            tenant: event.tenant_id,
            position: event.position,
            stream_kind: event.stream.kind,
            stream_id: event.stream.id,
            sequence: event.sequence,
            event_type: event.event_type,
            version: event.event_version,
            recorded_at: in_microseconds(event.recorded_at),
            payload: event.payload,
            metadata: event.metadata,
            leaf_hash: event.leaf_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl EventLine {
    /// The position that the line says it is.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The event.
    pub fn into_event(self) -> Result<StoredEvent, LineError> {
        let recorded_at: DateTime<Utc> = self.recorded_at.parse().map_err(|_| LineError::RecordedAt)?;
        // What is finer than a microsecond would not be in the hash.
        if in_microseconds(recorded_at) != self.recorded_at {
            return Err(LineError::RecordedAt);
        }
        Ok(StoredEvent {
            tenant_id: self.tenant,
            position: self.position,
            stream: StreamId { kind: self.stream_kind, id: self.stream_id },
            sequence: self.sequence,
            event_type: self.event_type,
            event_version: self.version,
            payload: self.payload,
            metadata: self.metadata,
            recorded_at,
            leaf_hash: from_hex(&self.leaf_hash).ok_or(LineError::LeafHash)?,
        })
    }
}

fn in_microseconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? * 16 + digit(*low)?);
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}
