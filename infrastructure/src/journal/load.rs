//! Reading streams for a decision.

use std::collections::{BTreeMap, HashMap, HashSet};

use application::{
    error::Error,
    journal::{History, PastEvent, Snapshot, StreamRequest},
};
use chrono::{DateTime, Utc};
use domain::{ids::TenantId, recorded_event::StreamId};
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Head, opening::open};
use crate::{
    database::database_error,
    vault::{Source, Vault},
};

/// Streams as they were when the journal ended at `head`.
pub(super) struct Loading {
    /// Where the journal ended.
    pub(super) head: Head,
    /// The streams asked for, in that order; one that was asked for twice is here once.
    pub(super) histories: Vec<History>,
    /// Of the streams that may be begun, those that exist.
    pub(super) existing: HashSet<Uuid>,
}

/// A version that no snapshot has: asking for it is asking for the whole stream.
const NO_SNAPSHOT: i16 = -1;

/// Reads the streams' snapshots and the events after them, and which of `firsts` exist, in one round trip. Only if there
/// are snapshots that can't be read, a second one reads everything again, and those streams whole.
pub(super) async fn load(
    connection: &mut PgConnection,
    vault: &Vault,
    tenant: TenantId,
    requests: &[StreamRequest],
    firsts: &[Uuid],
) -> Result<Loading, Error> {
    let mut versions: BTreeMap<Uuid, i16> = BTreeMap::new();
    versions.extend(requests.iter().map(|request| (request.stream.id, request.snapshot_version as i16)));
    let personal: HashSet<Uuid> =
        requests.iter().filter(|request| request.reads_personal).map(|request| request.stream.id).collect();
    let mut found = fetch(connection, tenant, &versions, firsts).await?;
    found.open(connection, vault, tenant, &personal).await?;
    let unreadable: Vec<Uuid> = requests
        .iter()
        .filter(|request| {
            let snapshot =
                found.histories.get(&request.stream.id).and_then(|history| history.snapshot.as_ref());
            snapshot.is_some_and(|snapshot| !(request.reads)(&snapshot.state))
        })
        .map(|request| request.stream.id)
        .collect();
    if !unreadable.is_empty() {
        tracing::warn!(streams = ?unreadable, "snapshots can't be read; reading the streams from their beginning");
        versions.extend(unreadable.into_iter().map(|id| (id, NO_SNAPSHOT)));
        found = fetch(connection, tenant, &versions, firsts).await?;
        found.open(connection, vault, tenant, &personal).await?;
    }
    let Found { head, mut histories, existing } = found;
    let mut history = |StreamRequest { stream, .. }: &StreamRequest| {
        versions.remove(&stream.id)?;
        let history = histories.remove(&stream.id).unwrap_or_else(|| empty(stream.id));
        Some(History { stream: stream.clone(), ..history })
    };
    let histories = requests.iter().filter_map(&mut history).collect();
    Ok(Loading { head, histories, existing })
}

struct Found {
    head: Head,
    histories: HashMap<Uuid, History>,
    existing: HashSet<Uuid>,
}

impl Found {
    /// Opens what these streams say about people.
    async fn open(
        &mut self,
        connection: &mut PgConnection,
        vault: &Vault,
        tenant: TenantId,
        personal: &HashSet<Uuid>,
    ) -> Result<(), Error> {
        let histories = self.histories.iter_mut().filter(|(id, _)| personal.contains(id));
        open(vault, Source::Connection(connection), tenant, histories.map(|(_, history)| history)).await
    }
}

/// What there is of each stream: its snapshot, if that has the version asked for, and the events after it.
async fn fetch(
    connection: &mut PgConnection,
    tenant: TenantId,
    versions: &BTreeMap<Uuid, i16>,
    firsts: &[Uuid],
) -> Result<Found, Error> {
    let (ids, versions): (Vec<Uuid>, Vec<i16>) = versions.iter().unzip();
    let rows = sqlx::query!(
        r#"SELECT head AS "head!", head_at AS "head_at?: DateTime<Utc>", stream_id AS "stream_id?", sequence AS "sequence?",
                  event_type AS "event_type?", version AS "version?", payload AS "payload?: Json<Box<RawValue>>"
           FROM journal_load($1, $2, $3, $4)"#,
        tenant.uuid(),
        &ids,
        &versions,
        firsts
    )
    .fetch_all(connection)
    .await
    .map_err(database_error)?;

    let mut found = Found { head: Head::BEGINNING, histories: HashMap::new(), existing: HashSet::new() };
    for row in rows {
        if let Some(recorded_at) = row.head_at {
            found.head = Head { position: row.head as u64, recorded_at };
        }
        let (Some(id), Some(sequence)) = (row.stream_id, row.sequence) else { continue };
        let (Some(version), Some(Json(payload))) = (row.version, row.payload) else {
            found.existing.insert(id);
            continue;
        };
        let (sequence, version) = (sequence as u64, version as u16);
        let history = found.histories.entry(id).or_insert_with(|| empty(id));
        history.sequence = sequence;
        match row.event_type {
            None => history.snapshot = Some(Snapshot { sequence, version, state: payload, about: None }),
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
