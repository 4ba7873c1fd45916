//! One entity straight from the journal: what a write answers with, without waiting for the projector.

use application::{error::Error, once::Commit};
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use infrastructure::{database::Database, journal, tenant_tx::TenantTx};
use uuid::Uuid;

use crate::fold::Fold;

/// All events of these streams, in the journal's order, with what they say about people readable.
pub async fn events(
    database: &Database,
    tenant: TenantId,
    streams: &[Uuid],
) -> Result<Vec<RecordedEvent>, Error> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = TenantTx::begin(database, tenant).await?;
    let mut events = journal::read_streams(&mut tx, streams).await?;
    drop(tx);
    journal::open(database, tenant, &mut events).await?;
    Ok(events)
}

/// The row that a projection folds of one stream, as of its newest event.
///
/// # Errors
/// 404 if the stream has no row (any more).
pub async fn of_stream<F: Fold>(
    database: &Database,
    tenant: TenantId,
    stream: impl Into<Uuid>,
) -> Result<F::Row, Error> {
    fold::<F>(&events(database, tenant, &[stream.into()]).await?)
}

/// The row that a projection folds of a stream as a commit left it: one that the commit has begun, or one whose events
/// the answer to the commit was to show.
///
/// # Errors
/// 404 if it is neither.
pub fn of_commit<F: Fold>(commit: &Commit<'_>, stream: impl Into<Uuid>) -> Result<F::Row, Error> {
    let stream = stream.into();
    let begun = commit.recording.of_stream(stream);
    if begun.first().is_some_and(|event| event.sequence == 1) {
        return fold::<F>(&begun);
    }
    let shown = commit.events.iter().filter(|event| event.stream.id == stream);
    fold::<F>(&shown.cloned().collect::<Vec<_>>())
}

fn fold<F: Fold>(events: &[RecordedEvent]) -> Result<F::Row, Error> {
    let mut row = None;
    for event in events {
        if F::key(event).map_err(Error::internal)?.is_some() {
            row = F::apply(row, event).map_err(Error::internal)?;
        }
    }
    row.ok_or_else(Error::not_found)
}
