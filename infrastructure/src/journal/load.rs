//! Reading streams for a decision.

use std::collections::{HashMap, HashSet};

use application::{
    error::Error,
    journal::{History, PastEvent, Snapshot},
};
use domain::recorded_event::StreamId;
use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{database::database_error, tenant_tx::TenantTx};

/// The streams' snapshots and the events after them, in one round trip, in the order asked for; one that is
/// asked for twice is given once.
pub(super) async fn histories(tx: &mut TenantTx, streams: &[StreamId]) -> Result<Vec<History>, Error> {
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.id).collect();
    let rows = sqlx::query!(
        r#"SELECT stream_id AS "stream_id!", sequence AS "sequence!", event_type,
                  payload AS "payload!: Json<Box<RawValue>>"
           FROM (
               SELECT stream_id, sequence, NULL AS event_type, state AS payload
               FROM snapshots WHERE tenant_id = $1 AND stream_id = ANY($2)
               UNION ALL
               SELECT event.stream_id, event.sequence, event.event_type, event.payload
               FROM unnest($2) AS asked (stream_id)
               LEFT JOIN snapshots AS snapshot
                   ON snapshot.tenant_id = $1 AND snapshot.stream_id = asked.stream_id
               CROSS JOIN LATERAL (
                   SELECT stream_id, sequence, event_type, payload
                   FROM events
                   WHERE tenant_id = $1 AND stream_id = asked.stream_id
                     AND sequence > coalesce(snapshot.sequence, 0)
                   -- A fence: without it the planner may join by reading the tenant's whole journal.
                   OFFSET 0
               ) AS event
           ) AS past
           ORDER BY stream_id, event_type IS NOT NULL, sequence"#,
        tx.tenant().uuid(),
        &ids
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;

    let mut found: HashMap<Uuid, History> = HashMap::new();
    for row in rows {
        let history = found.entry(row.stream_id).or_insert_with(|| empty(row.stream_id));
        history.sequence = row.sequence as u64;
        match row.event_type {
            None => history.snapshot = Some(Snapshot { sequence: row.sequence as u64, state: row.payload.0 }),
            Some(event_type) => history.events.push(PastEvent { event_type, payload: row.payload.0 }),
        }
    }
    let mut asked = HashSet::with_capacity(streams.len());
    let mut history = |stream: &StreamId| {
        let history = found.remove(&stream.id).unwrap_or_else(|| empty(stream.id));
        asked.insert(stream.id).then(|| History { stream: stream.clone(), ..history })
    };
    Ok(streams.iter().filter_map(&mut history).collect())
}

fn empty(id: Uuid) -> History {
    History { stream: StreamId { kind: String::new(), id }, sequence: 0, snapshot: None, events: Vec::new() }
}
