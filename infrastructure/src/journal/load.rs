//! Reading streams for a decision.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use application::{
    error::Error,
    journal::{History, PastEvent, Snapshot, StreamRequest},
};
use chrono::{DateTime, Utc};
use domain::{ids::TenantId, recorded_event::StreamId};
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Head, gathering::Gathering, loader::Loader, opening::open};
use crate::{
    database::{Database, database_error},
    vault::{Source, Vault},
};

/// What is to be read of a tenant's journal.
pub(super) struct Load {
    /// Whose.
    pub(super) tenant: TenantId,
    /// These streams.
    pub(super) streams: Vec<StreamRequest>,
    /// And which of these have been begun.
    pub(super) firsts: Vec<Uuid>,
}

/// Streams as they were when the journal ended at `head`.
pub(super) struct Loading {
    /// Where the journal ended.
    pub(super) head: Head,
    /// The streams asked for, in that order; one that was asked for twice is here once.
    pub(super) histories: Vec<History>,
    /// Of the streams that may be begun, those that exist.
    pub(super) existing: HashSet<Uuid>,
    /// Just before it was read.
    pub(super) read_at: Instant,
}

/// What is fetched for a load.
pub(super) struct Fetch {
    pub(super) tenant: TenantId,
    /// The streams, with the version of their snapshots that is of use.
    pub(super) streams: BTreeMap<Uuid, i16>,
    pub(super) firsts: Vec<Uuid>,
}

/// A version that no snapshot has: asking for it is asking for the whole stream.
const NO_SNAPSHOT: i16 = -1;

/// How a load gets at the database.
pub(super) enum Way<'w> {
    /// With what is fetched for others at the same time.
    Shared(&'w Arc<Gathering<Loader>>, &'w Database),
    /// In the transaction that is under way.
    Connection(&'w mut PgConnection),
}

/// Reads the streams' snapshots and the events after them, and which of `firsts` exist, in one round trip, and opens what
/// they say about people, if an aggregate reads it. Only if there are snapshots that can't be read, everything is read
/// again, and those streams whole.
pub(super) async fn load(mut way: Way<'_>, vault: &Vault, load: Load) -> Result<Loading, Error> {
    let mut found = way.fetch(load.fetch(&[])).await?;
    found.open(way.source(), vault, &load).await?;
    let unreadable = found.unreadable(&load);
    if !unreadable.is_empty() {
        tracing::warn!(streams = ?unreadable, "snapshots can't be read; reading the streams from their beginning");
        found = way.fetch(load.fetch(&unreadable)).await?;
        found.open(way.source(), vault, &load).await?;
    }
    Ok(found.in_order(&load))
}

impl Way<'_> {
    async fn fetch(&mut self, fetch: Fetch) -> Result<Found, Error> {
        match self {
            Self::Shared(loader, _) => loader.fetch(fetch).await,
            Self::Connection(connection) => {
                let found = fetch_each(connection, &[fetch]).await?.pop();
                found.ok_or_else(|| Error::internal("who asks is answered"))
            }
        }
    }

    fn source(&mut self) -> Source<'_> {
        match self {
            Self::Shared(_, database) => Source::Pool(database),
            Self::Connection(connection) => Source::Connection(connection),
        }
    }
}

impl Load {
    /// What is to be fetched for it; of the streams in `whole` without their snapshots.
    fn fetch(&self, whole: &[Uuid]) -> Fetch {
        let version = |request: &StreamRequest| match whole.contains(&request.stream.id) {
            true => NO_SNAPSHOT,
            false => request.snapshot_version as i16,
        };
        let streams = self.streams.iter().map(|request| (request.stream.id, version(request))).collect();
        Fetch { tenant: self.tenant, streams, firsts: self.firsts.clone() }
    }
}

/// What there is of a tenant's journal.
pub(super) struct Found {
    head: Head,
    histories: HashMap<Uuid, History>,
    existing: HashSet<Uuid>,
    read_at: Instant,
}

impl Found {
    /// Opens what is said about people in those streams of which that is read.
    async fn open(&mut self, source: Source<'_>, vault: &Vault, load: &Load) -> Result<(), Error> {
        let personal = load.streams.iter().filter(|request| request.reads_personal);
        let personal: HashSet<Uuid> = personal.map(|request| request.stream.id).collect();
        let histories = self.histories.iter_mut().filter(|(id, _)| personal.contains(id));
        open(vault, source, load.tenant, histories.map(|(_, history)| history)).await
    }

    /// The streams whose snapshots their aggregates can't read.
    fn unreadable(&self, load: &Load) -> Vec<Uuid> {
        let is_unreadable = |request: &&StreamRequest| {
            let history = self.histories.get(&request.stream.id);
            let snapshot = history.and_then(|history| history.snapshot.as_ref());
            snapshot.is_some_and(|snapshot| !(request.reads)(&snapshot.state))
        };
        load.streams.iter().filter(is_unreadable).map(|request| request.stream.id).collect()
    }

    fn in_order(self, load: &Load) -> Loading {
        let Self { head, mut histories, existing, read_at } = self;
        let mut told = HashSet::new();
        let mut history = |StreamRequest { stream, .. }: &StreamRequest| {
            let history = histories.remove(&stream.id).unwrap_or_else(|| empty(stream.id));
            told.insert(stream.id).then(|| History { stream: stream.clone(), ..history })
        };
        Loading { head, histories: load.streams.iter().filter_map(&mut history).collect(), existing, read_at }
    }
}

/// What there is for each: of each stream its snapshot, if that has the version asked for, and the events after it.
pub(super) async fn fetch_each(
    connection: &mut PgConnection,
    fetches: &[Fetch],
) -> Result<Vec<Found>, Error> {
    let tenants: Vec<Uuid> = fetches.iter().map(|fetch| fetch.tenant.uuid()).collect();
    let (mut places, mut streams, mut snapshot_versions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut first_places, mut firsts) = (Vec::new(), Vec::new());
    for (place, fetch) in (1_i32..).zip(fetches) {
        for (stream, version) in &fetch.streams {
            places.push(place);
            streams.push(*stream);
            snapshot_versions.push(*version);
        }
        first_places.extend(fetch.firsts.iter().map(|_| place));
        firsts.extend_from_slice(&fetch.firsts);
    }
    let read_at = Instant::now();
    let rows = sqlx::query!(
        r#"SELECT place AS "place!", head, head_at AS "head_at: DateTime<Utc>", stream_id, sequence, event_type,
                  version, payload AS "payload: Json<Box<RawValue>>"
           FROM journal_load($1, $2, $3, $4, $5, $6)"#,
        &tenants,
        &places,
        &streams,
        &snapshot_versions,
        &first_places,
        &firsts
    )
    .fetch_all(connection)
    .await
    .map_err(database_error)?;

    let nothing = |_: &Fetch| Found {
        head: Head::BEGINNING,
        histories: HashMap::new(),
        existing: HashSet::new(),
        read_at,
    };
    let mut all: Vec<Found> = fetches.iter().map(nothing).collect();
    for row in rows {
        let found = all.get_mut(row.place as usize - 1);
        let found = found.ok_or_else(|| Error::internal("nobody has asked for this"))?;
        if let Some((position, recorded_at)) = row.head.zip(row.head_at) {
            found.head = Head { position: position as u64, recorded_at };
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
    Ok(all)
}

fn empty(id: Uuid) -> History {
    History { stream: StreamId { kind: String::new(), id }, sequence: 0, snapshot: None, events: Vec::new() }
}

#[cfg(test)]
#[cfg(feature = "test-support")]
mod tests {
    use sqlx::Executor;

    use super::*;
    use crate::{
        tenant_tx::TenantTx,
        test_postgres::{TestDatabase, events_read},
    };

    /// Under row level security, an index is not entered with every expression.
    #[tokio::test]
    async fn of_a_stream_with_a_snapshot_only_what_is_behind_it_is_read() {
        let test_database = TestDatabase::migrated().await;
        let vault = Vault::locked();
        let database = Database::connect(test_database.connect_options(), 2, vault.clone()).await.unwrap();
        let (tenant, stream) = (TenantId::random(), Uuid::now_v7());
        let mut tx = TenantTx::begin(&database, tenant).await.unwrap();
        let (of, id) = (tenant.uuid(), stream);
        tx.execute(sqlx::AssertSqlSafe(format!(
            "INSERT INTO events (tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type,
                                 event_version, payload, metadata, leaf_hash)
             SELECT '{of}', n, '{id}', n, now(), 'x', 'X', 1, '{{}}', '{{}}', sha256(int8send(n))
             FROM generate_series(1, 5000) AS n;
             INSERT INTO snapshots (tenant_id, stream_id, sequence, version, state) VALUES ('{of}', '{id}', 4990, 1, '7')"
        )))
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let mut tx = TenantTx::begin(&database, tenant).await.unwrap();
        let before = events_read(&mut tx).await;
        let request = StreamRequest {
            stream: StreamId { kind: "x".to_owned(), id: stream },
            snapshot_version: 1,
            reads_personal: false,
            reads: |_| true,
        };
        let asked = Load { tenant, streams: vec![request], firsts: vec![] };
        let loading = load(Way::Connection(&mut tx), &vault, asked).await.unwrap();
        assert_eq!((loading.histories[0].events.len(), loading.histories[0].sequence), (10, 5_000));
        let read = events_read(&mut tx).await - before;
        assert!((10..1_000).contains(&read), "{read} rows and index entries were read");
    }
}
