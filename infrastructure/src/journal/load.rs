//! Reading streams for a decision.

use std::collections::{HashMap, HashSet};

use application::{
    error::Error,
    journal::{History, PastEvent, Snapshot},
};
use chrono::{DateTime, Utc};
use domain::{ids::TenantId, recorded_event::StreamId};
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::Head;
use crate::database::database_error;

/// Streams as they were when the journal ended at `head`.
pub(super) struct Loading {
    /// Where the journal ended.
    pub(super) head: Head,
    /// The streams asked for, in that order; one that was asked for twice is here once.
    pub(super) histories: Vec<History>,
    /// Of the streams that may be begun, those that exist.
    pub(super) existing: HashSet<Uuid>,
}

/// Reads the streams' snapshots and the events after them, and which of `firsts` exist, in one round trip.
pub(super) async fn load(
    connection: &mut PgConnection,
    tenant: TenantId,
    streams: &[StreamId],
    firsts: &[Uuid],
) -> Result<Loading, Error> {
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.id).collect();
    let rows = sqlx::query!(
        r#"SELECT head AS "head!", head_at AS "head_at?: DateTime<Utc>", stream_id AS "stream_id?", sequence AS "sequence?",
                  event_type AS "event_type?", payload AS "payload?: Json<Box<RawValue>>"
           FROM journal_load($1, $2, $3)"#,
        tenant.uuid(),
        &ids,
        firsts
    )
    .fetch_all(connection)
    .await
    .map_err(database_error)?;

    let mut head = Head::BEGINNING;
    let (mut found, mut existing) = (HashMap::<Uuid, History>::new(), HashSet::new());
    for row in rows {
        if let Some(recorded_at) = row.head_at {
            head = Head { position: row.head as u64, recorded_at };
        }
        let (Some(id), Some(sequence)) = (row.stream_id, row.sequence) else { continue };
        let sequence = sequence as u64;
        let Some(Json(payload)) = row.payload else {
            existing.insert(id);
            continue;
        };
        let history = found.entry(id).or_insert_with(|| empty(id));
        history.sequence = sequence;
        match row.event_type {
            None => history.snapshot = Some(Snapshot { sequence, state: payload }),
            Some(event_type) => history.events.push(PastEvent { event_type, payload }),
        }
    }
    let mut asked = HashSet::with_capacity(streams.len());
    let mut history = |stream: &StreamId| {
        let history = found.remove(&stream.id).unwrap_or_else(|| empty(stream.id));
        asked.insert(stream.id).then(|| History { stream: stream.clone(), ..history })
    };
    let histories = streams.iter().filter_map(&mut history).collect();
    Ok(Loading { head, histories, existing })
}

fn empty(id: Uuid) -> History {
    History { stream: StreamId { kind: String::new(), id }, sequence: 0, snapshot: None, events: Vec::new() }
}
