//! Who did what to which thing, and when: every event of a journal but those that only count and track.
//!
//! The table keeps what entries are found by. What they say is in the journal, and is folded when it is read.

mod action;
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
    journal,
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::entry::{AuditActor, AuditContext, AuditRow, AuditTarget, FoundBy};
use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey, tenants},
    page::{Page, PageRequest},
    personal,
    tracked_events::indexed,
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
    type Row = FoundBy;

    fn key(event: &RecordedEvent) -> Result<Option<u64>, FoldError> {
        let counts = event.is::<EventTracked>() || event.is::<UsageAdmitted>() || event.is::<UsageRefused>();
        Ok((!counts).then_some(event.position))
    }

    fn apply(_row: Option<FoundBy>, event: &RecordedEvent) -> Result<Option<FoundBy>, FoldError> {
        FoundBy::of(event).map(Some)
    }
}

#[async_trait]
impl Table for Audit {
    async fn load(
        _connection: &mut PgConnection,
        _keys: &[TenantKey<u64>],
    ) -> Result<Vec<(TenantKey<u64>, FoundBy)>, Error> {
        Ok(Vec::new())
    }

    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<u64>, FoundBy)]) -> Result<(), Error> {
        let positions: Vec<i64> = rows.iter().map(|((_, position), _)| *position as i64).collect();
        let actions: Vec<&str> = rows.iter().map(|(_, row)| row.action.as_str()).collect();
        let times: Vec<DateTime<Utc>> = rows.iter().map(|(_, row)| row.occurred_at).collect();
        let actors: Vec<Option<&str>> = rows.iter().map(|(_, row)| row.actor_id.as_deref()).collect();
        let targets = rows.iter().flat_map(|(key, row)| row.target_ids.iter().map(move |id| (key, id)));
        let ((targeted, target_positions), target_ids): ((Vec<Uuid>, Vec<i64>), Vec<&str>) =
            targets.map(|((tenant, position), id)| ((tenant.uuid(), *position as i64), id.as_str())).unzip();
        sqlx::query!(
            "WITH entry AS (
                 INSERT INTO audit (tenant_id, position, action, occurred_at, actor_id)
                 SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[])
             )
             INSERT INTO audit_targets (tenant_id, position, target_id)
             SELECT * FROM unnest($6::uuid[], $7::bigint[], $8::text[])
             ON CONFLICT DO NOTHING",
            &tenants(rows.iter().map(|(key, _)| key)),
            &positions,
            &actions as &[&str],
            &times,
            &actors as &[Option<&str>],
            &targeted,
            &target_positions,
            &target_ids as &[&str]
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
    let positions = sqlx::query_scalar!(
        "SELECT position FROM audit
           WHERE tenant_id = $1
             AND ($2::text IS NULL OR actor_id = $2) AND ($3::text IS NULL OR action = $3)
             AND ($4::text IS NULL OR position = ANY(ARRAY(
                 SELECT position FROM audit_targets WHERE tenant_id = $1 AND target_id = $4)))
             AND ($5::timestamptz IS NULL OR occurred_at >= $5) AND ($6::timestamptz IS NULL OR occurred_at < $6)
             AND ($7::bigint IS NULL OR position < $7)
           ORDER BY position DESC LIMIT $8",
        ctx.tenant.uuid(),
        filter.actor.as_deref(),
        filter.action.as_deref(),
        filter.target.as_deref().map(indexed),
        filter.from,
        filter.to,
        page.after.map(|position| position as i64),
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    let Page { items: positions, next, position } =
        page.page(positions, position, |position| *position as u64);
    let events = journal::read_at(&mut tx, &positions).await?;
    drop(tx);
    let items: Result<Vec<AuditRow>, FoldError> = events.iter().rev().map(AuditRow::of).collect();
    let mut items = items.map_err(Error::internal)?;
    personal::open(database, ctx.tenant, &mut items).await?;
    Ok(Page { items, next, position })
}

/// The sessions that a user has begun, as far as the log has come.
pub(crate) async fn sessions_of(database: &Database, user: UserId) -> Result<Vec<SessionId>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let positions = sqlx::query_scalar!(
        "SELECT position FROM audit
         WHERE tenant_id = $1 AND action = 'session.started' AND position = ANY(ARRAY(
             SELECT position FROM audit_targets WHERE tenant_id = $1 AND target_id = $2))",
        TenantId::PLATFORM.uuid(),
        user.to_string()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    let begun = journal::read_at(&mut tx, &positions).await?;
    Ok(begun.into_iter().map(|event| event.stream.id.into()).collect())
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
