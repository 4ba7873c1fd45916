//! When the notary visits whom.
//!
//! Tenants are visited in rounds: who has grown meanwhile is signed together, and a tenant that grows all the time once a
//! second. Who has more to be signed than a round takes has visits alone, between the rounds.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use application::error::Error;
use domain::ids::TenantId;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Notary, Visit};
use crate::{
    database::{Database, database_error, is_locked},
    growth::Growth,
    tenant_tx::TenantTx,
};

/// How many tenants a round visits.
const TOGETHER: usize = 64;
/// How much time is between two rounds, so that they are filled; nothing while somebody is overdue.
const BEAT: Duration = Duration::from_millis(100);
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
    /// Who has more to be signed.
    backlogged: VecDeque<TenantId>,
}

impl Notary {
    /// Visits tenants whose journals grow, until dropped.
    pub async fn run(self, growth: Growth) {
        let (mut poll, mut beat) = (interval(POLL), interval(BEAT));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calendar = Calendar::default();
        loop {
            let next = calendar.next();
            if next.is_none_or(|due| due > Instant::now()) && calendar.backlogged.is_empty() {
                beat.tick().await;
            }
            tokio::select! {
                tenants = growth.wait() => calendar.hint(tenants, Instant::now() + GATHER),
                _ = poll.tick() => match behind(&self.database).await {
                    Ok(tenants) => calendar.hint(tenants, Instant::now()),
                    Err(error) => tracing::warn!(%error, "can't look for journals that are to be signed"),
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                () = std::future::ready(()), if !calendar.backlogged.is_empty() => {}
            }
            let tenants = calendar.take_due(Instant::now());
            if !tenants.is_empty() {
                self.call_on(&tenants, &mut calendar).await;
            }
            if let Some(tenant) = calendar.backlogged.pop_front() {
                self.call_on(&[tenant], &mut calendar).await;
            }
        }
    }

    async fn call_on(&self, tenants: &[TenantId], calendar: &mut Calendar) {
        let begun = Instant::now();
        for (tenant, outcome) in self.visit_each(tenants).await {
            let rest = match outcome {
                Ok(Visit::Done) => BETWEEN,
                Ok(Visit::More) => {
                    calendar.backlogged.push_back(tenant);
                    continue;
                }
                Err(error) if matches!(error, Error::Unavailable(_)) || is_locked(&error) => {
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
}

impl Calendar {
    /// When somebody is due next.
    fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Takes out those who are due, as many as a round visits: those who have been for longest.
    fn take_due(&mut self, now: Instant) -> Vec<TenantId> {
        let mut due: Vec<(Instant, TenantId)> =
            self.due.iter().filter(|(_, due)| **due <= now).map(|(tenant, due)| (*due, *tenant)).collect();
        due.sort_unstable();
        due.truncate(TOGETHER);
        let tenants: Vec<TenantId> = due.into_iter().map(|(_, tenant)| tenant).collect();
        for tenant in &tenants {
            self.due.remove(tenant);
        }
        tenants
    }

    fn hint(&mut self, tenants: HashSet<TenantId>, due: Instant) {
        let now = Instant::now();
        self.rest.retain(|_, until| *until > now);
        for tenant in tenants {
            if self.backlogged.contains(&tenant) {
                continue;
            }
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
        assert_eq!(calendar.next(), Some(now + GATHER));
        // A second hint changes nothing.
        calendar.hint([other].into(), now + 2 * GATHER);
        assert_eq!(calendar.next(), Some(now + GATHER));
        assert!(calendar.take_due(now).is_empty());
        assert_eq!(calendar.take_due(now + GATHER), [other]);
        assert_eq!(calendar.next(), Some(now + BETWEEN));
    }

    #[test]
    fn who_has_a_backlog_needs_no_hint() {
        let (mut calendar, now) = (Calendar::default(), Instant::now());
        let tenant = TenantId::random();
        calendar.backlogged.push_back(tenant);
        calendar.hint([tenant].into(), now);
        assert_eq!(calendar.next(), None);
    }

    #[test]
    fn a_round_has_places_for_those_who_wait_for_longest() {
        let (mut calendar, now) = (Calendar::default(), Instant::now());
        let tenants: Vec<TenantId> = (0..TOGETHER + 3).map(|_| TenantId::random()).collect();
        let after = |place: usize| now + Duration::from_millis(place as u64);
        calendar.due.extend(tenants.iter().enumerate().map(|(place, tenant)| (*tenant, after(place))));
        let late = now + BETWEEN;
        assert_eq!(calendar.take_due(late), tenants[..TOGETHER]);
        assert_eq!(calendar.take_due(late), tenants[TOGETHER..]);
        assert!(calendar.take_due(late).is_empty());
    }
}
