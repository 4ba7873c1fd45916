//! The projector: feeds journals to projections.
//!
//! Tenants that have grown get their turns together; a turn is a `visit`, which takes in a batch in one transaction with the
//! checkpoints, so its effects are there exactly once, whatever dies when. Hints wake it; a poll finds what no hint told of.

use std::{collections::HashSet, sync::Arc, time::Duration};

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::{database::Database, growth::Growth};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    causes::with_causes,
    fold::Projection,
    poll::Poll,
    turns::{Outcome, Turns},
    visit::Visitor,
};

/// How often journals are looked at that nobody hinted at.
const POLL: Duration = Duration::from_secs(1);
/// How many turns are taken at once: a round, and a tenant with a backlog beside it.
const AT_ONCE: usize = 2;

/// Feeds the journals of all tenants to all projections.
pub struct Projector {
    visitor: Visitor,
    growth: Growth,
    turns: Arc<Turns>,
}

impl Projector {
    /// A projector for `projections`, woken by `growth`.
    pub fn new(
        database: Database,
        projections: &'static [&'static dyn Projection],
        growth: Growth,
    ) -> Arc<Self> {
        Arc::new(Self { visitor: Visitor::new(database, projections), growth, turns: Turns::new() })
    }

    /// Runs until dropped. What is under way when it is dropped rolls back and is done again by the next one.
    pub async fn run(self: Arc<Self>) {
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut poll = Poll::default();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < AT_ONCE {
                tasks.spawn(Arc::clone(&self).take_turns());
            }
            let grown = tokio::select! {
                tenants = self.growth.wait() => tenants,
                _ = tick.tick() => poll.look(self.visitor.database(), self.visitor.names()).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "can't look for journals that have grown");
                    HashSet::new()
                }),
                Some(Err(error)) = tasks.join_next() => {
                    tracing::error!(%error, "projecting a tenant ended; it begins again at the next poll");
                    HashSet::new()
                }
            };
            grown.into_iter().for_each(|tenant| self.turns.grew(tenant));
        }
    }

    /// Brings `tenant`'s projections up to its journal's head, and returns when all that can be are: those that fail and
    /// those that somebody else has wait for the next poll or hint.
    pub async fn catch_up(&self, tenant: TenantId) -> Result<(), Error> {
        loop {
            match self.visitor.visit(&[tenant]).await?.remove(&tenant).transpose()? {
                Some(Outcome::More) => {}
                Some(Outcome::Done) | None => return Ok(()),
            }
        }
    }

    async fn take_turns(self: Arc<Self>) {
        loop {
            let turn = self.turns.next().await;
            match self.visitor.visit(turn.tenants()).await {
                Ok(outcomes) => turn.end(outcomes.into_iter().filter_map(gone_well).collect()),
                Err(error) => tracing::warn!(
                    tenants = turn.tenants().len(), %error, "can't project; trying again at the next poll"
                ),
            }
        }
    }
}

/// How a tenant's turn ended, if it did not fail.
fn gone_well((tenant, outcome): (TenantId, Result<Outcome, Error>)) -> Option<(TenantId, Outcome)> {
    match outcome {
        Ok(outcome) => Some((tenant, outcome)),
        Err(error) => {
            tracing::error!(%tenant, error = with_causes(&error), "can't project a tenant; the others go on");
            None
        }
    }
}
