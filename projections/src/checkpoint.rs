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

/// Which of the projections that are behind go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Those that have come furthest: where all is well, all of them.
    Furthest,
    /// Those that have come least far, until they meet the next.
    Last,
}

/// Projections that go on together, and what became of the others that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    /// Those that go on: their checkpoints are at `to` when the transaction commits, and nobody else can move them.
    pub(crate) moved: Vec<String>,
    /// Where they stood.
    pub(crate) from: u64,
    /// The position that they go on to.
    pub(crate) to: u64,
    /// Those that somebody else is at.
    pub(crate) locked: Vec<String>,
    /// Those that have no checkpoint yet.
    pub(crate) missing: Vec<String>,
    /// Whether any of those that are free is still behind the journal's head.
    pub(crate) behind: bool,
}

/// Moves the checkpoints of a group of `projections` past their next events, `batch` of them at most, and says with it
/// that all is well with them. Waits for nobody.
///
/// It looks, locks and moves in one round trip, before the events are read: the journal has no gaps, so it is known
/// already where the batch ends.
pub(crate) async fn advance_group(
    tx: &mut TenantTx,
    projections: &[&str],
    group: Group,
    batch: u32,
) -> Result<Advance, Error> {
    let rows = sqlx::query!(
        r#"WITH head AS MATERIALIZED (
               SELECT position FROM journal_heads WHERE tenant_id = $1
           ), standing AS MATERIALIZED (
               SELECT projection, position FROM projection_checkpoints
               WHERE tenant_id = $1 AND projection = ANY($2)
           ), free AS MATERIALIZED (
               SELECT projection, position FROM projection_checkpoints
               WHERE tenant_id = $1 AND projection = ANY($2) AND position < (SELECT position FROM head)
               FOR UPDATE SKIP LOCKED
           ), here AS MATERIALIZED (
               SELECT CASE WHEN $3 THEN max(position) ELSE min(position) END AS position FROM free
           ), there AS MATERIALIZED (
               SELECT least(here.position + $4, head.position, (
                   SELECT min(position) FROM standing WHERE standing.position > here.position
               )) AS position
               FROM here, head
           ), moved AS (
               UPDATE projection_checkpoints AS checkpoint SET position = there.position, error = NULL
               FROM here, there
               WHERE tenant_id = $1
                 AND projection = ANY(ARRAY(SELECT projection FROM free WHERE free.position = here.position))
               RETURNING projection
           )
           SELECT wanted.projection AS "projection!", (SELECT position FROM here) AS here,
                  (SELECT position FROM there) AS there, standing.projection IS NULL AS "is_missing!",
                  moved.projection IS NOT NULL AS "is_moved!", free.projection IS NOT NULL AS "is_free!",
                  coalesce(standing.position < (SELECT position FROM head), false) AS "was_behind!",
                  (SELECT position FROM there) < (SELECT position FROM head) AS stays_behind
           FROM unnest($2) AS wanted (projection)
           LEFT JOIN standing USING (projection) LEFT JOIN free USING (projection) LEFT JOIN moved USING (projection)"#,
        tx.tenant().uuid(),
        projections as &[&str],
        group == Group::Furthest,
        i64::from(batch)
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let mut advance = Advance::default();
    for row in rows {
        if row.is_moved {
            advance.from = row.here.unwrap_or(0) as u64;
            advance.to = row.there.unwrap_or(0) as u64;
            advance.behind |= row.stays_behind.unwrap_or(false);
            advance.moved.push(row.projection);
        } else if row.is_missing {
            advance.missing.push(row.projection);
        } else if row.is_free {
            advance.behind = true;
        } else if row.was_behind {
            advance.locked.push(row.projection);
        }
    }
    Ok(advance)
}

/// Makes the checkpoints that are missing. Commit it at once: whoever wants to lock one that somebody else has made but
/// not committed waits for them, even to insert it `ON CONFLICT DO NOTHING`.
pub(crate) async fn create(tx: &mut TenantTx, projections: &[&str]) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO projection_checkpoints (tenant_id, projection, position)
         SELECT $1, projection, 0 FROM unnest($2::text[]) AS missing (projection)
         ON CONFLICT DO NOTHING",
        tx.tenant().uuid(),
        projections as &[&str]
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(database_error)
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

/// Moves a checkpoint past events that the projection is never to see; waits for whoever has it.
pub(crate) async fn skip(tx: &mut TenantTx, projection: &str, position: u64) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO projection_checkpoints AS checkpoint (tenant_id, projection, position) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id, projection)
         DO UPDATE SET position = greatest(checkpoint.position, excluded.position), error = NULL",
        tx.tenant().uuid(),
        projection,
        position as i64
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .map_err(database_error)
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
