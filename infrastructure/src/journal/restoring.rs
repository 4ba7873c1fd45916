//! Putting back what an export has kept of a journal: events as they were stored, to the byte.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{aggregate::Fact, ids::TenantId, users::SubjectErased};
use uuid::Uuid;

pub use super::recount::recount_claims;
use super::{
    commit::{Locked, lock_journal},
    stored::StoredEvent,
};
use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
    vault::erasing::destroy,
};

/// Begins a transaction that is the only writer of a tenant's journal until it ends; with the position of the newest event.
pub async fn begin_locked(database: &Database, tenant: TenantId) -> Result<(TenantTx, u64), Error> {
    // Who knows everything is told of no changes.
    let known = i64::MAX.unsigned_abs();
    let Locked { tx, head, .. } = lock_journal(database, tenant, known, DateTime::UNIX_EPOCH).await?;
    Ok((tx, head.position))
}

/// Appends stored events behind the locked end: they are the next ones, in order, and all of the transaction's tenant. The
/// keys of whom they say to be erased are destroyed with it.
pub async fn append_stored(tx: &mut TenantTx, events: &[StoredEvent]) -> Result<(), Error> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
    let columns = Columns::of(events)?;
    let inserted = sqlx::query!(
        "WITH moved AS (
             UPDATE journal_heads SET position = $3, recorded_at = $4
             WHERE tenant_id = $1 AND position = $2
             RETURNING tenant_id
         )
         INSERT INTO events (tenant_id, position, recorded_at, stream_id, sequence, stream_kind, event_type,
                             event_version, payload, metadata, leaf_hash)
         SELECT tenant_id, new.position, at, stream_id, sequence, kind, type, version, payload::json, metadata::json, hash
         FROM moved, unnest($5::bigint[], $6::timestamptz[], $7::uuid[], $8::bigint[], $9::text[], $10::text[],
                            $11::smallint[], $12::text[], $13::text[], $14::bytea[])
              AS new (position, at, stream_id, sequence, kind, type, version, payload, metadata, hash)",
        tx.tenant().uuid(),
        first.position as i64 - 1,
        last.position as i64,
        last.recorded_at,
        &columns.positions,
        &columns.times,
        &columns.streams,
        &columns.sequences,
        &columns.kinds as &[&str],
        &columns.types as &[&str],
        &columns.versions,
        &columns.payloads as &[&str],
        &columns.metadata as &[&str],
        &columns.hashes as &[&[u8]]
    )
    .execute(&mut **tx)
    .await
    .map_err(database_error)?;
    if inserted.rows_affected() != events.len() as u64 {
        return Err(Error::internal(format!("the journal does not end before position {}", first.position)));
    }
    if tx.tenant() == TenantId::PLATFORM {
        let erased: Vec<Uuid> = events
            .iter()
            .filter(|event| event.event_type == SubjectErased::TYPE)
            .map(|event| event.stream.id)
            .collect();
        destroy(tx, &erased, None).await?;
    }
    Ok(())
}

/// Events, column by column.
#[derive(Default)]
struct Columns<'e> {
    positions: Vec<i64>,
    times: Vec<DateTime<Utc>>,
    streams: Vec<Uuid>,
    sequences: Vec<i64>,
    kinds: Vec<&'e str>,
    types: Vec<&'e str>,
    versions: Vec<i16>,
    payloads: Vec<&'e str>,
    metadata: Vec<&'e str>,
    hashes: Vec<&'e [u8]>,
}

impl<'e> Columns<'e> {
    fn of(events: &'e [StoredEvent]) -> Result<Self, Error> {
        let mut columns = Self::default();
        for event in events {
            columns.positions.push(event.position as i64);
            columns.times.push(event.recorded_at);
            columns.streams.push(event.stream.id);
            columns.sequences.push(event.sequence as i64);
            columns.kinds.push(&event.stream.kind);
            columns.types.push(&event.event_type);
            columns.versions.push(i16::try_from(event.event_version).map_err(Error::internal)?);
            columns.payloads.push(&event.payload);
            columns.metadata.push(&event.metadata);
            columns.hashes.push(&event.leaf_hash);
        }
        Ok(columns)
    }
}
