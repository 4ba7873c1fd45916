//! One entity straight from the journal: what a write answers with, without waiting for the projector.

use application::{app::Written, error::Error};
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use infrastructure::{database::Database, journal, tenant_tx::TenantTx};
use uuid::Uuid;

use crate::fold::Fold;

/// The row that a projection folds of one stream, as of its newest event.
///
/// # Errors
/// 404 if the stream has no row (any more).
pub async fn of_stream<F: Fold>(
    database: &Database,
    tenant: TenantId,
    stream: impl Into<Uuid>,
) -> Result<F::Row, Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    let events = journal::read_streams(&mut tx, &[stream.into()]).await?;
    fold::<F>(&events)
}

/// The row that a projection folds of a stream that a commit has begun: nothing has to be read.
///
/// # Errors
/// 404 if the commit has not.
pub fn of_commit<F: Fold, T>(written: &Written<T>, stream: impl Into<Uuid>) -> Result<F::Row, Error> {
    let events = written.recording.of_stream(stream.into());
    if events.first().is_none_or(|event| event.sequence != 1) {
        return Err(Error::not_found());
    }
    fold::<F>(&events)
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
