//! The journal in PostgreSQL.
//!
//! An append moves its tenant's head row and puts its events behind it, so positions are gapless and in commit order, and
//! every event at or before the head is visible: a reader needs no gap detector. In this process each tenant's commands go
//! through one `writer`, which remembers the tenant's streams and commits what came meanwhile together; what the writers
//! of several tenants want to read (`loader`) and to append (`appender`) shares calls in turn (`gathering`).

// Readers.
mod load;
mod opening;
mod read;
pub mod stored;

// What puts an exported journal back.
mod recount;
pub mod restoring;

// One tenant's writer.
mod firsts;
mod memory;
mod queued;
mod round;
mod sealing;
mod setback;
mod writer;

// All of them, and their way to the database.
mod appender;
mod claims;
mod commit;
mod connections;
mod gathering;
mod loader;
mod writers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use application::{
    claim::ClaimKind,
    error::Error,
    journal::{Command, Committed, History, Journal, StreamRequest},
    loaded::Loaded,
    once::{Identity, KeptAnswer},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use secrecy::SecretSlice;
use tokio::runtime::Handle;
use uuid::Uuid;

pub use self::read::{Range, head, read, read_after, read_at, read_ranges, read_streams};
use self::{
    appender::Appender,
    connections::Connections,
    load::{Load, Loading},
    loader::Loader,
    memory::Memory,
    writer::Desk,
    writers::Writers,
};
use crate::{
    database::{Database, database_error},
    growth::Growth,
    kept_answers,
    tenant_tx::TenantTx,
    vault::Source,
};

/// The journal in PostgreSQL.
pub struct PgJournal {
    database: Database,
    writers: Arc<Writers>,
}

/// Where a tenant's journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    position: u64,
    recorded_at: DateTime<Utc>,
}

impl Head {
    /// Of a journal without events.
    const BEGINNING: Self = Self { position: 0, recorded_at: DateTime::UNIX_EPOCH };
}

impl PgJournal {
    /// The journal in `database`; `growth` is told of every commit. Its writers run where this is called.
    pub fn new(database: Database, growth: Growth) -> Self {
        Self::by_clock(database, growth, Utc::now)
    }

    /// The same journal by another clock.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn with_clock(self, clock: fn() -> DateTime<Utc>) -> Self {
        Self::by_clock(self.database, self.writers.desk().growth.clone(), clock)
    }

    fn by_clock(database: Database, growth: Growth, clock: fn() -> DateTime<Utc>) -> Self {
        let runtime = Handle::current();
        let connections = Connections::new(database.clone(), runtime.clone());
        let loader = Loader::new(Arc::clone(&connections), runtime.clone());
        let appender = Appender::new(connections, runtime.clone());
        let desk = Desk { database: database.clone(), loader, appender, growth, clock, runtime };
        Self { database, writers: Writers::new(desk) }
    }

    async fn loading(&self, tenant: TenantId, streams: &[StreamRequest]) -> Result<Loading, Error> {
        let load = Load { tenant, streams: streams.to_vec(), firsts: Vec::new() };
        self.writers.desk().load(load).await
    }
}

#[async_trait]
impl Journal for PgJournal {
    async fn transact(&self, command: Command) -> Result<Committed, Error> {
        self.writers.write(command).await
    }

    async fn load(&self, tenant: TenantId, streams: &[StreamRequest]) -> Result<Vec<History>, Error> {
        Ok(self.loading(tenant, streams).await?.histories)
    }

    async fn recall(&self, tenant: TenantId, streams: &[StreamRequest]) -> Result<Vec<Loaded>, Error> {
        let memory = self.writers.memory(tenant);
        if let Some(loaded) = lock(&memory).recall(streams) {
            return Ok(loaded);
        }
        let Loading { head, histories, read_at, .. } = self.loading(tenant, streams).await?;
        let loaded: Vec<Loaded> = histories.into_iter().map(Loaded::from).collect();
        lock(&memory).learn(head, read_at, loaded.iter().cloned());
        Ok(loaded)
    }

    async fn holder(&self, tenant: TenantId, kind: ClaimKind, value: &str) -> Result<Option<Uuid>, Error> {
        let vault = self.database.vault();
        let value = claims::stored(vault, Source::Pool(&self.database), kind, value).await?;
        let mut tx = TenantTx::begin(&self.database, kind.scope(tenant)).await?;
        sqlx::query_scalar!(
            "SELECT stream_id FROM claims WHERE tenant_id = $1 AND kind = $2 AND value = $3",
            tx.tenant().uuid(),
            kind.as_str(),
            &*value
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(database_error)
    }

    async fn holders(&self, kind: ClaimKind, value: &str) -> Result<Vec<(TenantId, Uuid)>, Error> {
        let value = claims::stored(self.database.vault(), Source::Pool(&self.database), kind, value).await?;
        let mut tx = TenantTx::begin(&self.database, TenantId::PLATFORM).await?;
        let holders = sqlx::query!(
            "SELECT tenant_id, stream_id FROM claims WHERE kind = $1 AND value = $2",
            kind.as_str(),
            &*value
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(database_error)?;
        Ok(holders.into_iter().map(|holder| (holder.tenant_id.into(), holder.stream_id)).collect())
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

    async fn kept_answer(&self, identity: &Identity) -> Result<Option<KeptAnswer>, Error> {
        let mut tx = TenantTx::begin(&self.database, identity.scope).await?;
        kept_answers::find(&mut tx, identity).await
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

/// Makes what these events of `tenant` say about people readable; of whom has been erased it says so.
pub async fn open(database: &Database, tenant: TenantId, events: &mut [RecordedEvent]) -> Result<(), Error> {
    opening::open_events(database.vault(), Source::Pool(database), tenant, events).await
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
