//! One visit of the projector to a tenant: a batch of its journal goes into all projections that stand together, in one
//! transaction.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use application::error::Error;
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use futures_util::FutureExt;
use infrastructure::{database::Database, journal, tenant_tx::TenantTx};

use crate::{
    causes::with_causes,
    checkpoint::{self, Advance, Group},
    fold::{ProjectError, Projection},
    left_alone::LeftAlone,
    turns::Outcome,
};

/// How many events go through projections in one transaction.
pub(crate) const BATCH: u32 = 1_000;
/// How long a projection that failed is left alone.
const BACKOFF: Duration = Duration::from_secs(5);
/// How long a projection that somebody else is at (a rebuild, another worker) is left alone.
const ELSEWHERE: Duration = Duration::from_millis(200);
/// PostgreSQL's code for a statement that took too long.
const QUERY_CANCELED: &str = "57014";

/// Who visits tenants.
pub(crate) struct Visitor {
    pub(crate) database: Database,
    pub(crate) projections: &'static [&'static dyn Projection],
    pub(crate) left_alone: LeftAlone,
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
    /// Takes in one batch for the projections that have come furthest, and one for those that have come least far, if
    /// those are others: so neither waits for the other longer than that. `tx` is fresh; commit what comes back.
    pub(crate) async fn visit(&self, tx: TenantTx) -> Result<(TenantTx, Outcome), Error> {
        let tenant = tx.tenant();
        let (mut tx, front) = self.go_on(tx, Group::Furthest).await?;
        if !front.missing.is_empty() {
            tx = tx.commit_and_begin_computed(tenant).await?;
            let missing: Vec<&str> = front.missing.iter().map(String::as_str).collect();
            checkpoint::create(&mut tx, &missing).await?;
            return Ok((tx, Outcome::More));
        }
        if !front.behind {
            return Ok((tx, Outcome::Done));
        }
        let (tx, rear) = self.go_on(tx.commit_and_begin_computed(tenant).await?, Group::Last).await?;
        Ok((tx, if rear.behind { Outcome::More } else { Outcome::Done }))
    }

    /// Takes a batch into a group of those that are not left alone. If one of them fails, the others go on without it.
    async fn go_on(&self, mut tx: TenantTx, group: Group) -> Result<(TenantTx, Advance), Error> {
        let tenant = tx.tenant();
        let willing: Vec<_> = self
            .projections
            .iter()
            .copied()
            .filter(|projection| !self.left_alone.contains(tenant, projection.name()))
            .collect();
        match self.take(&mut tx, &willing, group).await {
            Ok(advance) => Ok((tx, advance)),
            Err(Trouble::All(error)) => Err(error),
            Err(Trouble::One(failed, error, group)) => {
                tx.rollback().await?;
                if group.len() == 1 {
                    self.back_off(tenant, failed, error).await?;
                } else {
                    self.apart(tenant, &group).await?;
                }
                let tx = TenantTx::begin_computed(&self.database, tenant).await?;
                Ok((tx, Advance { behind: true, ..Advance::default() }))
            }
        }
    }

    /// Takes a batch into each of `projections` by itself: one of them has failed with all of them, and its statements
    /// may have been the cause of the others' (a transaction has one fate).
    async fn apart(&self, tenant: TenantId, projections: &[&'static dyn Projection]) -> Result<(), Error> {
        for projection in projections {
            let mut tx = TenantTx::begin_computed(&self.database, tenant).await?;
            match self.take(&mut tx, &[*projection], Group::Furthest).await {
                Ok(_) => tx.commit().await?,
                Err(Trouble::All(error)) => return Err(error),
                Err(Trouble::One(failed, error, _)) => {
                    tx.rollback().await?;
                    self.back_off(tenant, failed, error).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes a batch into those of `projections` that stand together.
    async fn take(
        &self,
        tx: &mut TenantTx,
        projections: &[&'static dyn Projection],
        group: Group,
    ) -> Result<Advance, Trouble> {
        let tenant = tx.tenant();
        let names: Vec<&str> = projections.iter().map(|projection| projection.name()).collect();
        let advance = checkpoint::advance_group(tx, &names, group, BATCH).await?;
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
        let length = advance.to - advance.from;
        let events = journal::read(tx, advance.from, length as u32).await?;
        if events.len() as u64 != length {
            return Err(Trouble::All(Error::internal("the journal has a gap")));
        }
        for projection in moved.iter().filter(|projection| projection.concerns(&events)) {
            if let Err(error) = project(*projection, tx, &events).await {
                return Err(Trouble::One(projection.name(), error, moved));
            }
        }
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
            ProjectError::Database(error @ Error::Unavailable(_)) if !took_too_long(&error) => {
                return Err(error);
            }
            other => other,
        };
        let error = with_causes(&error);
        tracing::error!(%tenant, projection, error, "a projection failed; the others go on");
        metrics::counter!("annals_projection_failures_total", "projection" => projection).increment(1);
        self.left_alone.add(tenant, projection, BACKOFF);
        checkpoint::note_failure(&self.database, tenant, projection, &error).await
    }
}

async fn project(
    projection: &dyn Projection,
    tx: &mut TenantTx,
    events: &[RecordedEvent],
) -> Result<(), ProjectError> {
    let projected = AssertUnwindSafe(projection.project(tx, events)).catch_unwind().await;
    projected.unwrap_or_else(|panic| Err(panicked(panic)))?;
    metrics::counter!("annals_projection_events_total", "projection" => projection.name())
        .increment(events.len() as u64);
    Ok(())
}

fn took_too_long(error: &Error) -> bool {
    let Error::Unavailable(source) = error else { return false };
    let source = source.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    source.and_then(|error| error.code()).as_deref() == Some(QUERY_CANCELED)
}

fn panicked(panic: Box<dyn Any + Send>) -> ProjectError {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("without a message").to_owned(),
    };
    ProjectError::Panicked(message)
}
