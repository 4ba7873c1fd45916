//! The projector: feeds journals to projections.
//!
//! Tenants get their turns one after the other, a few at once; a turn is a [visit](crate::visit), which takes in a
//! batch in one transaction with the checkpoints, so its effects are there exactly once, whatever dies when. Hints wake
//! it; a poll finds what no hint told of.

use std::{collections::HashSet, sync::Arc, time::Duration};

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::{
    database::{Database, database_error},
    growth::Growth,
    tenant_tx::TenantTx,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    fold::Projection,
    left_alone::LeftAlone,
    turns::{Outcome, Turn, Turns},
    visit::Visitor,
};

/// How often journals are looked at that nobody hinted at.
const POLL: Duration = Duration::from_secs(1);
/// How many tenants are visited at once.
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
        let visitor = Visitor { database, projections, left_alone: LeftAlone::default() };
        Arc::new(Self { visitor, growth, turns: Arc::default() })
    }

    /// Runs until dropped. What is under way when it is dropped rolls back and is done again by the next one.
    pub async fn run(self: Arc<Self>) {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < AT_ONCE {
                tasks.spawn(Arc::clone(&self).take_turns());
            }
            let grown = tokio::select! {
                tenants = self.growth.wait() => tenants,
                _ = poll.tick() => self.behind().await.unwrap_or_else(|error| {
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
        let mut tx = TenantTx::begin_computed(&self.visitor.database, tenant).await?;
        loop {
            let (visited, outcome) = self.visitor.visit(tx).await?;
            match outcome {
                Outcome::More => tx = visited.commit_and_begin_computed(tenant).await?,
                Outcome::Done => return visited.commit().await,
            }
        }
    }

    async fn take_turns(self: Arc<Self>) {
        loop {
            let turn = self.turns.next().await;
            let tenant = turn.tenant();
            if let Err(error) = self.take_turns_in_a_row(turn).await {
                tracing::warn!(first = %tenant, %error, "can't project; trying again at the next poll");
            }
        }
    }

    /// Visits one tenant, and on the same connection those that are next, until nobody is.
    async fn take_turns_in_a_row(&self, mut turn: Turn) -> Result<(), Error> {
        let mut tx = TenantTx::begin_computed(&self.visitor.database, turn.tenant()).await?;
        loop {
            let (visited, outcome) = self.visitor.visit(tx).await?;
            // A turn ends after its commit, so that whoever has the next one finds no locks.
            let Some(next) = self.turns.try_next() else {
                visited.commit().await?;
                turn.end(outcome);
                return Ok(());
            };
            tx = visited.commit_and_begin_computed(next.tenant()).await?;
            std::mem::replace(&mut turn, next).end(outcome);
        }
    }

    /// The tenants that some projection is behind for.
    async fn behind(&self) -> Result<HashSet<TenantId>, Error> {
        let names: Vec<String> =
            self.visitor.projections.iter().map(|projection| projection.name().to_owned()).collect();
        let mut tx = TenantTx::begin(&self.visitor.database, TenantId::PLATFORM).await?;
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
