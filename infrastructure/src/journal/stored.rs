//! Reading events exactly as they are stored, for whoever hashes them.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx,
    ids::TenantId,
    permission::Permission,
    recorded_event::{Leaf, StreamId, leaf_hash},
};
use uuid::Uuid;

use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};

/// An event with the very bytes that its leaf hash is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Whose journal it is in.
    pub tenant_id: TenantId,
    /// Its place in the journal.
    pub position: u64,
    /// The aggregate instance that it happened to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub sequence: u64,
    /// Its type's name.
    pub event_type: String,
    /// The version of its payload's shape.
    pub event_version: u16,
    /// The stored payload.
    pub payload: String,
    /// The stored metadata.
    pub metadata: String,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The leaf hash that is stored with it.
    pub leaf_hash: [u8; 32],
}

impl StoredEvent {
    /// The leaf hash that the fields give.
    pub fn computed_leaf_hash(&self) -> [u8; 32] {
        leaf_hash(&Leaf {
            tenant_id: self.tenant_id,
            position: self.position,
            stream: &self.stream,
            sequence: self.sequence,
            event_type: &self.event_type,
            event_version: self.event_version,
            recorded_at: self.recorded_at,
            payload: &self.payload,
            metadata: &self.metadata,
        })
    }
}

/// At most `limit` events of the context's tenant after position `after`, in order, and the position of the newest one.
pub async fn page(
    ctx: &Ctx,
    database: &Database,
    after: u64,
    limit: u32,
) -> Result<(Vec<StoredEvent>, u64), Error> {
    ctx.require(Permission::AuditRead)?;
    let mut tx = TenantTx::begin(database, ctx.tenant).await?;
    let head = super::head(&mut tx).await?;
    let events = read_stored(&mut tx, after, head, limit).await?;
    Ok((events, head))
}

/// At most `limit` events of the transaction's tenant after position `after` and up to `upto`, in order.
pub async fn read_stored(
    tx: &mut TenantTx,
    after: u64,
    upto: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>, Error> {
    let tenant_id = tx.tenant();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                  payload::text AS "payload!", metadata::text AS "metadata!", leaf_hash
           FROM events WHERE tenant_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4"#,
        tenant_id.uuid(),
        after as i64,
        i64::try_from(upto).unwrap_or(i64::MAX),
        i64::from(limit)
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    rows.into_iter().map(|row| row.stored(tenant_id)).collect()
}

struct Row {
    position: i64,
    stream_id: Uuid,
    sequence: i64,
    recorded_at: DateTime<Utc>,
    stream_kind: String,
    event_type: String,
    event_version: i16,
    payload: String,
    metadata: String,
    leaf_hash: Vec<u8>,
}

impl Row {
    fn stored(self, tenant_id: TenantId) -> Result<StoredEvent, Error> {
        Ok(StoredEvent {
            tenant_id,
            position: self.position as u64,
            stream: StreamId { kind: self.stream_kind, id: self.stream_id },
            sequence: self.sequence as u64,
            event_type: self.event_type,
            event_version: self.event_version as u16,
            payload: self.payload,
            metadata: self.metadata,
            recorded_at: self.recorded_at,
            leaf_hash: self.leaf_hash.try_into().map_err(|_| Error::internal("a leaf hash has 32 bytes"))?,
        })
    }
}
