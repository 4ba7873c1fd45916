//! The journal in PostgreSQL.
//!
//! An append locks its tenant's head row, so positions are gapless and in commit order, and every event at or before
//! the head is visible: a reader needs no gap detector. In this process a tenant's commands queue up in its lane
//! before they take a connection, so that a busy tenant costs one connection and not all of them.

mod append;
mod lanes;
mod load;
mod read;
pub mod stored;

use application::{
    claim::ClaimKind,
    error::Error,
    journal::{Decision, History, Journal},
    work::Work,
};
use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use domain::{
    ctx::Ctx,
    ids::TenantId,
    recorded_event::{RecordedEvent, StreamId},
};
use secrecy::SecretSlice;
use uuid::Uuid;

use self::lanes::Lanes;
pub use self::read::{head, read, read_streams};
use crate::{
    database::{Database, database_error},
    growth::Growth,
    tenant_tx::TenantTx,
};

/// How often a command is decided again after another process was faster.
const ATTEMPTS: usize = 5;

/// The journal in PostgreSQL.
pub struct PgJournal {
    database: Database,
    lanes: Lanes,
    growth: Growth,
    clock: fn() -> DateTime<Utc>,
}

/// Where a tenant's journal ends, while its row is locked.
#[derive(Clone, Copy, Debug)]
struct Head {
    position: u64,
    recorded_at: DateTime<Utc>,
}

impl PgJournal {
    /// The journal in `database`; `growth` is told of every commit.
    pub fn new(database: Database, growth: Growth) -> Self {
        Self { database, lanes: Lanes::default(), growth, clock: Utc::now }
    }

    /// The same journal by another clock.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn with_clock(self, clock: fn() -> DateTime<Utc>) -> Self {
        Self { clock, ..self }
    }

    async fn attempt(&self, ctx: &Ctx, streams: &[StreamId], decide: Decision<'_>) -> Result<Attempt, Error> {
        let mut tx = TenantTx::begin(&self.database, ctx.tenant).await?;
        let head = append::lock_head(&mut tx, (self.clock)()).await?;
        // Read only now: a request may have waited long, and decisions are made in the journal's order.
        let now = (self.clock)().trunc_subsecs(6);
        let histories = load::histories(&mut tx, streams).await?;
        let mut work = Work::new(now, histories);
        decide(&mut work)?;
        let changes = work.into_changes();
        if changes.is_empty() {
            return Ok(Attempt::Done(head.position));
        }
        match append::append(&mut tx, ctx, head, now, changes).await? {
            append::Appended::Conflict => Ok(Attempt::Conflict),
            append::Appended::UpTo(position) => {
                tx.commit().await?;
                metrics::counter!("annals_journal_events_total").increment(position - head.position);
                metrics::counter!("annals_journal_commits_total").increment(1);
                self.growth.grew(ctx.tenant);
                Ok(Attempt::Done(position))
            }
        }
    }
}

/// How one try went.
enum Attempt {
    Done(u64),
    Conflict,
}

#[async_trait]
impl Journal for PgJournal {
    async fn transact(&self, ctx: &Ctx, streams: &[StreamId], decide: Decision<'_>) -> Result<u64, Error> {
        let _turn = self.lanes.enter(ctx.tenant).await?;
        for _ in 0..ATTEMPTS {
            match self.attempt(ctx, streams, decide).await {
                Ok(Attempt::Done(position)) => return Ok(position),
                Ok(Attempt::Conflict) => {}
                // Two tenants wanted each other's claims, and PostgreSQL chose this one to give way.
                Err(Error::Internal(error)) if append::gave_way(error.as_ref()) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::VersionConflict)
    }

    async fn load(&self, tenant: TenantId, streams: &[StreamId]) -> Result<Vec<History>, Error> {
        let mut tx = TenantTx::begin(&self.database, tenant).await?;
        load::histories(&mut tx, streams).await
    }

    async fn holder(&self, tenant: TenantId, kind: ClaimKind, value: &str) -> Result<Option<Uuid>, Error> {
        let mut tx = TenantTx::begin(&self.database, kind.scope(tenant)).await?;
        sqlx::query_scalar!(
            "SELECT stream_id FROM claims WHERE tenant_id = $1 AND kind = $2 AND value = $3",
            tx.tenant().uuid(),
            kind.as_str(),
            value
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(database_error)
    }

    async fn secret(
        &self,
        tenant: TenantId,
        stream: Uuid,
        name: &str,
    ) -> Result<Option<SecretSlice<u8>>, Error> {
        let mut tx = TenantTx::begin(&self.database, tenant).await?;
        let value = sqlx::query_scalar!(
            "SELECT value FROM secrets WHERE tenant_id = $1 AND stream_id = $2 AND name = $3",
            tenant.uuid(),
            stream,
            name
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(database_error)?;
        Ok(value.map(SecretSlice::from))
    }

    async fn read(&self, tenant: TenantId, after: u64, limit: u32) -> Result<Vec<RecordedEvent>, Error> {
        let mut tx = TenantTx::begin(&self.database, tenant).await?;
        read(&mut tx, after, limit).await
    }

    async fn head(&self, tenant: TenantId) -> Result<u64, Error> {
        let mut tx = TenantTx::begin(&self.database, tenant).await?;
        head(&mut tx).await
    }
}
