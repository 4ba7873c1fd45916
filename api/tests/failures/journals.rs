//! The journals as the owner of the tables sees them: past the servers, past every policy, in one snapshot.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::{
    ids::TenantId,
    recorded_event::{RecordedEvent, StreamId},
};
use serde_json::value::RawValue;
use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// Everything that was ever recorded, and what is kept beside it.
pub(crate) struct Journals {
    /// Each tenant's journal in the order of positions; the platform's is among them.
    pub(crate) events: BTreeMap<TenantId, Vec<RecordedEvent>>,
    /// Where the tables say that each journal ends.
    pub(crate) heads: BTreeMap<TenantId, u64>,
    /// Kind and value of each claim, in whose scope, and which stream holds it.
    pub(crate) claims: BTreeMap<(TenantId, String, String), Uuid>,
}

impl Journals {
    pub(crate) async fn read(owner: &mut PgConnection) -> Self {
        let mut tx = owner.begin().await.unwrap();
        tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.unwrap();
        let events =
            "SELECT tenant_id, position, stream_kind, stream_id, sequence, event_type, event_version,
                             payload::text AS payload, metadata::text AS metadata, recorded_at, leaf_hash
                      FROM events ORDER BY tenant_id, position";
        let mut journals: BTreeMap<TenantId, Vec<RecordedEvent>> = BTreeMap::new();
        for row in sqlx::query(events).fetch_all(&mut *tx).await.unwrap() {
            let event = recorded(&row);
            journals.entry(event.tenant_id).or_default().push(event);
        }
        let heads = sqlx::query_as("SELECT tenant_id, position FROM journal_heads WHERE position > 0");
        let heads: Vec<(Uuid, i64)> = heads.fetch_all(&mut *tx).await.unwrap();
        let claims = sqlx::query_as("SELECT tenant_id, kind, value, stream_id FROM claims");
        let claims: Vec<(Uuid, String, String, Uuid)> = claims.fetch_all(&mut *tx).await.unwrap();
        let claim = |(tenant, kind, value, holder): (Uuid, _, _, _)| ((tenant.into(), kind, value), holder);
        Self {
            events: journals,
            heads: heads.into_iter().map(|(tenant, head)| (tenant.into(), head as u64)).collect(),
            claims: claims.into_iter().map(claim).collect(),
        }
    }

    /// What each request has caused in a tenant's journal.
    pub(crate) fn by_request(&self, tenant: TenantId) -> HashMap<String, Vec<&RecordedEvent>> {
        let mut requests: HashMap<String, Vec<&RecordedEvent>> = HashMap::new();
        for event in self.events.get(&tenant).into_iter().flatten() {
            requests.entry(event.metadata().unwrap().request_id).or_default().push(event);
        }
        requests
    }
}

fn recorded(row: &PgRow) -> RecordedEvent {
    let json = |column: &str| RawValue::from_string(row.get(column)).unwrap();
    let number = |column: &str| row.get::<i64, _>(column) as u64;
    RecordedEvent {
        tenant_id: row.get::<Uuid, _>("tenant_id").into(),
        position: number("position"),
        stream: StreamId { kind: row.get("stream_kind"), id: row.get("stream_id") },
        sequence: number("sequence"),
        event_type: row.get("event_type"),
        event_version: row.get::<i16, _>("event_version") as u16,
        payload: json("payload"),
        metadata: json("metadata"),
        recorded_at: row.get::<DateTime<Utc>, _>("recorded_at"),
        leaf_hash: row.get::<Vec<u8>, _>("leaf_hash").try_into().unwrap(),
    }
}
