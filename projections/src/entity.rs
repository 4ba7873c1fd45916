//! One entity straight from the journal: what a write answers with, without waiting for the projector.

use application::error::Error;
use domain::ids::TenantId;
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
    let mut row = None;
    for event in &events {
        if F::key(event).map_err(Error::internal)?.is_some() {
            row = F::apply(row, event).map_err(Error::internal)?;
        }
    }
    row.ok_or_else(Error::not_found)
}
