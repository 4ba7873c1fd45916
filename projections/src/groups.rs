//! Projections of a tenant that stand together: they share a checkpoint, and go on together.
//!
//! Where all is well there is one group. Who fails, is being rebuilt or is new stands apart until it meets the others.

use std::collections::HashMap;

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::{
    database::{Database, database_error},
    journal::Range,
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};
use uuid::Uuid;

/// Where a tenant's projections were when they were asked to go on together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    /// At the journal's end.
    AtHead,
    /// They go on: their checkpoint is at the range's end when the transaction commits, and nobody else can move it.
    GoOn {
        /// The events that they take in.
        range: Range,
        /// Whether there are more after these.
        behind: bool,
    },
    /// They are not one group, or somebody else is at it.
    Apart,
}

/// Moves the checkpoints of the transaction's tenants past their next events, `batch` of them at most, where all
/// `projections` (in order of their names) stand together. Waits for nobody.
///
/// It looks, locks and moves in one round trip, before the events are read: the journal has no gaps, so it is known
/// already where the batch ends.
pub(crate) async fn advance_together(
    tx: &mut ProjectingTx,
    projections: &[&str],
    batch: u32,
) -> Result<Vec<Together>, Error> {
    let tenants: Vec<Uuid> = tx.tenants().iter().map(|tenant| tenant.uuid()).collect();
    let rows = sqlx::query!(
        r#"WITH asked AS MATERIALIZED (
               SELECT asked.tenant_id, head.position AS head, standing.position AS standing
               FROM unnest($1::uuid[]) AS asked (tenant_id)
               CROSS JOIN LATERAL (
                   SELECT position FROM journal_heads WHERE tenant_id = asked.tenant_id OFFSET 0
               ) AS head
               CROSS JOIN LATERAL (
                   SELECT position FROM projection_checkpoints
                   WHERE tenant_id = asked.tenant_id AND projections = $2 OFFSET 0
               ) AS standing
           ), free AS MATERIALIZED (
               SELECT asked.tenant_id, asked.head, checkpoint.position
               FROM asked
               CROSS JOIN LATERAL (
                   SELECT position FROM projection_checkpoints
                   WHERE tenant_id = asked.tenant_id AND projections = $2 AND position < asked.head
                   FOR UPDATE SKIP LOCKED
               ) AS checkpoint
               WHERE asked.standing < asked.head
           ), moved AS (
               UPDATE projection_checkpoints AS checkpoint
               SET position = least(free.position + $3, free.head), error = NULL
               FROM free
               WHERE checkpoint.tenant_id = free.tenant_id AND checkpoint.projections = $2
               RETURNING checkpoint.tenant_id, free.position AS came_from, checkpoint.position AS went_to, free.head
           )
           SELECT tenant_id AS "tenant_id!", head AS "head!", came_from AS "came_from!", went_to AS "went_to!" FROM moved
           UNION ALL
           SELECT tenant_id, head, standing, head FROM asked WHERE standing = head"#,
        &tenants,
        projections as &[&str],
        i64::from(batch)
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let rows: HashMap<Uuid, _> = rows.into_iter().map(|row| (row.tenant_id, row)).collect();
    let standing = |tenant: &TenantId| match rows.get(&tenant.uuid()) {
        None => Together::Apart,
        Some(row) if row.came_from == row.head => Together::AtHead,
        Some(row) => Together::GoOn {
            range: Range { tenant: *tenant, after: row.came_from as u64, to: row.went_to as u64 },
            behind: row.went_to < row.head,
        },
    };
    Ok(tx.tenants().iter().map(standing).collect())
}

/// Which of the projections that are behind go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that have come furthest.
    Furthest,
    /// Those that have come least far, until they meet the next.
    Last,
}

/// Projections of one tenant that go on together, and what became of the others that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    /// Those that go on, if any do: their checkpoint is at `to` when the transaction commits, and nobody else can move it.
    pub(crate) moved: Vec<String>,
    /// Where they stood.
    pub(crate) from: u64,
    /// The position that they go on to.
    pub(crate) to: u64,
    /// Those that somebody else is at.
    pub(crate) locked: Vec<String>,
    /// Those that stand together with others that were not asked for.
    pub(crate) tangled: Vec<String>,
    /// Those that have no checkpoint yet.
    pub(crate) missing: Vec<String>,
    /// Whether any of those that are free is still behind the journal's head.
    pub(crate) behind: bool,
}

/// Moves the checkpoint of those of `projections` that are furthest or last, of one tenant of the transaction. Groups that
/// have met become one. Waits for nobody.
pub(crate) async fn advance(
    tx: &mut ProjectingTx,
    tenant: TenantId,
    projections: &[&str],
    which: Which,
    batch: u32,
) -> Result<Advance, Error> {
    let row = sqlx::query!(
        r#"SELECT moved AS "moved!", came_from, went_to, behind AS "behind!", locked AS "locked!", tangled AS "tangled!",
                  missing AS "missing!"
           FROM advance_group($1, $2, $3, $4)"#,
        tenant.uuid(),
        projections as &[&str],
        which == Which::Furthest,
        i64::from(batch)
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(Advance {
        moved: row.moved,
        from: row.came_from.unwrap_or(0) as u64,
        to: row.went_to.unwrap_or(0) as u64,
        locked: row.locked,
        tangled: row.tangled,
        missing: row.missing,
        behind: row.behind,
    })
}

/// Makes the checkpoints that are missing.
pub(crate) async fn begin(database: &Database, tenant: TenantId, missing: &[&str]) -> Result<(), Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    sqlx::query!("SELECT begin_projecting($1, $2)", tenant.uuid(), missing as &[&str])
        .execute(&mut *tx)
        .await
        .map_err(database_error)?;
    tx.commit().await
}

/// Gives each of `projections` a checkpoint of its own, where they stand; waits for who moves them.
pub(crate) async fn stand_apart(
    database: &Database,
    tenant: TenantId,
    projections: &[&str],
) -> Result<(), Error> {
    let mut tx = ProjectingTx::begin(database, vec![tenant]).await?;
    sqlx::query!("SELECT stand_apart($1, $2)", tenant.uuid(), projections as &[&str])
        .execute(&mut *tx)
        .await
        .map_err(database_error)?;
    tx.commit().await
}

/// Locks the checkpoint of a projection that stands alone, so that this transaction alone moves it; waits for whoever has
/// it. Tells whether there is one.
pub(crate) async fn lock(tx: &mut ProjectingTx, tenant: TenantId, projection: &str) -> Result<bool, Error> {
    sqlx::query_scalar!(
        "SELECT position FROM projection_checkpoints WHERE tenant_id = $1 AND projections = ARRAY[$2] FOR UPDATE",
        tenant.uuid(),
        projection
    )
    .fetch_optional(&mut **tx)
    .await
    .map(|position| position.is_some())
    .map_err(database_error)
}

/// Moves a locked checkpoint, and with it says that all is well. If others stand at that position, the projection joins
/// them.
pub(crate) async fn rejoin(
    tx: &mut ProjectingTx,
    tenant: TenantId,
    projection: &str,
    position: u64,
) -> Result<(), Error> {
    sqlx::query!("SELECT rejoin($1, $2, $3)", tenant.uuid(), projection, position as i64)
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(database_error)
}

/// Moves a projection past events that it is never to see; waits for who moves it.
pub(crate) async fn skip(tx: &mut TenantTx, projection: &str, position: u64) -> Result<(), Error> {
    sqlx::query!("SELECT pass_over($1, $2, $3)", tx.tenant().uuid(), projection, position as i64)
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(database_error)
}

/// Notes what the last attempt of one that stands alone failed with, for operators to see. The failed attempt's own lock
/// may be let go only in a moment, so it is waited for, but not long: if somebody else is at another attempt, theirs
/// counts.
pub(crate) async fn note_failure(
    database: &Database,
    tenant: TenantId,
    projection: &str,
    error: &str,
) -> Result<(), Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    sqlx::query("SET LOCAL lock_timeout = '500ms'").execute(&mut *tx).await.map_err(database_error)?;
    let noted = sqlx::query!(
        "UPDATE projection_checkpoints SET error = $3 WHERE tenant_id = $1 AND projections = ARRAY[$2]",
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
