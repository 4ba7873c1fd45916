//! An event as the journal keeps it.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    aggregate::{DecodeError, Fact, Facts},
    ctx::Metadata,
    ids::TenantId,
};

/// The events of one aggregate instance: which kind of aggregate, and which one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The aggregate's kind, such as `invitation`.
    pub kind: String,
    /// The instance.
    pub id: Uuid,
}

/// One entry of a tenant's journal.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    /// Whose journal it is in.
    pub tenant_id: TenantId,
    /// Its place in the tenant's journal: 1, 2, 3 … gapless, in commit order.
    pub position: u64,
    /// The aggregate instance that it happened to.
    pub stream: StreamId,
    /// Its place in the stream, from 1.
    pub sequence: u64,
    /// Its type's name, such as `InvitationSent`.
    pub event_type: String,
    /// The version of its payload's shape.
    pub event_version: u16,
    /// What happened: JSON, byte for byte as it was written.
    pub payload: Box<RawValue>,
    /// Who caused it and from where ([`Metadata`]): JSON, byte for byte as it was written.
    pub metadata: Box<RawValue>,
    /// When it was recorded, in microseconds; never decreases within a journal.
    pub recorded_at: DateTime<Utc>,
    /// [`leaf_hash`] of all of the above.
    pub leaf_hash: [u8; 32],
}

impl RecordedEvent {
    /// Whether this is a `F`.
    pub fn is<F: Fact>(&self) -> bool {
        self.event_type == F::TYPE
    }

    /// The fact that was recorded, if it is a `F`.
    pub fn fact<F: Fact>(&self) -> Option<Result<F, DecodeError>> {
        self.is::<F>().then(|| F::decode(self.event_version, &self.payload))
    }

    /// The event that was recorded, of an aggregate whose events are `E`.
    pub fn decode<E: Facts>(&self) -> Result<E, DecodeError> {
        E::decode(&self.event_type, self.event_version, &self.payload)
    }

    /// Who caused it and from where.
    pub fn metadata(&self) -> Result<Metadata, DecodeError> {
        serde_json::from_str(self.metadata.get())
            .map_err(|source| DecodeError::Payload { event_type: "metadata", source })
    }

    /// The leaf hash that the fields give, to compare with the stored one.
    pub fn computed_leaf_hash(&self) -> [u8; 32] {
        leaf_hash(&Leaf {
            tenant_id: self.tenant_id,
            position: self.position,
            stream: &self.stream,
            sequence: self.sequence,
            event_type: &self.event_type,
            event_version: self.event_version,
            recorded_at: self.recorded_at,
            payload: self.payload.get(),
            metadata: self.metadata.get(),
        })
    }
}

/// What a leaf hash is taken over.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// Whose journal.
    pub tenant_id: TenantId,
    /// Place in the journal.
    pub position: u64,
    /// Kind and id of the stream.
    pub stream: &'a StreamId,
    /// Place in the stream.
    pub sequence: u64,
    /// The type's name.
    pub event_type: &'a str,
    /// The payload's version.
    pub event_version: u16,
    /// When; only whole microseconds count.
    pub recorded_at: DateTime<Utc>,
    /// The payload's bytes.
    pub payload: &'a str,
    /// The metadata's bytes.
    pub metadata: &'a str,
}

/// SHA-256 over the leaf prefix 0x00 (RFC 6962, section 2.1) and the event's fields: numbers big-endian, texts behind
/// their length in bytes as a 32-bit number. `docs/journal-format.md` specifies it byte by byte.
pub fn leaf_hash(leaf: &Leaf<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, text: &str| {
        // A text is bounded far below 4 GiB where it enters (a body holds at most 4 MB).
        hash.update((text.len() as u32).to_be_bytes());
        hash.update(text.as_bytes());
    };
    hash.update([0]);
    hash.update(leaf.tenant_id.uuid().as_bytes());
    hash.update(leaf.position.to_be_bytes());
    text(&mut hash, &leaf.stream.kind);
    hash.update(leaf.stream.id.as_bytes());
    hash.update(leaf.sequence.to_be_bytes());
    text(&mut hash, leaf.event_type);
    hash.update(leaf.event_version.to_be_bytes());
    hash.update(leaf.recorded_at.timestamp_micros().to_be_bytes());
    text(&mut hash, leaf.payload);
    text(&mut hash, leaf.metadata);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(stream: &StreamId) -> Leaf<'_> {
        Leaf {
            tenant_id: TenantId::PLATFORM,
            position: 1,
            stream,
            sequence: 1,
            event_type: "UserRegistered",
            event_version: 1,
            recorded_at: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
            payload: "{}",
            metadata: "{}",
        }
    }

    /// The format is a promise to every verifier: if this fails, journals written before can't be verified any more.
    #[test]
    fn the_format_does_not_change() {
        let stream = StreamId { kind: "user".to_owned(), id: Uuid::nil() };
        let hash: String = leaf_hash(&leaf(&stream)).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "f4d388ebeb6eb0ccffb8c9ba8287fe21c6457c759384e297d74a792907326882");
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let stream = StreamId { kind: "user".to_owned(), id: Uuid::nil() };
        let one = leaf_hash(&Leaf { payload: "ab", metadata: "c", ..leaf(&stream) });
        let other = leaf_hash(&Leaf { payload: "a", metadata: "bc", ..leaf(&stream) });
        assert_ne!(one, other);
    }
}
