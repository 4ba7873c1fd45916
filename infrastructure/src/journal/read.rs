//! Reading recorded events.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{
    ids::TenantId,
    recorded_event::{RecordedEvent, StreamId},
};
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{database::database_error, projecting_tx::ProjectingTx, tenant_tx::TenantTx};

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
    read_of(tx, tenant, after, limit).await
}

/// The same of one of the transaction's tenants.
pub async fn read_after(
    tx: &mut ProjectingTx,
    tenant: TenantId,
    after: u64,
    limit: u32,
) -> Result<Vec<RecordedEvent>, Error> {
    read_of(tx, tenant, after, limit).await
}

async fn read_of(
    connection: &mut PgConnection,
    tenant: TenantId,
    after: u64,
    limit: u32,
) -> Result<Vec<RecordedEvent>, Error> {
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                  payload AS "payload: Json<Box<RawValue>>", metadata AS "metadata: Json<Box<RawValue>>", leaf_hash
           FROM events WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3"#,
        tenant.uuid(),
        after as i64,
        i64::from(limit)
    )
    .fetch_all(connection)
    .await
    .map_err(database_error)?;
    rows.into_iter().map(Stored::recorded).collect()
}

/// The events at these positions of the journal of the transaction's tenant, in order.
pub async fn read_at(tx: &mut TenantTx, positions: &[i64]) -> Result<Vec<RecordedEvent>, Error> {
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                  payload AS "payload: Json<Box<RawValue>>", metadata AS "metadata: Json<Box<RawValue>>", leaf_hash
           FROM events WHERE tenant_id = $1 AND position = ANY($2) ORDER BY position"#,
        tx.tenant().uuid(),
        positions
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    rows.into_iter().map(Stored::recorded).collect()
}

/// A part of a tenant's journal: the events after position `after`, up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whose journal.
    pub tenant: TenantId,
    /// The position before the first.
    pub after: u64,
    /// The position of the last.
    pub to: u64,
}

impl Range {
    /// How many events it has.
    pub fn events(&self) -> u64 {
        self.to - self.after
    }
}

/// The events of parts of journals, one part after the other.
pub async fn read_ranges(tx: &mut ProjectingTx, ranges: &[Range]) -> Result<Vec<RecordedEvent>, Error> {
    let tenants: Vec<Uuid> = ranges.iter().map(|range| range.tenant.uuid()).collect();
    let after: Vec<i64> = ranges.iter().map(|range| range.after as i64).collect();
    let to: Vec<i64> = ranges.iter().map(|range| range.to as i64).collect();
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT event.tenant_id, event.position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                  payload AS "payload: Json<Box<RawValue>>", metadata AS "metadata: Json<Box<RawValue>>", leaf_hash
           FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY
               AS asked (tenant_id, after_position, to_position, place)
           CROSS JOIN LATERAL (
               SELECT * FROM events
               WHERE tenant_id = asked.tenant_id AND position > asked.after_position AND position <= asked.to_position
               -- A fence: without it the planner may read whole journals.
               OFFSET 0
           ) AS event
           ORDER BY asked.place, event.position"#,
        &tenants,
        &after,
        &to
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let events: Vec<RecordedEvent> = rows.into_iter().map(Stored::recorded).collect::<Result<_, _>>()?;
    if events.len() as u64 != ranges.iter().map(Range::events).sum::<u64>() {
        return Err(Error::internal("the journal has a gap"));
    }
    Ok(events)
}

/// All events of these streams of the transaction's tenant, in the journal's order.
pub async fn read_streams(tx: &mut TenantTx, streams: &[Uuid]) -> Result<Vec<RecordedEvent>, Error> {
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                  payload AS "payload: Json<Box<RawValue>>", metadata AS "metadata: Json<Box<RawValue>>", leaf_hash
           FROM events WHERE tenant_id = $1 AND stream_id = ANY($2) ORDER BY position"#,
        tx.tenant().uuid(),
        streams
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    rows.into_iter().map(Stored::recorded).collect()
}

/// An event as the table has it.
struct Stored {
    tenant_id: Uuid,
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
    fn recorded(self) -> Result<RecordedEvent, Error> {
        Ok(RecordedEvent {
            tenant_id: self.tenant_id.into(),
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
