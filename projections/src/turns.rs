//! Whose turn it is to be projected: tenants that have grown go together, in rounds with a pause between them; those with a
//! backlog take turns alone. No tenant is in two hands.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::ids::TenantId;
use tokio::{sync::Notify, time::Instant};

/// How many tenants go together at most.
const TOGETHER: usize = 512;
/// For how many times as long as a round took tenants are left to grow before the next, so that rounds are filled: one that
/// took long says that the machine has more to do. Who grows when there was no round lately is visited at once.
const PAUSE: u32 = 3;
/// How long a pause is at least.
const SHORTEST: Duration = Duration::from_millis(5);
/// How long a pause is at most.
const LONGEST: Duration = Duration::from_millis(40);

/// The tenants that have grown or are being projected.
pub(crate) struct Turns {
    state: Mutex<State>,
    /// Told when there is something to do, or when there will be.
    changed: Notify,
}

struct State {
    phases: HashMap<TenantId, Phase>,
    /// Those that have grown.
    grown: VecDeque<TenantId>,
    /// Those that have more to do than a round takes in.
    backlogged: VecDeque<TenantId>,
    round: Round,
}

/// What a tenant is at. One that has none is at peace.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Queued,
    InHand(Grown),
}

/// Whether a tenant has grown since its turn began.
#[derive(Clone, Copy, PartialEq)]
enum Grown {
    No,
    Yes,
}

/// What became of the last round.
#[derive(Clone, Copy)]
enum Round {
    UnderWay,
    /// Over, and the next one may begin then.
    Over(Instant),
}

/// The right to project tenants. When it is dropped, however that comes about, somebody else can have it.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    tenants: Vec<TenantId>,
    kind: Kind,
    began: Instant,
    outcomes: HashMap<TenantId, Outcome>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Round,
    Alone,
}

/// How a tenant's turn ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// There is more to do.
    More,
    /// There was no more.
    Done,
}

impl Turns {
    pub(crate) fn new() -> Arc<Self> {
        let (phases, grown, backlogged) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        let state = State { phases, grown, backlogged, round: Round::Over(Instant::now()) };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Queues a tenant that has grown, unless it is queued. One in hand is queued afterwards.
    pub(crate) fn grew(&self, tenant: TenantId) {
        let mut state = self.state();
        match state.phases.get_mut(&tenant) {
            Some(Phase::Queued) => {}
            Some(Phase::InHand(grown)) => *grown = Grown::Yes,
            None => {
                state.queue_grown(tenant);
                self.changed.notify_one();
            }
        }
    }

    /// Waits for the next turn.
    pub(crate) async fn next(self: &Arc<Self>) -> Turn {
        loop {
            let changed = self.changed.notified();
            if let Some(turn) = self.try_next() {
                return turn;
            }
            match self.next_round() {
                Some(begin) => {
                    let _ = tokio::time::timeout_at(begin, changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// The next turn, if it is time for one.
    fn try_next(self: &Arc<Self>) -> Option<Turn> {
        let mut state = self.state();
        let may_begin = matches!(state.round, Round::Over(next) if next <= Instant::now());
        let (tenants, kind) = if may_begin && !state.grown.is_empty() {
            state.round = Round::UnderWay;
            let count = state.grown.len().min(TOGETHER);
            (state.grown.drain(..count).collect(), Kind::Round)
        } else {
            (vec![state.backlogged.pop_front()?], Kind::Alone)
        };
        for tenant in &tenants {
            state.phases.insert(*tenant, Phase::InHand(Grown::No));
        }
        if !state.is_empty() {
            // Somebody else may have a turn, too, or has to learn when the next one is.
            self.changed.notify_one();
        }
        Some(Turn { turns: Arc::clone(self), tenants, kind, began: Instant::now(), outcomes: HashMap::new() })
    }

    /// When the next round begins, if it is known.
    fn next_round(&self) -> Option<Instant> {
        let state = self.state();
        match state.round {
            Round::Over(next) if !state.grown.is_empty() => Some(next),
            _ => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue_grown(&mut self, tenant: TenantId) {
        self.phases.insert(tenant, Phase::Queued);
        self.grown.push_back(tenant);
    }

    fn is_empty(&self) -> bool {
        self.grown.is_empty() && self.backlogged.is_empty()
    }
}

impl Turn {
    /// Whose turn it is.
    pub(crate) fn tenants(&self) -> &[TenantId] {
        &self.tenants
    }

    /// Ends it. A tenant without an outcome was given up: the next hint or poll begins again.
    pub(crate) fn end(mut self, outcomes: HashMap<TenantId, Outcome>) {
        self.outcomes = outcomes;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        for tenant in &self.tenants {
            let phase = state.phases.remove(tenant);
            match self.outcomes.get(tenant) {
                Some(Outcome::More) => {
                    state.phases.insert(*tenant, Phase::Queued);
                    state.backlogged.push_back(*tenant);
                }
                Some(Outcome::Done) if phase == Some(Phase::InHand(Grown::Yes)) => state.queue_grown(*tenant),
                Some(Outcome::Done) | None => {}
            }
        }
        if self.kind == Kind::Round {
            let pause = (self.began.elapsed() * PAUSE).clamp(SHORTEST, LONGEST);
            state.round = Round::Over(Instant::now() + pause);
        }
        if !state.is_empty() {
            self.turns.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(turn: &Turn, outcome: Outcome) -> HashMap<TenantId, Outcome> {
        turn.tenants().iter().map(|tenant| (*tenant, outcome)).collect()
    }

    fn end(turn: Turn, outcome: Outcome) {
        let outcomes = all(&turn, outcome);
        turn.end(outcomes);
    }

    #[tokio::test]
    async fn who_grows_again_and_again_is_in_one_hand_and_has_another_turn_afterwards() {
        let (turns, tenant) = (Turns::new(), TenantId::random());
        turns.grew(tenant);
        turns.grew(tenant);
        let turn = turns.next().await;
        assert_eq!(turn.tenants(), [tenant]);
        turns.grew(tenant);
        assert!(turns.try_next().is_none(), "it is in two hands");
        end(turn, Outcome::Done);
        let turn = turns.next().await;
        assert_eq!(turn.tenants(), [tenant]);
        end(turn, Outcome::Done);
        assert!(turns.state().phases.is_empty());
    }

    #[tokio::test]
    async fn those_that_grow_during_a_round_and_its_pause_go_together() {
        let (turns, first) = (Turns::new(), TenantId::random());
        turns.grew(first);
        let began = Instant::now();
        let turn = turns.next().await;
        let others: Vec<TenantId> = (0..TOGETHER + 1).map(|_| TenantId::random()).collect();
        others.iter().for_each(|tenant| turns.grew(*tenant));
        assert!(turns.try_next().is_none(), "two rounds at once are small ones");
        end(turn, Outcome::Done);
        assert!(turns.try_next().is_none(), "there is no pause");
        let turn = turns.next().await;
        assert!(began.elapsed() >= SHORTEST);
        assert_eq!(turn.tenants(), &others[..TOGETHER]);
        end(turn, Outcome::Done);
        assert_eq!(turns.next().await.tenants(), &others[TOGETHER..]);
    }

    #[tokio::test]
    async fn a_backlog_holds_up_no_round_and_waits_for_none() {
        let (turns, busy, other) = (Turns::new(), TenantId::random(), TenantId::random());
        turns.grew(busy);
        end(turns.next().await, Outcome::More);
        let alone = turns.try_next().expect("who has more to do does not wait for a round");
        assert_eq!(alone.tenants(), [busy]);
        turns.grew(other);
        assert_eq!(turns.next().await.tenants(), [other]);
        turns.grew(busy);
        end(alone, Outcome::More);
        assert_eq!(turns.next().await.tenants(), [busy]);
    }

    #[tokio::test]
    async fn a_turn_that_is_given_up_is_free_for_the_next() {
        let (turns, tenant) = (Turns::new(), TenantId::random());
        turns.grew(tenant);
        drop(turns.next().await);
        assert!(turns.state().phases.is_empty());
        turns.grew(tenant);
        assert_eq!(turns.next().await.tenants(), [tenant]);
    }
}
