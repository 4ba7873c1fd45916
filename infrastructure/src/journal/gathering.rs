//! Questions to the database that share calls: while a call is under way, the next ones gather. Nobody waits for what is
//! slow: a large question has a call of its own, and if a call takes long, a second one is made beside it.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::ids::TenantId;
use futures_util::FutureExt;
use tokio::{runtime::Handle, sync::oneshot};

/// How many questions share a call.
const TOGETHER: usize = 64;
/// How long a call may take before those that wait get another one.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);
/// How many calls with small questions are under way at most.
const CALLS: usize = 4;

/// What several can be asked in.
pub(super) trait Call: Send + Sync + 'static {
    type Question: Send + Sync;
    type Answer: Send;

    /// Who it is about.
    fn tenant(question: &Self::Question) -> TenantId;

    /// Whether it is too large to share a call.
    fn is_large(question: &Self::Question) -> bool;

    /// Gives each question its answer. They come in the order of their tenants: two calls that lock something of the same
    /// tenants do so in the same order.
    fn carry_out(&self, questions: &[Self::Question]) -> impl Future<Output = Vec<Self::Answer>> + Send;
}

/// The desk where questions are handed in.
pub(super) struct Gathering<C: Call> {
    call: C,
    patience: Duration,
    runtime: Handle,
    queue: Mutex<Queue<C>>,
}

struct Queue<C: Call> {
    waiting: VecDeque<Waiting<C>>,
    /// How many calls are under way.
    calls: usize,
    /// When the latest of them began.
    begun: Option<Instant>,
}

struct Waiting<C: Call> {
    question: C::Question,
    answer: oneshot::Sender<C::Answer>,
}

impl<C: Call> Gathering<C> {
    /// For such calls, which are made on `runtime`, a second one if the first takes longer than `patience`.
    pub(super) fn new(call: C, patience: Duration, runtime: Handle) -> Arc<Self> {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), calls: 0, begun: None });
        Arc::new(Self { call, patience, runtime, queue })
    }

    /// Asks. It happens also if nobody waits for the answer; there is none if the call has panicked.
    pub(super) async fn ask(self: &Arc<Self>, question: C::Question) -> Option<C::Answer> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { question, answer };
        let gathering = Arc::clone(self);
        if C::is_large(&waiting.question) {
            self.runtime.spawn(async move { gathering.carry_out(vec![waiting]).await });
        } else {
            let mut queue = self.queue();
            queue.waiting.push_back(waiting);
            let is_slow = queue.begun.is_some_and(|begun| begun.elapsed() > self.patience);
            if queue.calls == 0 || is_slow && queue.calls < CALLS {
                queue.calls += 1;
                queue.begun = Some(Instant::now());
                self.runtime.spawn(async move { gathering.work_off().await });
            }
        }
        answered.await.ok()
    }

    async fn work_off(self: Arc<Self>) {
        loop {
            let waiting: Vec<Waiting<C>> = {
                let mut queue = self.queue();
                if queue.waiting.is_empty() {
                    queue.calls -= 1;
                    return;
                }
                queue.begun = Some(Instant::now());
                let count = queue.waiting.len().min(TOGETHER);
                queue.waiting.drain(..count).collect()
            };
            self.carry_out(waiting).await;
        }
    }

    async fn carry_out(&self, mut waiting: Vec<Waiting<C>>) {
        waiting.sort_unstable_by_key(|waiting| C::tenant(&waiting.question));
        let asked = waiting.into_iter().map(|Waiting { question, answer }| (question, answer));
        let (questions, tell): (Vec<_>, Vec<_>) = asked.unzip();
        // One that panics does not take those with it that wait for the next.
        let answers = AssertUnwindSafe(self.call.carry_out(&questions)).catch_unwind().await;
        for (tell, answer) in tell.into_iter().zip(answers.into_iter().flatten()) {
            // Nobody waits any more: then nobody needs to know.
            let _ = tell.send(answer);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<C>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers with how many were asked together; 0 makes it panic, and 100 is large.
    struct Counting(Semaphore);

    impl Call for Counting {
        type Question = (TenantId, usize);
        type Answer = usize;

        fn tenant(question: &Self::Question) -> TenantId {
            question.0
        }

        fn is_large(question: &Self::Question) -> bool {
            question.1 == 100
        }

        async fn carry_out(&self, questions: &[Self::Question]) -> Vec<usize> {
            assert!(questions.is_sorted_by_key(|question| question.0));
            if !questions.iter().any(Self::is_large) {
                self.0.acquire().await.unwrap().forget();
            }
            assert!(questions.iter().all(|question| question.1 > 0), "this is what panics");
            questions.iter().map(|_| questions.len()).collect()
        }
    }

    #[tokio::test]
    async fn what_comes_while_a_call_is_under_way_shares_the_next() {
        let gathering = Gathering::new(Counting(Semaphore::new(0)), Duration::MAX, Handle::current());
        let ask = |size| {
            let gathering = Arc::clone(&gathering);
            tokio::spawn(async move { gathering.ask((TenantId::random(), size)).await })
        };
        let first = ask(1);
        while gathering.queue().calls == 0 || !gathering.queue().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        let next: Vec<_> = (0..TOGETHER + 1).map(|_| ask(1)).collect();
        // It waits for none of them.
        assert_eq!(ask(100).await.unwrap(), Some(1));
        while gathering.queue().waiting.len() < next.len() {
            tokio::task::yield_now().await;
        }
        gathering.call.0.add_permits(3);
        assert_eq!(first.await.unwrap(), Some(1));
        let mut answers = Vec::new();
        for answer in next {
            answers.push(answer.await.unwrap().unwrap());
        }
        assert_eq!(answers.iter().filter(|together| **together == TOGETHER).count(), TOGETHER);
        assert_eq!(answers.iter().filter(|together| **together == 1).count(), 1);
    }

    #[tokio::test]
    async fn who_waits_for_a_slow_call_gets_another_one_but_not_without_end() {
        let gathering = Gathering::new(Counting(Semaphore::new(0)), Duration::ZERO, Handle::current());
        let asked: Vec<_> = (0..TOGETHER)
            .map(|_| {
                let gathering = Arc::clone(&gathering);
                tokio::spawn(async move { gathering.ask((TenantId::random(), 1)).await })
            })
            .collect();
        while gathering.queue().waiting.len() + CALLS < asked.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(gathering.queue().calls, CALLS);
        gathering.call.0.add_permits(asked.len());
        for answer in asked {
            assert!(answer.await.unwrap().is_some());
        }
        while gathering.queue().calls > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_call_that_panics_is_not_the_last() {
        let gathering = Gathering::new(Counting(Semaphore::new(9)), Duration::MAX, Handle::current());
        assert_eq!(gathering.ask((TenantId::random(), 0)).await, None);
        assert_eq!(gathering.ask((TenantId::random(), 1)).await, Some(1));
    }
}
