//! The projector: feeds journals to projections.
//!
//! A batch of events goes into a projection in one transaction with its checkpoint, so its effects are there exactly
//! once, whatever dies when. Hints wake it; a poll finds what no hint told of.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use application::error::Error;
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use infrastructure::{
    database::{Database, database_error},
    growth::Growth,
    journal,
    tenant_tx::TenantTx,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    causes::with_causes,
    checkpoint,
    fold::{ProjectError, Projection},
};

/// How many events go through a projection in one transaction.
pub(crate) const BATCH: u32 = 1_000;
/// How often journals are looked at that nobody hinted at.
const POLL: Duration = Duration::from_secs(1);
/// How many tenants are projected at once.
const TENANTS_AT_ONCE: usize = 4;
/// How long a projection that failed is left alone.
const BACKOFF: Duration = Duration::from_secs(5);

/// Feeds the journals of all tenants to all projections.
pub struct Projector {
    database: Database,
    projections: &'static [&'static dyn Projection],
    growth: Growth,
    busy: Mutex<HashMap<TenantId, Again>>,
    failed: Mutex<HashMap<(TenantId, &'static str), Instant>>,
    slots: Arc<Semaphore>,
}

/// Whether a tenant that is being projected has grown again meanwhile.
#[derive(Clone, Copy, PartialEq)]
enum Again {
    No,
    Yes,
}

impl Projector {
    /// A projector for `projections`, woken by `growth`.
    pub fn new(
        database: Database,
        projections: &'static [&'static dyn Projection],
        growth: Growth,
    ) -> Arc<Self> {
        Arc::new(Self {
            database,
            projections,
            growth,
            busy: Mutex::default(),
            failed: Mutex::default(),
            slots: Arc::new(Semaphore::new(TENANTS_AT_ONCE)),
        })
    }

    /// Runs until dropped. What is under way when it is dropped rolls back and is done again by the next one.
    pub async fn run(self: Arc<Self>) {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let tenants = tokio::select! {
                tenants = self.growth.wait() => tenants,
                _ = poll.tick() => self.behind().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "can't look for journals that have grown");
                    HashSet::new()
                }),
            };
            while tasks.try_join_next().is_some() {}
            for tenant in tenants {
                if self.start(tenant) {
                    let projector = Arc::clone(&self);
                    tasks.spawn(async move { projector.follow(tenant).await });
                }
            }
        }
    }

    /// Brings `tenant`'s projections up to its journal's head, and returns when all that can be are.
    pub async fn catch_up(&self, tenant: TenantId) -> Result<(), Error> {
        while self.step(tenant).await? {}
        Ok(())
    }

    fn start(&self, tenant: TenantId) -> bool {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        match busy.get_mut(&tenant) {
            Some(again) => {
                *again = Again::Yes;
                false
            }
            None => busy.insert(tenant, Again::No).is_none(),
        }
    }

    fn finished(&self, tenant: TenantId) -> bool {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.get(&tenant) == Some(&Again::Yes) {
            busy.insert(tenant, Again::No);
            return false;
        }
        busy.remove(&tenant);
        true
    }

    async fn follow(&self, tenant: TenantId) {
        let Ok(_slot) = self.slots.acquire().await else { return };
        loop {
            if let Err(error) = self.catch_up(tenant).await {
                tracing::warn!(%tenant, %error, "can't project; trying again at the next poll");
            }
            if self.finished(tenant) {
                return;
            }
        }
    }

    /// Takes in one batch. Returns whether there is more.
    async fn step(&self, tenant: TenantId) -> Result<bool, Error> {
        let mut tx = TenantTx::begin(&self.database, tenant).await?;
        let head = journal::head(&mut tx).await?;
        let positions = checkpoint::positions(&mut tx).await?;
        let position = |projection: &dyn Projection| positions.get(projection.name()).copied().unwrap_or(0);
        let behind: Vec<_> = self
            .projections
            .iter()
            .filter(|projection| position(**projection) < head && !self.backs_off(tenant, projection.name()))
            .collect();
        let Some(from) = behind.iter().map(|projection| position(**projection)).min() else {
            return Ok(false);
        };
        let events = journal::read(&mut tx, from, BATCH).await?;
        drop(tx);
        for projection in behind {
            let from = position(*projection);
            let unseen = &events[events.partition_point(|event| event.position <= from)..];
            if unseen.is_empty() {
                continue;
            }
            match take_in(&self.database, tenant, *projection, from, unseen).await {
                Ok(()) => {}
                Err(ProjectError::Database(error @ Error::Unavailable(_))) => return Err(error),
                Err(error) => self.back_off(tenant, projection.name(), &error).await?,
            }
        }
        Ok(true)
    }

    fn backs_off(&self, tenant: TenantId, projection: &'static str) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.get(&(tenant, projection)) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => failed.remove(&(tenant, projection)).is_none(),
            None => false,
        }
    }

    async fn back_off(
        &self,
        tenant: TenantId,
        projection: &'static str,
        error: &ProjectError,
    ) -> Result<(), Error> {
        let error = with_causes(error);
        tracing::error!(%tenant, projection, error, "a projection failed; the others go on");
        metrics::counter!("annals_projection_failures_total", "projection" => projection).increment(1);
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((tenant, projection), Instant::now() + BACKOFF);
        checkpoint::note_failure(&self.database, tenant, projection, &error).await
    }

    /// The tenants that some projection is behind for.
    async fn behind(&self) -> Result<HashSet<TenantId>, Error> {
        let names: Vec<String> =
            self.projections.iter().map(|projection| projection.name().to_owned()).collect();
        let mut tx = TenantTx::begin(&self.database, TenantId::PLATFORM).await?;
        let tenants = sqlx::query_scalar!(
            r#"SELECT head.tenant_id AS "tenant_id!"
               FROM journal_heads AS head
               LEFT JOIN projection_checkpoints AS checkpoint
                   ON checkpoint.tenant_id = head.tenant_id AND checkpoint.projection = ANY($1)
               WHERE head.position > 0
               GROUP BY head.tenant_id, head.position
               HAVING count(checkpoint.position) < cardinality($1) OR min(checkpoint.position) < head.position"#,
            &names
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(database_error)?;
        Ok(tenants.into_iter().map(TenantId::from).collect())
    }
}

/// Takes `events` into one projection that stands at `from`; does nothing if another worker has moved it meanwhile.
async fn take_in(
    database: &Database,
    tenant: TenantId,
    projection: &dyn Projection,
    from: u64,
    events: &[RecordedEvent],
) -> Result<(), ProjectError> {
    let Some(last) = events.last() else { return Ok(()) };
    let mut tx = TenantTx::begin(database, tenant).await?;
    if checkpoint::lock(&mut tx, projection.name()).await? != from {
        return Ok(());
    }
    projection.project(&mut tx, events).await?;
    checkpoint::advance(&mut tx, projection.name(), last.position).await?;
    tx.commit().await?;
    metrics::counter!("annals_projection_events_total", "projection" => projection.name())
        .increment(events.len() as u64);
    Ok(())
}
