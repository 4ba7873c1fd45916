//! A visit of the projector: a batch of some tenants' journals goes into their projections, in one transaction with their
//! checkpoints.

use std::{any::Any, collections::HashMap, panic::AssertUnwindSafe, time::Duration};

use application::error::Error;
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use futures_util::FutureExt;
use infrastructure::{
    database::{Database, is_unreachable},
    journal::{self, Range},
    projecting_tx::ProjectingTx,
};

use crate::{
    causes::with_causes,
    fold::{ProjectError, Projection},
    groups::{self, Advance, Together, Which},
    left_alone::LeftAlone,
    turns::Outcome,
};

/// How many events of a tenant go through projections in one transaction.
pub(crate) const BATCH: u32 = 1_000;
/// How many events of several tenants do.
const SHARED_BATCH: u32 = 8_000;
/// How long a projection that failed is left alone.
const BACKOFF: Duration = Duration::from_secs(5);
/// How long a projection that somebody else is at (a rebuild, another worker) is left alone.
const ELSEWHERE: Duration = Duration::from_millis(200);

/// Who visits tenants.
pub(crate) struct Visitor {
    database: Database,
    projections: &'static [&'static dyn Projection],
    /// Theirs, in order.
    names: Vec<&'static str>,
    left_alone: LeftAlone,
}

/// What kept a group of projections from going on.
enum Trouble {
    /// The database, or what all of them stand on.
    All(Error),
    /// One of them; those that would have gone on with it.
    One(&'static str, ProjectError, Vec<&'static dyn Projection>),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::All(error)
    }
}

impl Visitor {
    pub(crate) fn new(database: Database, projections: &'static [&'static dyn Projection]) -> Self {
        let mut names: Vec<&str> = projections.iter().map(|projection| projection.name()).collect();
        names.sort_unstable();
        Self { database, projections, names, left_alone: LeftAlone::default() }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The projections' names, in order.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Takes in a batch for each of the tenants: together, where all of a tenant's projections stand together and none of
    /// them fails, or else tenant by tenant. Only if the database is away, all of it fails.
    pub(crate) async fn visit(
        &self,
        tenants: &[TenantId],
    ) -> Result<HashMap<TenantId, Result<Outcome, Error>>, Error> {
        let (mut apart, together): (Vec<TenantId>, Vec<TenantId>) =
            tenants.iter().partition(|tenant| self.left_alone.has_any_of(**tenant));
        let mut outcomes = HashMap::with_capacity(tenants.len());
        for (tenant, standing) in together.iter().zip(self.visit_together(&together).await?) {
            match standing {
                Together::Apart => apart.push(*tenant),
                Together::GoOn { behind: true, .. } => drop(outcomes.insert(*tenant, Ok(Outcome::More))),
                Together::GoOn { .. } | Together::AtHead => drop(outcomes.insert(*tenant, Ok(Outcome::Done))),
            }
        }
        for tenant in apart {
            let outcome = match self.visit_apart(tenant).await {
                Err(error @ Error::Unavailable(_)) => return Err(error),
                outcome => outcome,
            };
            if outcome.is_err() {
                // Its journal or its checkpoints are wrong, which is not to spoil every round for the others.
                self.names.iter().for_each(|name| self.left_alone.add(tenant, name, BACKOFF));
            }
            outcomes.insert(tenant, outcome);
        }
        Ok(outcomes)
    }

    /// Takes in a batch for all tenants in one transaction. If that fails, nobody has gone on.
    async fn visit_together(&self, tenants: &[TenantId]) -> Result<Vec<Together>, Error> {
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        let batch = (SHARED_BATCH / tenants.len() as u32).clamp(1, BATCH);
        let mut tx = ProjectingTx::begin(&self.database, tenants.to_vec()).await?;
        let standings = groups::advance_together(&mut tx, &self.names, batch).await?;
        let range = |standing: &Together| match standing {
            Together::GoOn { range, .. } => Some(*range),
            Together::AtHead | Together::Apart => None,
        };
        let ranges: Vec<Range> = standings.iter().filter_map(range).collect();
        if ranges.is_empty() {
            return Ok(standings);
        }
        match take_in(tx, &ranges, self.projections.to_vec()).await {
            Ok(()) => Ok(standings),
            Err(Trouble::All(error @ Error::Unavailable(_))) => Err(error),
            // Whose fault it is shows when they are visited one by one.
            Err(_) => Ok(vec![Together::Apart; tenants.len()]),
        }
    }

    /// Takes in one batch of a tenant for the projections that have come furthest, and one for those that have come least
    /// far, if those are others: so neither waits for the other longer than that.
    async fn visit_apart(&self, tenant: TenantId) -> Result<Outcome, Error> {
        let front = self.go_on(tenant, Which::Furthest).await?;
        if !front.missing.is_empty() {
            groups::begin(&self.database, tenant, &texts(&front.missing)).await?;
            return Ok(Outcome::More);
        }
        if !front.tangled.is_empty() {
            groups::stand_apart(&self.database, tenant, &texts(&front.tangled)).await?;
            return Ok(Outcome::More);
        }
        if !front.behind {
            return Ok(Outcome::Done);
        }
        let rear = self.go_on(tenant, Which::Last).await?;
        Ok(if rear.behind { Outcome::More } else { Outcome::Done })
    }

    /// Takes a batch into a group of those that are not left alone. If one of them fails, the others go on without it.
    async fn go_on(&self, tenant: TenantId, which: Which) -> Result<Advance, Error> {
        let willing: Vec<_> = self
            .projections
            .iter()
            .copied()
            .filter(|projection| !self.left_alone.contains(tenant, projection.name()))
            .collect();
        match self.take(tenant, &willing, which).await {
            Ok(advance) => Ok(advance),
            Err(Trouble::All(error)) => Err(error),
            Err(Trouble::One(failed, error, group)) => {
                if group.len() == 1 {
                    self.back_off(tenant, failed, error).await?;
                } else {
                    self.take_each(tenant, &group).await?;
                }
                Ok(Advance { behind: true, ..Advance::default() })
            }
        }
    }

    /// Takes a batch into each of `projections` by itself: one of them has failed with all of them, and its statements
    /// may have been the cause of the others' (a transaction has one fate).
    async fn take_each(
        &self,
        tenant: TenantId,
        projections: &[&'static dyn Projection],
    ) -> Result<(), Error> {
        groups::stand_apart(&self.database, tenant, &names(projections)).await?;
        for projection in projections {
            match self.take(tenant, &[*projection], Which::Furthest).await {
                Ok(_) => {}
                Err(Trouble::All(error)) => return Err(error),
                Err(Trouble::One(failed, error, _)) => self.back_off(tenant, failed, error).await?,
            }
        }
        Ok(())
    }

    /// Takes a batch into those of `projections` that stand together.
    async fn take(
        &self,
        tenant: TenantId,
        projections: &[&'static dyn Projection],
        which: Which,
    ) -> Result<Advance, Trouble> {
        let mut tx = ProjectingTx::begin(&self.database, vec![tenant]).await?;
        let advance = groups::advance(&mut tx, tenant, &names(projections), which, BATCH).await?;
        let among = |names: &[String]| {
            let named = |projection: &&&dyn Projection| names.iter().any(|name| name == projection.name());
            projections.iter().filter(named).copied().collect::<Vec<&'static dyn Projection>>()
        };
        for locked in among(&advance.locked) {
            self.left_alone.add(tenant, locked.name(), ELSEWHERE);
        }
        let moved = among(&advance.moved);
        if moved.is_empty() {
            return Ok(advance);
        }
        let range = Range { tenant, after: advance.from, to: advance.to };
        take_in(tx, &[range], moved).await?;
        Ok(advance)
    }

    /// Leaves a projection that failed by itself alone for a while, unless it was not its fault.
    async fn back_off(
        &self,
        tenant: TenantId,
        projection: &'static str,
        error: ProjectError,
    ) -> Result<(), Error> {
        let error = match error {
            ProjectError::Database(error) if is_unreachable(&error) => return Err(error),
            other => other,
        };
        let error = with_causes(&error);
        tracing::error!(%tenant, projection, error, "a projection failed; the others go on");
        metrics::counter!("annals_projection_failures_total", "projection" => projection).increment(1);
        self.left_alone.add(tenant, projection, BACKOFF);
        groups::note_failure(&self.database, tenant, projection, &error).await
    }
}

/// Takes events into projections, in the transaction that has moved their checkpoints past them, and ends it.
async fn take_in(
    mut tx: ProjectingTx,
    ranges: &[Range],
    projections: Vec<&'static dyn Projection>,
) -> Result<(), Trouble> {
    match try_take_in(&mut tx, ranges, projections).await {
        Ok(()) => Ok(tx.commit().await?),
        Err(trouble) => {
            // Whoever tries again finds no locks.
            tx.rollback().await?;
            Err(trouble)
        }
    }
}

async fn try_take_in(
    tx: &mut ProjectingTx,
    ranges: &[Range],
    projections: Vec<&'static dyn Projection>,
) -> Result<(), Trouble> {
    let events = journal::read_ranges(tx, ranges).await?;
    for projection in projections.iter().filter(|projection| projection.concerns(&events)) {
        if let Err(error) = project(*projection, tx, &events).await {
            return Err(Trouble::One(projection.name(), error, projections));
        }
    }
    Ok(())
}

async fn project(
    projection: &dyn Projection,
    tx: &mut ProjectingTx,
    events: &[RecordedEvent],
) -> Result<(), ProjectError> {
    let projected = AssertUnwindSafe(projection.project(tx, events)).catch_unwind().await;
    projected.unwrap_or_else(|panic| Err(panicked(panic)))?;
    metrics::counter!("annals_projection_events_total", "projection" => projection.name())
        .increment(events.len() as u64);
    Ok(())
}

fn names(projections: &[&'static dyn Projection]) -> Vec<&'static str> {
    projections.iter().map(|projection| projection.name()).collect()
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn panicked(panic: Box<dyn Any + Send>) -> ProjectError {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("without a message").to_owned(),
    };
    ProjectError::Panicked(message)
}
