//! Which tracked events there are: an index into the journal, which keeps what they say.

use application::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    aggregate::{DecodeError, Fact},
    ctx::Ctx,
    ids::{EventId, ProjectId, TenantId},
    permission::Permission,
    raw_json::RawJson,
    recorded_event::RecordedEvent,
    tracked_events::{EventTracked, TrackedKind},
};
use infrastructure::{
    database::{Database, database_error},
    projecting_tx::ProjectingTx,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey, tenants},
    page::{Page, PageRequest},
    projects::{self, Projects},
};

/// How many characters of a text an index keeps; PostgreSQL's B-trees take 2 704 bytes.
const INDEXED_CHARACTERS: usize = 500;

/// The projection.
pub struct TrackedEvents;

/// What a tracked event is found by.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackedEventRow {
    /// The project that it was sent to.
    pub project_id: ProjectId,
    /// `track`, `identify`, `page`, `screen`, `group` or `alias`.
    pub kind: &'static str,
    /// The name of what was done.
    pub event: Option<String>,
    /// The person, by the sender's id.
    pub user_id: Option<String>,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
}

/// A tracked event as its tenant sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = TrackedEvent)]
pub struct TrackedEventItem {
    /// Which one.
    #[schema(value_type = String, example = "evt_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: EventId,
    /// Its place in the journal.
    pub position: u64,
    /// `track`, `identify`, `page`, `screen`, `group` or `alias`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of what was done, or of the page or screen.
    pub event: Option<String>,
    /// The person, by the sender's id.
    pub user_id: Option<String>,
    /// The person, by an id from before they were known.
    pub anonymous_id: Option<String>,
    /// The group, by the sender's id.
    pub group_id: Option<String>,
    /// The person's former id.
    pub previous_id: Option<String>,
    /// What the sender calls the message.
    pub message_id: String,
    /// When it happened, corrected by the sender's clock skew.
    pub timestamp: DateTime<Utc>,
    /// When it was recorded.
    pub received_at: DateTime<Utc>,
    /// What is known of the deed, as it was sent.
    #[schema(value_type = Option<Object>)]
    pub properties: Option<RawJson>,
    /// What is known of the person or group, as it was sent.
    #[schema(value_type = Option<Object>)]
    pub traits: Option<RawJson>,
    /// What is known of the sender, as it was sent.
    #[schema(value_type = Option<Object>)]
    pub context: Option<RawJson>,
}

/// Which tracked events are asked for: those that everything given holds for.
#[derive(Clone, Debug, Default)]
pub struct TrackedEventFilter {
    /// With this name.
    pub event: Option<String>,
    /// Of this person.
    pub user_id: Option<String>,
    /// That happened then or later.
    pub from: Option<DateTime<Utc>>,
    /// That happened earlier.
    pub to: Option<DateTime<Utc>>,
}

impl Fold for TrackedEvents {
    const NAME: &'static str = "tracked_events";
    /// The event's position: each event is a row, and is met once.
    type Key = u64;
    type Row = TrackedEventRow;

    fn key(event: &RecordedEvent) -> Result<Option<u64>, FoldError> {
        Ok(event.is::<EventTracked>().then_some(event.position))
    }

    fn apply(
        _row: Option<TrackedEventRow>,
        event: &RecordedEvent,
    ) -> Result<Option<TrackedEventRow>, FoldError> {
        let Some(outline) = Outline::of(event)? else { return Ok(None) };
        Ok(Some(TrackedEventRow {
            project_id: outline.project_id,
            kind: outline.kind.as_str(),
            event: outline.event.as_deref().map(indexed),
            user_id: outline.user_id.as_deref().map(indexed),
            timestamp: indexed_time(outline.timestamp),
        }))
    }
}

/// What read models keep of an [`EventTracked`]. They meet every one of them, and most of it is what they do not keep.
#[derive(Deserialize)]
pub(crate) struct Outline {
    pub(crate) project_id: ProjectId,
    #[serde(rename = "type")]
    pub(crate) kind: TrackedKind,
    pub(crate) event: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) timestamp: DateTime<Utc>,
}

impl Outline {
    /// That of an event, if it is a tracked one.
    pub(crate) fn of(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if !event.is::<EventTracked>() {
            return Ok(None);
        }
        serde_json::from_str(event.payload.get())
            .map(Some)
            .map_err(|source| DecodeError::Payload { event_type: EventTracked::TYPE, source })
    }

    /// [`EventTracked::usage_name`].
    pub(crate) fn usage_name(&self) -> &str {
        match (self.kind, &self.event) {
            (TrackedKind::Track, Some(event)) => event,
            (kind, _) => kind.as_str(),
        }
    }
}

/// A sender's text as an index can hold it: bounded, and without the NUL that PostgreSQL does not store.
pub(crate) fn indexed(text: &str) -> String {
    text.chars()
        .take(INDEXED_CHARACTERS)
        .map(|letter| if letter == '\0' { '\u{fffd}' } else { letter })
        .collect()
}

/// A sender's time as PostgreSQL can hold it.
pub(crate) fn indexed_time(time: DateTime<Utc>) -> DateTime<Utc> {
    time.max(DateTime::from_timestamp(-62_135_596_800, 0).unwrap_or_default())
}

#[async_trait]
impl Table for TrackedEvents {
    async fn load(
        _connection: &mut PgConnection,
        _keys: &[TenantKey<u64>],
    ) -> Result<Vec<(TenantKey<u64>, TrackedEventRow)>, Error> {
        Ok(Vec::new())
    }

    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<u64>, TrackedEventRow)]) -> Result<(), Error> {
        let positions: Vec<i64> = rows.iter().map(|((_, position), _)| *position as i64).collect();
        let projects: Vec<Uuid> = rows.iter().map(|(_, row)| row.project_id.uuid()).collect();
        let kinds: Vec<&str> = rows.iter().map(|(_, row)| row.kind).collect();
        let events: Vec<Option<&str>> = rows.iter().map(|(_, row)| row.event.as_deref()).collect();
        let users: Vec<Option<&str>> = rows.iter().map(|(_, row)| row.user_id.as_deref()).collect();
        let times: Vec<DateTime<Utc>> = rows.iter().map(|(_, row)| row.timestamp).collect();
        sqlx::query!(
            "INSERT INTO tracked_events (tenant_id, position, project_id, kind, event, user_id, timestamp)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[],
                                  $7::timestamptz[])",
            &tenants(rows.iter().map(|(key, _)| key)),
            &positions,
            &projects,
            &kinds as &[&str],
            &events as &[Option<&str>],
            &users as &[Option<&str>],
            &times
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<u64>]) -> Result<(), Error> {
        let positions: Vec<i64> = keys.iter().map(|(_, position)| *position as i64).collect();
        sqlx::query!(
            "DELETE FROM tracked_events AS event USING unnest($1::uuid[], $2::bigint[]) AS gone (tenant_id, position)
             WHERE event.tenant_id = gone.tenant_id AND event.position = gone.position",
            &tenants(keys),
            &positions
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        sqlx::query!("DELETE FROM tracked_events WHERE tenant_id = $1", tenant.uuid())
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }
}

/// A tracked event as the journal has it.
struct Listed {
    position: i64,
    recorded_at: DateTime<Utc>,
    payload: Json<Box<RawValue>>,
}

/// Queries a page by one of the indexes. One statement for each, and not one for all: PostgreSQL soon plans a statement
/// without looking at its arguments, and then the index has to be the right one for all of them.
macro_rules! listed {
    ($tx:ident, $project:ident, $filter:ident, $page:ident, $found_by:literal) => {
        sqlx::query_as!(
            Listed,
            r#"SELECT event.position, event.recorded_at, event.payload AS "payload: Json<Box<RawValue>>"
               FROM (
                   SELECT position FROM tracked_events
                   WHERE tenant_id = $1 AND project_id = $2 AND "#
                + $found_by
                + r#"
                     AND ($5::timestamptz IS NULL OR timestamp >= $5) AND ($6::timestamptz IS NULL OR timestamp < $6)
                     AND position < $7
                   ORDER BY position DESC LIMIT $8
               ) AS tracked
               JOIN events AS event ON event.tenant_id = $1 AND event.position = tracked.position
               ORDER BY event.position DESC"#,
            $tx.tenant().uuid(),
            $project.uuid(),
            $filter.event.as_deref().map(indexed),
            $filter.user_id.as_deref().map(indexed),
            $filter.from.map(indexed_time),
            $filter.to.map(indexed_time),
            $page.after.map_or(i64::MAX, |position| position as i64),
            $page.fetch()
        )
        .fetch_all(&mut *$tx)
        .await
        .map_err(database_error)?
    };
}

/// The tracked events of a project, the one recorded last first.
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    project: ProjectId,
    filter: &TrackedEventFilter,
    page: PageRequest<u64>,
    min_position: u64,
) -> Result<Page<TrackedEventItem, u64>, Error> {
    ctx.require(Permission::EventsRead)?;
    let projections = [TrackedEvents::NAME, Projects::NAME];
    let (mut tx, position) =
        checkpoint::begin_at_all(database, ctx.tenant, &projections, min_position).await?;
    projects::of_id(&mut tx, project).await?;
    let rows = if filter.user_id.is_some() {
        listed!(
            tx,
            project,
            filter,
            page,
            "user_key = hashtextextended($4, uuid_hash_extended($2, 0)) AND user_id = $4 AND ($3::text IS NULL OR event = $3)"
        )
    } else if filter.event.is_some() {
        listed!(
            tx,
            project,
            filter,
            page,
            "event_key = hashtextextended($3, uuid_hash_extended($2, 0)) AND event = $3 AND $4::text IS NULL"
        )
    } else {
        listed!(tx, project, filter, page, "$3::text IS NULL AND $4::text IS NULL")
    };
    let items: Result<Vec<_>, Error> =
        rows.into_iter().map(|row| item(row.position as u64, row.recorded_at, &row.payload)).collect();
    Ok(page.page(items?, position, |item| item.position))
}

fn item(position: u64, received_at: DateTime<Utc>, payload: &RawValue) -> Result<TrackedEventItem, Error> {
    let tracked: EventTracked = serde_json::from_str(payload.get()).map_err(Error::internal)?;
    Ok(TrackedEventItem {
        id: tracked.event_id,
        position,
        kind: tracked.kind.as_str().to_owned(),
        event: tracked.event,
        user_id: tracked.user_id,
        anonymous_id: tracked.anonymous_id,
        group_id: tracked.group_id,
        previous_id: tracked.previous_id,
        message_id: tracked.message_id,
        timestamp: tracked.timestamp,
        received_at,
        properties: tracked.properties,
        traits: tracked.traits,
        context: tracked.context,
    })
}

#[cfg(test)]
#[path = "tracked_events_tests.rs"]
pub(crate) mod tests;
