//! Whose turn it is to be projected: tenants queue up, no tenant is in two hands, and none is visited again at once.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::ids::TenantId;
use tokio::{sync::Notify, time::Instant};

/// For how many times as long as its turn took a tenant is left to grow, so that a busy one fills batches: a turn that takes
/// long says that the machine has more to do. One that had no turn lately gets it at once.
const REST: u32 = 50;
/// How long a rest is at least.
const SHORTEST: Duration = Duration::from_millis(20);
/// How long a rest is at most.
const LONGEST: Duration = Duration::from_millis(250);

/// The tenants that have grown or are being projected.
#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    /// Told for each tenant that is queued.
    queued: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<TenantId>,
    /// The tenants at rest, by when their rests end.
    resting: BTreeSet<(Instant, TenantId)>,
    phases: HashMap<TenantId, Phase>,
}

/// What a tenant is at. One that has none is at peace.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Queued,
    InHand(Grown),
    Resting(Grown),
}

/// Whether a tenant has grown since its turn began.
#[derive(Clone, Copy, PartialEq)]
enum Grown {
    No,
    Yes,
}

/// The right to project a tenant. When it is dropped, however that comes about, somebody else can have it.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    tenant: TenantId,
    began: Instant,
    outcome: Option<Outcome>,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// There is more to do: the tenant goes to the queue's end.
    More,
    /// There was no more.
    Done,
}

impl Turns {
    /// Queues a tenant that has grown, unless it is queued. One in hand or at rest is queued afterwards.
    pub(crate) fn grew(&self, tenant: TenantId) {
        let mut state = self.state();
        match state.phases.get_mut(&tenant) {
            Some(Phase::Queued) => {}
            Some(Phase::InHand(grown)) => *grown = Grown::Yes,
            Some(Phase::Resting(grown)) => {
                *grown = Grown::Yes;
                // Whoever waits has to learn until when.
                self.queued.notify_one();
            }
            None => self.queue(&mut state, tenant),
        }
    }

    /// Waits for the next tenant's turn.
    pub(crate) async fn next(self: &Arc<Self>) -> Turn {
        loop {
            let queued = self.queued.notified();
            if let Some(turn) = self.try_next() {
                return turn;
            }
            match self.next_end_of_rest() {
                Some(end) => {
                    let _ = tokio::time::timeout_at(end, queued).await;
                }
                None => queued.await,
            }
        }
    }

    /// The next tenant's turn, if one is waiting.
    pub(crate) fn try_next(self: &Arc<Self>) -> Option<Turn> {
        let mut state = self.state();
        self.end_rests(&mut state);
        let tenant = state.queue.pop_front()?;
        state.phases.insert(tenant, Phase::InHand(Grown::No));
        Some(Turn { turns: Arc::clone(self), tenant, began: Instant::now(), outcome: None })
    }

    fn queue(&self, state: &mut State, tenant: TenantId) {
        state.phases.insert(tenant, Phase::Queued);
        state.queue.push_back(tenant);
        self.queued.notify_one();
    }

    fn end_rests(&self, state: &mut State) {
        let now = Instant::now();
        while let Some((end, tenant)) = state.resting.pop_first() {
            if end > now {
                state.resting.insert((end, tenant));
                break;
            }
            match state.phases.get(&tenant) {
                Some(Phase::Resting(Grown::Yes)) => self.queue(state, tenant),
                _ => drop(state.phases.remove(&tenant)),
            }
        }
    }

    fn next_end_of_rest(&self) -> Option<Instant> {
        let state = self.state();
        let has_grown = |tenant| state.phases.get(tenant) == Some(&Phase::Resting(Grown::Yes));
        state.resting.iter().find(|(_, tenant)| has_grown(tenant)).map(|(end, _)| *end)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whose turn it is.
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Ends it.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        let grown = match state.phases.remove(&self.tenant) {
            Some(Phase::InHand(grown)) => grown,
            _ => Grown::No,
        };
        match self.outcome {
            Some(Outcome::More) => self.turns.queue(&mut state, self.tenant),
            Some(Outcome::Done) => {
                state.phases.insert(self.tenant, Phase::Resting(grown));
                let rest = (self.began.elapsed() * REST).clamp(SHORTEST, LONGEST);
                state.resting.insert((Instant::now() + rest, self.tenant));
                if grown == Grown::Yes {
                    self.turns.queued.notify_one();
                }
            }
            // It was given up. The next hint or poll begins again.
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_grows_again_and_again_gets_one_turn() {
        let (turns, tenant) = (Arc::new(Turns::default()), TenantId::random());
        turns.grew(tenant);
        turns.grew(tenant);
        let turn = turns.try_next().unwrap();
        turns.grew(tenant);
        assert!(turns.try_next().is_none(), "it is in two hands");
        drop(turn);
    }

    #[tokio::test]
    async fn a_busy_tenant_rests_between_turns_and_an_idle_one_does_not_wait() {
        let (turns, tenant) = (Arc::new(Turns::default()), TenantId::random());
        turns.grew(tenant);
        let turn = turns.next().await;
        turns.grew(tenant);
        let began = Instant::now();
        turn.end(Outcome::Done);
        let turn = turns.next().await;
        assert!(began.elapsed() >= SHORTEST);
        turn.end(Outcome::Done);
        tokio::time::sleep(LONGEST).await;
        turns.grew(tenant);
        assert!(turns.try_next().is_some(), "nothing has happened for a while, and it waits");
    }

    #[tokio::test]
    async fn who_grows_at_rest_has_a_turn_afterwards() {
        let (turns, tenant) = (Arc::new(Turns::default()), TenantId::random());
        turns.grew(tenant);
        turns.next().await.end(Outcome::Done);
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.next().await.tenant() }
        });
        tokio::task::yield_now().await;
        turns.grew(tenant);
        assert_eq!(waiting.await.unwrap(), tenant);
    }

    #[test]
    fn who_has_more_to_do_lets_the_others_go_first() {
        let (turns, big, small) = (Arc::new(Turns::default()), TenantId::random(), TenantId::random());
        turns.grew(big);
        turns.grew(small);
        turns.try_next().unwrap().end(Outcome::More);
        assert_eq!(turns.try_next().unwrap().tenant(), small);
        assert_eq!(turns.try_next().unwrap().tenant(), big);
    }

    #[tokio::test]
    async fn a_turn_that_ends_in_a_panic_or_is_given_up_leaves_the_tenant_free() {
        let (turns, tenant) = (Arc::new(Turns::default()), TenantId::random());
        turns.grew(tenant);
        let turn = turns.try_next().unwrap();
        let panicked = tokio::spawn(async move { panic!("in the turn of {}", turn.tenant()) }).await;
        assert!(panicked.unwrap_err().is_panic());
        turns.grew(tenant);
        let turn = turns.try_next().unwrap();
        let given_up = tokio::spawn(async move {
            let _turn = turn;
            std::future::pending::<()>().await;
        });
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        turns.grew(tenant);
        assert!(turns.try_next().is_some());
    }
}
