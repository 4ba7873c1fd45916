//! How far a projection of a tenant has come, for readers.

use std::{collections::HashMap, time::Duration};

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::{
    database::{Database, database_error},
    journal,
    tenant_tx::TenantTx,
};
use tokio::time::Instant;

/// How long a read waits for the position that it was asked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The position that `projection` of the transaction's tenant has taken in. Read it in the transaction that reads the
/// rows: the two are written together.
pub async fn position(tx: &mut TenantTx, projection: &str) -> Result<u64, Error> {
    let position = sqlx::query_scalar!(
        r#"SELECT position AS "position!" FROM projection_checkpoints WHERE tenant_id = $1 AND $2 = ANY(projections)"#,
        tx.tenant().uuid(),
        projection
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(position.unwrap_or(0) as u64)
}

/// Begins a transaction in which `projection` has taken in at least `min_position`; waits for it, five seconds at most,
/// and not at all for a position that the journal does not have. Returns it with the position that it sees.
pub async fn begin_at(
    database: &Database,
    tenant: TenantId,
    projection: &str,
    min_position: u64,
) -> Result<(TenantTx, u64), Error> {
    begin_at_all(database, tenant, &[projection], min_position).await
}

/// As [`begin_at`] for a query that reads several projections: the position is that of the one furthest behind.
pub async fn begin_at_all(
    database: &Database,
    tenant: TenantId,
    projections: &[&str],
    min_position: u64,
) -> Result<(TenantTx, u64), Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(2);
    let mut exists = false;
    loop {
        let mut tx = TenantTx::begin(database, tenant).await?;
        // One snapshot for the checkpoint and the rows that are read after it.
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *tx)
            .await
            .map_err(database_error)?;
        let positions = positions(&mut tx).await?;
        let position = |projection: &&str| positions.get(*projection).copied().unwrap_or(0);
        let position = projections.iter().map(position).min().unwrap_or(0);
        if position >= min_position {
            return Ok((tx, position));
        }
        // Callers learn of a position after its commit: one beyond the head was never told, and no wait leads there.
        exists = exists || journal::head(&mut tx).await? >= min_position;
        drop(tx);
        if !exists || Instant::now() + pause > deadline {
            return Err(Error::ReadModelBehind { seen: position, wanted: min_position });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// The positions of all projections of the transaction's tenant that have begun.
async fn positions(tx: &mut TenantTx) -> Result<HashMap<String, u64>, Error> {
    let rows = sqlx::query!(
        r#"SELECT projection AS "projection!", position AS "position!" FROM projection_positions WHERE tenant_id = $1"#,
        tx.tenant().uuid()
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(rows.into_iter().map(|row| (row.projection, row.position as u64)).collect())
}

/// The position of the projection of `tenant` that is furthest behind, of these.
pub async fn furthest_behind(
    database: &Database,
    tenant: TenantId,
    projections: impl Iterator<Item = &'static str>,
) -> Result<u64, Error> {
    let positions = positions(&mut TenantTx::begin(database, tenant).await?).await?;
    Ok(projections.map(|name| positions.get(name).copied().unwrap_or(0)).min().unwrap_or(0))
}
