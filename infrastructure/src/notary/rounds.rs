//! When the notary visits whom.
//!
//! One visit at a time: under load it takes what it gets, and a tenant that grows all the time is visited once a second.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use application::error::Error;
use domain::ids::TenantId;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Notary, Visit};
use crate::{
    database::{Database, database_error},
    growth::Growth,
    tenant_tx::TenantTx,
};

/// How long after the first hint a journal is visited: what comes meanwhile goes into the same checkpoint.
const GATHER: Duration = Duration::from_millis(400);
/// How much time is between two visits to a tenant, but for one that is being caught up with.
const BETWEEN: Duration = Duration::from_millis(900);
/// How long a tenant is left alone whose tree can't be signed.
const BACKOFF: Duration = Duration::from_secs(60);
/// How often journals are looked at that nobody hinted at.
const POLL: Duration = Duration::from_secs(2);

/// Who is to be visited when.
#[derive(Default)]
struct Calendar {
    due: HashMap<TenantId, Instant>,
    /// Not to be visited earlier than this.
    rest: HashMap<TenantId, Instant>,
}

impl Notary {
    /// Visits tenants whose journals grow, until dropped.
    pub async fn run(self, growth: Growth) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calendar = Calendar::default();
        loop {
            let next = calendar.next();
            tokio::select! {
                tenants = growth.wait() => calendar.hint(tenants, Instant::now() + GATHER),
                _ = poll.tick() => match behind(&self.database).await {
                    Ok(tenants) => calendar.hint(tenants, Instant::now()),
                    Err(error) => tracing::warn!(%error, "can't look for journals that are to be signed"),
                },
                () = sleep_until(next.map_or_else(Instant::now, |(_, due)| due)), if next.is_some() => {
                    if let Some((tenant, _)) = next {
                        calendar.due.remove(&tenant);
                        self.call_on(tenant, &mut calendar).await;
                    }
                }
            }
        }
    }

    async fn call_on(&self, tenant: TenantId, calendar: &mut Calendar) {
        let begun = Instant::now();
        let rest = match self.visit(tenant).await {
            Ok(Visit::Done) => BETWEEN,
            // Behind all others who are due by now.
            Ok(Visit::More) => {
                calendar.due.insert(tenant, Instant::now());
                return;
            }
            Err(Error::Unavailable(error)) => {
                tracing::warn!(%tenant, %error, "can't sign; trying again at the next poll");
                BETWEEN
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%tenant, error = cause.unwrap_or_else(|| error.to_string()), "can't sign");
                metrics::counter!("annals_notary_failures_total").increment(1);
                BACKOFF
            }
        };
        calendar.rest.insert(tenant, begun + rest);
    }
}

impl Calendar {
    /// Whoever is due first.
    fn next(&self) -> Option<(TenantId, Instant)> {
        self.due.iter().map(|(tenant, due)| (*tenant, *due)).min_by_key(|(_, due)| *due)
    }

    fn hint(&mut self, tenants: HashSet<TenantId>, due: Instant) {
        let now = Instant::now();
        self.rest.retain(|_, until| *until > now);
        for tenant in tenants {
            let due = self.rest.get(&tenant).map_or(due, |until| due.max(*until));
            self.due.entry(tenant).or_insert(due);
        }
    }
}

/// The tenants whose journals are longer than their signed trees.
async fn behind(database: &Database) -> Result<HashSet<TenantId>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let tenants = sqlx::query_scalar!(
        r#"SELECT head.tenant_id AS "tenant_id!"
           FROM journal_heads AS head LEFT JOIN journal_trees AS tree USING (tenant_id)
           WHERE head.position > coalesce(tree.size, 0)"#
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(tenants.into_iter().map(TenantId::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_was_visited_just_now_waits_and_others_do_not() {
        let (mut calendar, now) = (Calendar::default(), Instant::now());
        let (one, other) = (TenantId::random(), TenantId::random());
        calendar.rest.insert(one, now + BETWEEN);
        calendar.hint([one, other].into(), now + GATHER);
        assert_eq!(calendar.next(), Some((other, now + GATHER)));
        // A second hint changes nothing.
        calendar.hint([other].into(), now + 2 * GATHER);
        assert_eq!(calendar.next(), Some((other, now + GATHER)));
        calendar.due.remove(&other);
        assert_eq!(calendar.next(), Some((one, now + BETWEEN)));
    }
}
