//! Reading recorded events.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{
    ids::TenantId,
    recorded_event::{RecordedEvent, StreamId},
};
use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{database::database_error, tenant_tx::TenantTx};

/// The position of the newest event of the transaction's tenant; 0 if there is none.
pub async fn head(tx: &mut TenantTx) -> Result<u64, Error> {
    let position =
        sqlx::query_scalar!("SELECT position FROM journal_heads WHERE tenant_id = $1", tx.tenant().uuid())
            .fetch_optional(&mut **tx)
            .await
            .map_err(database_error)?;
    Ok(position.unwrap_or(0) as u64)
}

/// At most `limit` events of the transaction's tenant after position `after`, in order.
pub async fn read(tx: &mut TenantTx, after: u64, limit: u32) -> Result<Vec<RecordedEvent>, Error> {
    let tenant = tx.tenant();
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                  payload AS "payload: Json<Box<RawValue>>", metadata AS "metadata: Json<Box<RawValue>>", leaf_hash
           FROM events WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3"#,
        tenant.uuid(),
        after as i64,
        i64::from(limit)
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    rows.into_iter().map(|row| row.recorded(tenant)).collect()
}

/// All events of these streams of the transaction's tenant, in the journal's order.
pub async fn read_streams(tx: &mut TenantTx, streams: &[Uuid]) -> Result<Vec<RecordedEvent>, Error> {
    let tenant = tx.tenant();
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                  payload AS "payload: Json<Box<RawValue>>", metadata AS "metadata: Json<Box<RawValue>>", leaf_hash
           FROM events WHERE tenant_id = $1 AND stream_id = ANY($2) ORDER BY position"#,
        tenant.uuid(),
        streams
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    rows.into_iter().map(|row| row.recorded(tenant)).collect()
}

/// An event as the table has it.
struct Stored {
    position: i64,
    stream_id: Uuid,
    sequence: i64,
    recorded_at: DateTime<Utc>,
    stream_kind: String,
    event_type: String,
    event_version: i16,
    payload: Json<Box<RawValue>>,
    metadata: Json<Box<RawValue>>,
    leaf_hash: Vec<u8>,
}

impl Stored {
    fn recorded(self, tenant_id: TenantId) -> Result<RecordedEvent, Error> {
        Ok(RecordedEvent {
            tenant_id,
            position: self.position as u64,
            stream: StreamId { kind: self.stream_kind, id: self.stream_id },
            sequence: self.sequence as u64,
            event_type: self.event_type,
            event_version: self.event_version as u16,
            payload: self.payload.0,
            metadata: self.metadata.0,
            recorded_at: self.recorded_at,
            leaf_hash: self.leaf_hash.try_into().map_err(|_| Error::internal("a leaf hash has 32 bytes"))?,
        })
    }
}
