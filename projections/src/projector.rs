//! The projector: feeds journals to projections.
//!
//! A batch of events goes into a projection in one transaction with its checkpoint, so its effects are there exactly
//! once, whatever dies when. Hints wake it; a poll finds what no hint told of.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use application::error::Error;
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use futures_util::FutureExt;
use infrastructure::{
    database::{Database, database_error},
    growth::Growth,
    journal,
    tenant_tx::TenantTx,
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    busy::{Busy, Turn},
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
/// How long a projection that somebody else is at (a rebuild, another worker) is left alone.
const ELSEWHERE: Duration = Duration::from_millis(200);

/// Feeds the journals of all tenants to all projections.
pub struct Projector {
    database: Database,
    projections: &'static [&'static dyn Projection],
    growth: Growth,
    busy: Arc<Busy>,
    left_alone: Mutex<HashMap<(TenantId, &'static str), Instant>>,
    slots: Arc<Semaphore>,
}

/// What became of events that were given to a projection.
enum Taken {
    /// They are in it, or another worker has moved it meanwhile.
    In,
    /// Somebody else has the projection.
    Locked,
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
            busy: Arc::default(),
            left_alone: Mutex::default(),
            slots: Arc::new(Semaphore::new(TENANTS_AT_ONCE)),
        })
    }

    /// Runs until dropped. What is under way when it is dropped rolls back and is done again by the next one.
    pub async fn run(self: Arc<Self>) {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = JoinSet::new();
        loop {
            let tenants = tokio::select! {
                tenants = self.growth.wait() => tenants,
                _ = poll.tick() => self.behind().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "can't look for journals that have grown");
                    HashSet::new()
                }),
            };
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "projecting a tenant ended; it begins again at the next poll");
                }
            }
            for tenant in tenants {
                if let Some(turn) = self.busy.start(tenant) {
                    let projector = Arc::clone(&self);
                    tasks.spawn(async move { projector.follow(turn).await });
                }
            }
        }
    }

    /// Brings `tenant`'s projections up to its journal's head, and returns when all that can be are: those that fail and
    /// those that somebody else has wait for the next poll or hint.
    pub async fn catch_up(&self, tenant: TenantId) -> Result<(), Error> {
        while self.step(tenant).await? {}
        Ok(())
    }

    async fn follow(&self, mut turn: Turn) {
        let Ok(_slot) = self.slots.acquire().await else { return };
        loop {
            let tenant = turn.tenant();
            if let Err(error) = self.catch_up(tenant).await {
                tracing::warn!(%tenant, %error, "can't project; trying again at the next poll");
            }
            if !turn.goes_on() {
                return;
            }
        }
    }

    /// Takes in one batch. Returns whether there may be more for projections that are not left alone.
    async fn step(&self, tenant: TenantId) -> Result<bool, Error> {
        let mut tx = TenantTx::begin(&self.database, tenant).await?;
        let head = journal::head(&mut tx).await?;
        let positions = checkpoint::positions(&mut tx).await?;
        let position = |projection: &dyn Projection| positions.get(projection.name()).copied().unwrap_or(0);
        let behind: Vec<_> = self
            .projections
            .iter()
            .filter(|projection| {
                position(**projection) < head && !self.is_left_alone(tenant, projection.name())
            })
            .collect();
        let Some(from) = behind.iter().map(|projection| position(**projection)).min() else {
            return Ok(false);
        };
        let events = journal::read(&mut tx, from, BATCH).await?;
        drop(tx);
        let names = behind.iter().map(|projection| projection.name());
        let new: Vec<_> = names.filter(|name| !positions.contains_key(*name)).collect();
        if !new.is_empty() {
            checkpoint::create(&self.database, tenant, &new).await?;
        }
        let Some(last) = events.last().map(|event| event.position) else { return Ok(false) };
        let (bystanders, concerned): (Vec<_>, Vec<_>) = behind
            .into_iter()
            .partition(|projection| position(**projection) == from && !projection.concerns(&events));
        self.pass(tenant, &bystanders, from, last).await?;
        for projection in concerned {
            let from = position(*projection);
            let unseen = &events[events.partition_point(|event| event.position <= from)..];
            if unseen.is_empty() {
                continue;
            }
            let taken = AssertUnwindSafe(take_in(&self.database, tenant, *projection, from, unseen));
            match taken.catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic))) {
                Ok(Taken::In) => {}
                Ok(Taken::Locked) => self.leave_alone(tenant, projection.name(), ELSEWHERE),
                Err(ProjectError::Database(error @ Error::Unavailable(_))) => return Err(error),
                Err(error) => self.back_off(tenant, projection.name(), &error).await?,
            }
        }
        Ok(last < head)
    }

    /// Moves, in one commit, the checkpoints of projections that events up to `last` do not concern.
    async fn pass(
        &self,
        tenant: TenantId,
        bystanders: &[&&'static dyn Projection],
        from: u64,
        last: u64,
    ) -> Result<(), Error> {
        let names: Vec<&'static str> = bystanders.iter().map(|projection| projection.name()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let passed = checkpoint::pass(&self.database, tenant, &names, from, last).await?;
        for name in names.into_iter().filter(|name| !passed.iter().any(|passed| passed == name)) {
            self.leave_alone(tenant, name, ELSEWHERE);
        }
        Ok(())
    }

    fn is_left_alone(&self, tenant: TenantId, projection: &'static str) -> bool {
        let mut left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        match left_alone.get(&(tenant, projection)) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => left_alone.remove(&(tenant, projection)).is_none(),
            None => false,
        }
    }

    fn leave_alone(&self, tenant: TenantId, projection: &'static str, time: Duration) {
        let mut left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.insert((tenant, projection), Instant::now() + time);
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
        self.leave_alone(tenant, projection, BACKOFF);
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
/// Never waits for whoever has the projection: there are others to go on with.
async fn take_in(
    database: &Database,
    tenant: TenantId,
    projection: &dyn Projection,
    from: u64,
    events: &[RecordedEvent],
) -> Result<Taken, ProjectError> {
    let Some(last) = events.last() else { return Ok(Taken::In) };
    let mut tx = TenantTx::begin(database, tenant).await?;
    let Some(position) = checkpoint::try_lock(&mut tx, projection.name()).await? else {
        return Ok(Taken::Locked);
    };
    if position != from {
        return Ok(Taken::In);
    }
    projection.project(&mut tx, events).await?;
    checkpoint::advance(&mut tx, projection.name(), last.position).await?;
    tx.commit().await?;
    metrics::counter!("annals_projection_events_total", "projection" => projection.name())
        .increment(events.len() as u64);
    Ok(Taken::In)
}

fn panicked(panic: Box<dyn Any + Send>) -> ProjectError {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("without a message").to_owned(),
    };
    ProjectError::Panicked(message)
}
