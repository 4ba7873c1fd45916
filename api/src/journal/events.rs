//! The raw journal, page by page.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use domain::{ids::EventId, invalid::Invalid};
use infrastructure::journal::stored::{self, StoredEvent};
use serde::Serialize;
use serde_json::value::RawValue;

use super::hex;
use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::Data,
        listing::Limit,
        problem::Problem,
        query::{Query, query},
    },
};

query! {
    /// Which part of the journal.
    pub(super) struct JournalQuery {
        /// Events after this position; by default from the beginning.
        pub(super) after: Option<u64>,
        /// How many events at most.
        pub(super) limit: Option<Limit>,
    }
}

/// An event as the journal keeps it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct JournalEvent {
    /// Which one.
    #[schema(value_type = String)]
    id: EventId,
    /// Its place in the journal: 1, 2, 3 … without gaps.
    position: u64,
    /// What kind of thing it happened to.
    stream_kind: String,
    /// Which one.
    stream_id: uuid::Uuid,
    /// Its place among the events of that thing.
    sequence: u64,
    /// What happened.
    #[serde(rename = "type")]
    event_type: String,
    /// The version of the payload's shape.
    version: u16,
    /// The details, byte for byte as they were written.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// Who caused it and from where, byte for byte as it was written.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// The leaf hash over all of it, in hexadecimal (docs/journal-format.md).
    leaf_hash: String,
}

impl TryFrom<StoredEvent> for JournalEvent {
    type Error = Problem;

    fn try_from(event: StoredEvent) -> Result<Self, Problem> {
        let json = |text| RawValue::from_string(text).map_err(Problem::internal);
        Ok(Self {
            id: EventId::at(event.tenant_id, event.position),
            position: event.position,
            stream_kind: event.stream.kind,
            stream_id: event.stream.id,
            sequence: event.sequence,
            event_type: event.event_type,
            version: event.event_version,
            payload: json(event.payload)?,
            metadata: json(event.metadata)?,
            recorded_at: event.recorded_at,
            leaf_hash: hex(&event.leaf_hash),
        })
    }
}

/// Recorded events in order. To go on, ask for those after the last one's position.
#[utoipa::path(tag = "audit", params(JournalQuery), responses((status = 200, body = Data<Vec<JournalEvent>>)))]
#[get("/v1/tenants/{tenant}/journal")]
pub(super) async fn read(
    annals: web::Data<Annals>,
    member: Member,
    query: Query<JournalQuery>,
) -> Result<Data<Vec<JournalEvent>>, Problem> {
    let JournalQuery { after, limit } = query.0;
    let (after, Limit(limit)) = (after.unwrap_or(0), limit.unwrap_or_default());
    if i64::try_from(after).is_err() {
        let rule = format!("must be at most {}", i64::MAX);
        return Err(Problem::field("?after", Invalid::new("out_of_range", rule)));
    }
    let (events, head) = stored::page(&member.ctx, &annals.database, after, limit).await?;
    let events: Result<Vec<_>, _> = events.into_iter().map(JournalEvent::try_from).collect();
    Ok(Data::new(events?).at(head))
}
