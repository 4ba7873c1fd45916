//! Replaying a journal into a projection.

use application::error::Error;
use domain::{aggregate::RefusalKind, ids::TenantId};
use infrastructure::{
    database::{Database, database_error},
    journal,
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};

use crate::{
    fold::{ProjectError, Projection},
    groups,
    visit::BATCH,
};

/// What a rebuild has before it.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Whose journal.
    pub tenant: TenantId,
    /// How many events it holds.
    pub events: u64,
}

/// The journals that a rebuild of `tenant` (or of all) replays.
pub async fn extents(database: &Database, tenant: Option<TenantId>) -> Result<Vec<Extent>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let rows = sqlx::query!(
        "SELECT tenant_id, position FROM journal_heads
         WHERE position > 0 AND ($1::uuid IS NULL OR tenant_id = $1) ORDER BY tenant_id",
        tenant.map(TenantId::uuid)
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(rows
        .into_iter()
        .map(|row| Extent { tenant: row.tenant_id.into(), events: row.position as u64 })
        .collect())
}

/// Folds a tenant's whole journal anew, in one transaction: readers see the old rows until the new ones are complete,
/// and a crash leaves the old ones. `progress` is told how many events each batch had.
pub async fn rebuild(
    database: &Database,
    projection: &dyn Projection,
    tenant: TenantId,
    mut progress: impl FnMut(u64) + Send,
) -> Result<(), ProjectError> {
    if !projection.is_rebuildable() {
        return Err(not_rebuildable(projection.name()).into());
    }
    let mut tx = alone(database, projection.name(), tenant).await?;
    projection.forget(&mut tx, tenant).await?;
    let mut position = 0;
    loop {
        let events = journal::read_after(&mut tx, tenant, position, BATCH).await?;
        let Some(last) = events.last() else { break };
        position = last.position;
        projection.project(&mut tx, &events).await?;
        progress(events.len() as u64);
    }
    groups::rejoin(&mut tx, tenant, projection.name(), position).await?;
    tx.commit().await?;
    Ok(())
}

/// A transaction that alone moves the projection, until it ends.
async fn alone(database: &Database, projection: &str, tenant: TenantId) -> Result<ProjectingTx, Error> {
    groups::begin(database, tenant, &[projection]).await?;
    loop {
        groups::stand_apart(database, tenant, &[projection]).await?;
        let mut tx = ProjectingTx::begin(database, vec![tenant]).await?;
        // The pool's limits are for requests. Emptying a big table, or waiting for another rebuild, takes longer.
        sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
            .execute(&mut *tx)
            .await
            .map_err(database_error)?;
        // It may have met the others again in between.
        if groups::lock(&mut tx, tenant, projection).await? {
            return Ok(tx);
        }
    }
}

pub(crate) fn not_rebuildable(name: &str) -> Error {
    let detail = format!("{name} can't be rebuilt: what it did can't be undone");
    Error::refused(RefusalKind::Conflict, "not_rebuildable", detail)
}
