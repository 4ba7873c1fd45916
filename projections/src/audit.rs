//! Who did what to which thing, and when: every event of a journal but those that only count and track.

mod entry;

use application::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx,
    ids::{SessionId, TenantId, UserId},
    meters::{UsageAdmitted, UsageRefused},
    permission::Permission,
    recorded_event::RecordedEvent,
    tracked_events::EventTracked,
};
use infrastructure::{
    database::{Database, database_error},
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};
use sqlx::{PgConnection, types::Json};

pub use self::entry::{AuditActor, AuditContext, AuditRow, AuditTarget};
use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey, records, tenants},
    page::{Page, PageRequest},
    personal,
};

/// The projection. It also runs on the platform's journal, for users and their sessions.
pub struct Audit;

/// Which entries are asked for: those that everything given holds for.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Done by the user or API key with this id.
    pub actor: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// Done to the thing with this id.
    pub target: Option<String>,
    /// Recorded then or later.
    pub from: Option<DateTime<Utc>>,
    /// Recorded earlier.
    pub to: Option<DateTime<Utc>>,
}

impl Fold for Audit {
    const NAME: &'static str = "audit";
    /// The event's position: each event is an entry, and is met once.
    type Key = u64;
    type Row = AuditRow;

    fn key(event: &RecordedEvent) -> Result<Option<u64>, FoldError> {
        let counts = event.is::<EventTracked>() || event.is::<UsageAdmitted>() || event.is::<UsageRefused>();
        Ok((!counts).then_some(event.position))
    }

    fn apply(_row: Option<AuditRow>, event: &RecordedEvent) -> Result<Option<AuditRow>, FoldError> {
        AuditRow::of(event).map(Some)
    }
}

#[async_trait]
impl Table for Audit {
    async fn load(
        _connection: &mut PgConnection,
        _keys: &[TenantKey<u64>],
    ) -> Result<Vec<(TenantKey<u64>, AuditRow)>, Error> {
        Ok(Vec::new())
    }

    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<u64>, AuditRow)]) -> Result<(), Error> {
        let records = records(rows)?;
        sqlx::query!(
            "WITH entry AS (
                 INSERT INTO audit (tenant_id, position, id, action, occurred_at, actor, targets, context, outcome,
                                    metadata, leaf_hash)
                 SELECT tenant_id, position, id, action, occurred_at, actor, targets, context, outcome, metadata,
                        leaf_hash
                 FROM jsonb_populate_recordset(NULL::audit, $1)
                 RETURNING tenant_id, position, targets
             )
             INSERT INTO audit_targets (tenant_id, target_id, position)
             SELECT tenant_id, target ->> 'id', position FROM entry, jsonb_array_elements(targets) AS target
             ON CONFLICT DO NOTHING",
            records
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<u64>]) -> Result<(), Error> {
        let positions: Vec<i64> = keys.iter().map(|(_, position)| *position as i64).collect();
        sqlx::query!(
            "WITH gone AS (
                 SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS gone (tenant_id, position)
             ), entry AS (
                 DELETE FROM audit WHERE (tenant_id, position) IN (SELECT tenant_id, position FROM gone)
             )
             DELETE FROM audit_targets WHERE (tenant_id, position) IN (SELECT tenant_id, position FROM gone)",
            &tenants(keys),
            &positions
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        sqlx::query!(
            "WITH entry AS (DELETE FROM audit WHERE tenant_id = $1) DELETE FROM audit_targets WHERE tenant_id = $1",
            tenant.uuid()
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }
}

/// The audit log of the context's tenant, the newest entry first.
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    filter: &AuditFilter,
    page: PageRequest<u64>,
    min_position: u64,
) -> Result<Page<AuditRow, u64>, Error> {
    ctx.require(Permission::AuditRead)?;
    let (mut tx, position) = checkpoint::begin_at(database, ctx.tenant, Audit::NAME, min_position).await?;
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(entry) AS "row!: Json<AuditRow>" FROM audit AS entry
           WHERE tenant_id = $1
             AND ($2::text IS NULL OR actor_id = $2) AND ($3::text IS NULL OR action = $3)
             AND ($4::text IS NULL OR position = ANY(ARRAY(
                 SELECT position FROM audit_targets WHERE tenant_id = $1 AND target_id = $4)))
             AND ($5::timestamptz IS NULL OR occurred_at >= $5) AND ($6::timestamptz IS NULL OR occurred_at < $6)
             AND ($7::bigint IS NULL OR position < $7)
           ORDER BY position DESC LIMIT $8"#,
        ctx.tenant.uuid(),
        filter.actor.as_deref(),
        filter.action.as_deref(),
        filter.target.as_deref(),
        filter.from,
        filter.to,
        page.after.map(|position| position as i64),
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    drop(tx);
    let mut page =
        page.page(rows.into_iter().map(|Json(row)| row).collect(), position, |row: &AuditRow| row.position);
    personal::open(database, ctx.tenant, &mut page.items).await?;
    Ok(page)
}

/// The sessions that a user has begun, as far as the log has come.
pub(crate) async fn sessions_of(database: &Database, user: UserId) -> Result<Vec<SessionId>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let sessions = sqlx::query_scalar!(
        r#"SELECT targets -> 0 ->> 'id' AS "session!" FROM audit
           WHERE tenant_id = $1 AND action = 'session.started' AND position = ANY(ARRAY(
               SELECT position FROM audit_targets WHERE tenant_id = $1 AND target_id = $2))"#,
        TenantId::PLATFORM.uuid(),
        user.to_string()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    sessions.iter().map(|session| session.parse().map_err(Error::internal)).collect()
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
