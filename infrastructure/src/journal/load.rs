//! Reading streams for a decision.

use std::collections::{BTreeMap, HashMap};

use application::{
    error::Error,
    journal::{History, PastEvent, Snapshot, StreamRequest},
};
use domain::recorded_event::StreamId;
use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{database::database_error, tenant_tx::TenantTx};

/// A version that no snapshot has: asking for it is asking for the whole stream.
const NO_SNAPSHOT: i16 = -1;

/// The streams' snapshots and the events after them, in one round trip, in the order asked for; one that is
/// asked for twice is given once. A second round trip reads the streams whole whose snapshots can't be read.
pub(super) async fn histories(tx: &mut TenantTx, requests: &[StreamRequest]) -> Result<Vec<History>, Error> {
    let mut versions: BTreeMap<Uuid, i16> = BTreeMap::new();
    versions.extend(requests.iter().map(|request| (request.stream.id, request.snapshot_version as i16)));
    let mut found = fetch(tx, &versions).await?;
    let unreadable = |request: &&StreamRequest| {
        let snapshot = found.get(&request.stream.id).and_then(|history| history.snapshot.as_ref());
        snapshot.is_some_and(|snapshot| !(request.reads)(&snapshot.state))
    };
    let whole: BTreeMap<Uuid, i16> =
        requests.iter().filter(unreadable).map(|request| (request.stream.id, NO_SNAPSHOT)).collect();
    if !whole.is_empty() {
        tracing::warn!(streams = ?whole.keys(), "snapshots can't be read; reading the streams from their beginning");
        found.extend(fetch(tx, &whole).await?);
    }
    let mut history = |StreamRequest { stream, .. }: &StreamRequest| {
        versions.remove(&stream.id)?;
        let history = found.remove(&stream.id).unwrap_or_else(|| empty(stream.id));
        Some(History { stream: stream.clone(), ..history })
    };
    Ok(requests.iter().filter_map(&mut history).collect())
}

/// What there is of each stream: its snapshot, if that has the version asked for, and the events after it.
async fn fetch(tx: &mut TenantTx, versions: &BTreeMap<Uuid, i16>) -> Result<HashMap<Uuid, History>, Error> {
    let (ids, versions): (Vec<Uuid>, Vec<i16>) = versions.iter().unzip();
    let rows = sqlx::query!(
        r#"SELECT stream_id AS "stream_id!", sequence AS "sequence!", event_type, version AS "version!",
                  payload AS "payload!: Json<Box<RawValue>>"
           FROM (
               SELECT snapshot.stream_id, snapshot.sequence, NULL AS event_type, snapshot.version,
                      snapshot.state AS payload
               FROM unnest($2::uuid[], $3::smallint[]) AS asked (stream_id, version)
               JOIN snapshots AS snapshot
                   ON snapshot.tenant_id = $1 AND snapshot.stream_id = asked.stream_id
                  AND snapshot.version = asked.version
               UNION ALL
               SELECT event.stream_id, event.sequence, event.event_type, event.event_version, event.payload
               FROM unnest($2::uuid[], $3::smallint[]) AS asked (stream_id, version)
               LEFT JOIN snapshots AS snapshot
                   ON snapshot.tenant_id = $1 AND snapshot.stream_id = asked.stream_id
                  AND snapshot.version = asked.version
               CROSS JOIN LATERAL (
                   SELECT stream_id, sequence, event_type, event_version, payload
                   FROM events
                   WHERE tenant_id = $1 AND stream_id = asked.stream_id
                     AND sequence > coalesce(snapshot.sequence, 0)
                   -- A fence: without it the planner may join by reading the tenant's whole journal.
                   OFFSET 0
               ) AS event
           ) AS past
           ORDER BY stream_id, event_type IS NOT NULL, sequence"#,
        tx.tenant().uuid(),
        &ids,
        &versions
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;

    let mut found: HashMap<Uuid, History> = HashMap::new();
    for row in rows {
        let history = found.entry(row.stream_id).or_insert_with(|| empty(row.stream_id));
        history.sequence = row.sequence as u64;
        let (version, payload) = (row.version as u16, row.payload.0);
        match row.event_type {
            None => history.snapshot = Some(Snapshot { sequence: history.sequence, version, state: payload }),
            Some(event_type) => {
                history.events.push(PastEvent { event_type, event_version: version, payload })
            }
        }
    }
    Ok(found)
}

fn empty(id: Uuid) -> History {
    History { stream: StreamId { kind: String::new(), id }, sequence: 0, snapshot: None, events: Vec::new() }
}
