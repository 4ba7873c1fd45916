//! Appends on their way to the database: small ones of several tenants share one call and one commit.

use std::{collections::HashMap, sync::Arc};

use application::recording::Recording;
use chrono::{DateTime, Utc};
use domain::{ctx::Witness, ids::TenantId};
use sqlx::PgConnection;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    Head,
    connections::Connections,
    gathering::{AtFault, Call, Gathering, PATIENCE},
};
use crate::database::is_away;

/// How many events an append may have to share a call.
const SMALL: u64 = 64;

/// What a tenant's writer wants appended.
pub(super) struct Append {
    /// To whose journal.
    pub(super) tenant: TenantId,
    /// Where that journal must end now.
    pub(super) after: Head,
    /// Where it is to end.
    pub(super) head: Head,
    /// The events.
    pub(super) recordings: Vec<Arc<Recording>>,
    /// What is known of the sessions that the commands came in.
    pub(super) witnesses: Vec<Witness>,
}

/// What became of an append.
pub(super) enum Appended {
    /// It is committed; without events: the journal ends where it was expected to.
    Done,
    /// The journal ended elsewhere.
    Outrun,
    /// A stream exists that was to be begun.
    Repeated,
    /// Nothing was appended, because these sessions have newer events than was known.
    SessionsChanged(Vec<Uuid>),
    /// The database failed; it may have happened or not.
    Failed(Arc<sqlx::Error>),
}

/// Makes the calls that append.
pub(super) struct Appender {
    connections: Arc<Connections>,
}

impl Appender {
    /// What gathers appends for its calls.
    pub(super) fn new(connections: Arc<Connections>, runtime: Handle) -> Arc<Gathering<Self>> {
        Gathering::new(Self { connections }, PATIENCE, runtime)
    }
}

impl Call for Appender {
    type Question = Append;
    type Answer = Appended;

    fn tenant(append: &Append) -> TenantId {
        append.tenant
    }

    fn is_large(append: &Append) -> bool {
        append.events() > SMALL
    }

    /// Fails only if it is certain that nothing was committed.
    async fn answer(&self, appends: &[Append]) -> Result<Vec<Appended>, AtFault<Appended>> {
        let failed = |error: sqlx::Error| {
            let error = Arc::new(error);
            Ok(appends.iter().map(|_| Appended::Failed(Arc::clone(&error))).collect())
        };
        let mut connection = match self.connections.take().await {
            Ok(connection) => connection,
            Err(error) => return failed(error),
        };
        let called = append(&mut connection, appends).await;
        if matches!(called, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.connections.keep(connection);
        }
        match called {
            Err(error) if is_repeated(&error) => Err(AtFault(Appended::Repeated)),
            Err(error) if gave_way(&error) => Err(AtFault(Appended::Outrun)),
            // A statement that fails is rolled back. Only of a server or a connection that goes away nobody knows.
            Err(error @ sqlx::Error::Database(_)) if !is_away(&error) => {
                Err(AtFault(Appended::Failed(Arc::new(error))))
            }
            Err(error) => failed(error),
            Ok(Called { changed, .. }) if !changed.is_empty() => {
                Err(AtFault(Appended::SessionsChanged(changed)))
            }
            Ok(Called { appended, .. }) => {
                let outcome = |append: &Append| match appended.contains(&append.tenant.uuid()) {
                    true => Appended::Done,
                    false => Appended::Outrun,
                };
                Ok(appends.iter().map(outcome).collect())
            }
        }
    }
}

impl Gathering<Appender> {
    /// Appends, and tells what became of it. It happens also if nobody waits for the answer.
    pub(super) async fn append(self: &Arc<Self>, append: Append) -> Appended {
        let appended = self.ask(append).await;
        appended.unwrap_or_else(|| Appended::Failed(Arc::new(sqlx::Error::WorkerCrashed)))
    }
}

impl Append {
    fn events(&self) -> u64 {
        self.head.position - self.after.position
    }
}

/// What the database answered.
pub(super) struct Called {
    /// The tenants whose journals ended where they were expected to.
    pub(super) appended: Vec<Uuid>,
    /// The sessions because of which nothing was appended.
    pub(super) changed: Vec<Uuid>,
}

/// Calls the database's `journal_append`: in the connection's transaction if it has one, or else in one of its own.
pub(super) async fn append(connection: &mut PgConnection, appends: &[Append]) -> Result<Called, sqlx::Error> {
    let tenants: Vec<Uuid> = appends.iter().map(|append| append.tenant.uuid()).collect();
    debug_assert!(tenants.is_sorted_by(|one, next| one < next), "a tenant has one append under way");
    let expected: Vec<i64> = appends.iter().map(|append| append.after.position as i64).collect();
    let heads: Vec<i64> = appends.iter().map(|append| append.head.position as i64).collect();
    let times: Vec<DateTime<Utc>> = appends.iter().map(|append| append.head.recorded_at).collect();
    let mut columns = Columns::default();
    for (place, append) in (1..).zip(appends) {
        append.recordings.iter().for_each(|recording| columns.extend(place, recording));
    }

    let mut witnesses: HashMap<Uuid, i64> = HashMap::new();
    for witness in appends.iter().flat_map(|append| &append.witnesses) {
        let oldest = witnesses.entry(witness.session.uuid()).or_insert(i64::MAX);
        *oldest = (*oldest).min(witness.sequence as i64);
    }
    let (sessions, session_sequences): (Vec<Uuid>, Vec<i64>) = witnesses.into_iter().unzip();

    sqlx::query_as!(
        Called,
        r#"SELECT appended AS "appended!", changed AS "changed!"
           FROM journal_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"#,
        &tenants,
        &expected,
        &heads,
        &times,
        &columns.places,
        &columns.positions,
        &columns.commands,
        &columns.streams,
        &columns.sequences,
        &columns.kinds as &[&str],
        &columns.types as &[&str],
        &columns.versions,
        &columns.payloads as &[&str],
        &columns.hashes as &[&[u8]],
        &columns.metadata as &[&str],
        &sessions,
        &session_sequences
    )
    .fetch_one(connection)
    .await
}

/// Events, column by column, and the metadata of their commands.
#[derive(Default)]
struct Columns<'a> {
    places: Vec<i32>,
    positions: Vec<i64>,
    commands: Vec<i32>,
    streams: Vec<Uuid>,
    sequences: Vec<i64>,
    kinds: Vec<&'a str>,
    types: Vec<&'a str>,
    versions: Vec<i16>,
    payloads: Vec<&'a str>,
    hashes: Vec<&'a [u8]>,
    metadata: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    /// Adds the events of a command, whose tenant is at `place` among the call's.
    fn extend(&mut self, place: i32, recording: &'a Recording) {
        self.metadata.push(recording.metadata.get());
        let command = self.metadata.len() as i32;
        let events = recording.events.iter().zip(&recording.leaf_hashes);
        for (position, (event, hash)) in (recording.after as i64 + 1..).zip(events) {
            self.places.push(place);
            self.positions.push(position);
            self.commands.push(command);
            self.streams.push(event.stream.id);
            self.sequences.push(event.sequence as i64);
            self.kinds.push(&event.stream.kind);
            self.types.push(event.event_type);
            self.versions.push(event.event_version as i16);
            self.payloads.push(event.stored().get());
            self.hashes.push(hash);
        }
    }
}

/// Whether the call was in another transaction's way, and nothing was appended because of that.
pub(super) fn gave_way(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // A serialization failure, a deadlock, a lock that was not had in time.
    matches!(code.as_deref(), Some("40001" | "40P01" | "55P03"))
}

/// Whether a stream has an event already that was to be its next.
pub(super) fn is_repeated(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.code().as_deref() == Some("23505")
        && matches!(error.constraint(), Some("events_by_stream" | "events_pkey"))
}
