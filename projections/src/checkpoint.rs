//! How far a projection of a tenant has come.

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
        "SELECT position FROM projection_checkpoints WHERE tenant_id = $1 AND projection = $2",
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
pub(crate) async fn positions(tx: &mut TenantTx) -> Result<HashMap<String, u64>, Error> {
    let rows = sqlx::query!(
        "SELECT projection, position FROM projection_checkpoints WHERE tenant_id = $1",
        tx.tenant().uuid()
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(rows.into_iter().map(|row| (row.projection, row.position as u64)).collect())
}

/// Makes the checkpoints that are missing, in a transaction of its own: whoever wants to lock one that somebody else has
/// made but not committed waits for them, even to insert it `ON CONFLICT DO NOTHING`.
pub(crate) async fn create(database: &Database, tenant: TenantId, projections: &[&str]) -> Result<(), Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    sqlx::query!(
        "INSERT INTO projection_checkpoints (tenant_id, projection, position)
         SELECT $1, projection, 0 FROM unnest($2::text[]) AS missing (projection)
         ON CONFLICT DO NOTHING",
        tenant.uuid(),
        projections as &[&str]
    )
    .execute(&mut *tx)
    .await
    .map_err(database_error)?;
    tx.commit().await
}

/// Locks a checkpoint that exists, so that this transaction alone moves it; waits for whoever has it.
pub(crate) async fn lock(tx: &mut TenantTx, projection: &str) -> Result<(), Error> {
    sqlx::query_scalar!(
        "SELECT position FROM projection_checkpoints WHERE tenant_id = $1 AND projection = $2 FOR UPDATE",
        tx.tenant().uuid(),
        projection
    )
    .fetch_one(&mut **tx)
    .await
    .map(drop)
    .map_err(database_error)
}

/// As [`lock`], without waiting: tells where the checkpoint stands, or `None` if somebody else has it.
pub(crate) async fn try_lock(tx: &mut TenantTx, projection: &str) -> Result<Option<u64>, Error> {
    let position = sqlx::query_scalar!(
        "SELECT position FROM projection_checkpoints WHERE tenant_id = $1 AND projection = $2
         FOR UPDATE SKIP LOCKED",
        tx.tenant().uuid(),
        projection
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(position.map(|position| position as u64))
}

/// Moves a locked checkpoint, and with it says that all is well.
pub(crate) async fn advance(tx: &mut TenantTx, projection: &str, position: u64) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE projection_checkpoints SET position = $3, error = NULL WHERE tenant_id = $1 AND projection = $2",
        tx.tenant().uuid(),
        projection,
        position as i64
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(database_error)
}

/// Moves those of the checkpoints that stand at `from` and that nobody else has to `position`; tells which.
pub(crate) async fn pass(
    database: &Database,
    tenant: TenantId,
    projections: &[&str],
    from: u64,
    position: u64,
) -> Result<Vec<String>, Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    let passed = sqlx::query_scalar!(
        "UPDATE projection_checkpoints SET position = $4, error = NULL
         WHERE tenant_id = $1 AND projection IN (
             SELECT projection FROM projection_checkpoints
             WHERE tenant_id = $1 AND projection = ANY($2) AND position = $3
             FOR UPDATE SKIP LOCKED
         )
         RETURNING projection",
        tenant.uuid(),
        projections as &[&str],
        from as i64,
        position as i64
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    tx.commit().await?;
    Ok(passed)
}

/// Notes what the last attempt failed with, for operators to see. The failed attempt's own lock may be let go only in a
/// moment, so it is waited for, but not long: if somebody else is at another attempt, theirs counts.
pub(crate) async fn note_failure(
    database: &Database,
    tenant: TenantId,
    projection: &str,
    error: &str,
) -> Result<(), Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    sqlx::query("SET LOCAL lock_timeout = '500ms'").execute(&mut *tx).await.map_err(database_error)?;
    let noted = sqlx::query!(
        "UPDATE projection_checkpoints SET error = $3 WHERE tenant_id = $1 AND projection = $2",
        tenant.uuid(),
        projection,
        error
    )
    .execute(&mut *tx)
    .await;
    match noted {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(()),
        Err(error) => Err(database_error(error)),
        Ok(_) => tx.commit().await,
    }
}

/// PostgreSQL's code for a lock that was not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
