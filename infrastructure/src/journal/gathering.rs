//! Questions to the database that share calls: while a call is under way, the next ones gather. Nobody waits for what is
//! slow: a large question has a call of its own, and beside a call that takes long the next one is made.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::ids::TenantId;
use futures_util::FutureExt;
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// How many questions share a call.
const TOGETHER: usize = 64;
/// How many calls with small questions are under way at most.
const CALLS: usize = 4;
/// How long a call may take before the questions that wait get another one.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);
/// How long a call may take. The server gives up statements earlier; this is for one that can't be reached any more.
const LIMIT: Duration = Duration::from_secs(40);

/// What several can be asked in.
pub(super) trait Call: Send + Sync + 'static {
    type Question: Send + Sync;
    type Answer: Send;

    /// Who it is about.
    fn tenant(question: &Self::Question) -> TenantId;

    /// Whether it is too large to share a call.
    fn is_large(question: &Self::Question) -> bool;

    /// Answers each question, in their order, which is that of their tenants: two calls that lock something of the same
    /// tenants do so in the same order. Fails if one of them is at fault, and nothing has come of it for the others.
    fn answer(
        &self,
        questions: &[Self::Question],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, AtFault<Self::Answer>>> + Send;
}

/// One question of a call was at fault, and this is its answer, whichever it is.
pub(super) struct AtFault<A>(pub(super) A);

/// Questions for such calls.
pub(super) struct Gathering<C: Call> {
    call: C,
    patience: Duration,
    runtime: Handle,
    queue: Mutex<Queue<C>>,
}

struct Queue<C: Call> {
    waiting: VecDeque<Waiting<C>>,
    /// When the calls that are under way began.
    calls: [Option<Instant>; CALLS],
}

struct Waiting<C: Call> {
    question: C::Question,
    asker: oneshot::Sender<C::Answer>,
}

impl<C: Call> Gathering<C> {
    /// For such calls, which are made on `runtime`, and another one if the first takes longer than `patience`.
    pub(super) fn new(call: C, patience: Duration, runtime: Handle) -> Arc<Self> {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), calls: [None; CALLS] });
        Arc::new(Self { call, patience, runtime, queue })
    }

    /// Asks. It happens also if nobody waits for the answer. There is none if the call has panicked or did not end.
    pub(super) async fn ask(self: &Arc<Self>, question: C::Question) -> Option<C::Answer> {
        let (asker, mut answer) = oneshot::channel();
        let waiting = Waiting { question, asker };
        if C::is_large(&waiting.question) {
            let gathering = Arc::clone(self);
            self.runtime.spawn(async move { gathering.make_call(vec![waiting]).await });
            return answer.await.ok();
        }
        {
            let mut queue = self.queue();
            queue.waiting.push_back(waiting);
            self.begin(&mut queue);
        }
        loop {
            match timeout(self.patience, &mut answer).await {
                Ok(answer) => return answer.ok(),
                Err(_) => self.begin(&mut self.queue()),
            }
        }
    }

    /// Begins to call, if nobody else will soon.
    fn begin(self: &Arc<Self>, queue: &mut Queue<C>) {
        if queue.waiting.is_empty() || !queue.is_stuck(self.patience) {
            return;
        }
        let Some(place) = queue.calls.iter().position(Option::is_none) else { return };
        queue.calls[place] = Some(Instant::now());
        let gathering = Arc::clone(self);
        self.runtime.spawn(async move {
            while let Some(waiting) = gathering.next(place) {
                gathering.make_call(waiting).await;
            }
        });
    }

    /// Who goes together in the next call at this place; nobody if none is to be made.
    fn next(&self, place: usize) -> Option<Vec<Waiting<C>>> {
        let mut queue = self.queue();
        queue.calls[place] = None;
        if queue.waiting.is_empty() || !queue.is_stuck(self.patience) {
            return None;
        }
        queue.calls[place] = Some(Instant::now());
        let count = queue.waiting.len().min(TOGETHER);
        Some(queue.waiting.drain(..count).collect())
    }

    async fn make_call(&self, mut waiting: Vec<Waiting<C>>) {
        waiting.sort_unstable_by_key(|waiting| C::tenant(&waiting.question));
        let (questions, askers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|Waiting { question, asker }| (question, asker)).unzip();
        match self.answer(&questions).await {
            Some(Ok(answers)) => askers.into_iter().zip(answers).for_each(tell),
            Some(Err(AtFault(answer))) if questions.len() == 1 => {
                askers.into_iter().zip([answer]).for_each(tell)
            }
            Some(Err(_)) => {
                // Whose fault it is shows when they are asked one by one.
                for (question, asker) in questions.chunks(1).zip(askers) {
                    match self.answer(question).await {
                        Some(Ok(answers)) => [asker].into_iter().zip(answers).for_each(tell),
                        Some(Err(AtFault(answer))) => tell((asker, answer)),
                        None => {}
                    }
                }
            }
            None => {}
        }
    }

    /// Makes one call. One that panics or hangs has no outcome, and does not take those with it that wait for the next.
    async fn answer(&self, questions: &[C::Question]) -> Option<Result<Vec<C::Answer>, AtFault<C::Answer>>> {
        let answering = timeout(LIMIT, self.call.answer(questions));
        AssertUnwindSafe(answering).catch_unwind().await.ok()?.ok()
    }

    fn queue(&self) -> MutexGuard<'_, Queue<C>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever does not wait any more does not need to know.
fn tell<A>((asker, answer): (oneshot::Sender<A>, A)) {
    let _ = asker.send(answer);
}

impl<C: Call> Queue<C> {
    /// Whether no call is under way that will be over soon, and who makes it take in those that wait.
    fn is_stuck(&self, patience: Duration) -> bool {
        self.calls.iter().flatten().all(|begun| begun.elapsed() > patience)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers with how many were asked together; 0 makes it panic, 13 is at fault, and 100 is large.
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

        async fn answer(&self, questions: &[Self::Question]) -> Result<Vec<usize>, AtFault<usize>> {
            assert!(questions.is_sorted_by_key(|question| question.0));
            if !questions.iter().any(Self::is_large) {
                self.0.acquire().await.unwrap().forget();
            }
            assert!(questions.iter().all(|question| question.1 > 0), "this is what panics");
            match questions.iter().find(|question| question.1 == 13) {
                Some(_) => Err(AtFault(13)),
                None => Ok(questions.iter().map(|_| questions.len()).collect()),
            }
        }
    }

    fn under_way(gathering: &Gathering<Counting>) -> usize {
        gathering.queue().calls.iter().flatten().count()
    }

    #[tokio::test]
    async fn what_comes_while_a_call_is_under_way_shares_the_next() {
        let gathering = Gathering::new(Counting(Semaphore::new(0)), Duration::MAX, Handle::current());
        let ask = |size| {
            let gathering = Arc::clone(&gathering);
            tokio::spawn(async move { gathering.ask((TenantId::random(), size)).await })
        };
        let first = ask(1);
        while under_way(&gathering) == 0 || !gathering.queue().waiting.is_empty() {
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
    async fn who_is_at_fault_spoils_no_call_for_the_others() {
        let gathering = Gathering::new(Counting(Semaphore::new(99)), Duration::MAX, Handle::current());
        let asked: Vec<_> = [1, 13, 1, 1]
            .map(|size| {
                let gathering = Arc::clone(&gathering);
                tokio::spawn(async move { gathering.ask((TenantId::random(), size)).await })
            })
            .into();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        assert_eq!(answers, [Some(1), Some(13), Some(1), Some(1)]);
    }

    #[tokio::test]
    async fn who_waits_for_a_slow_call_gets_another_one_but_not_without_end() {
        let gathering =
            Gathering::new(Counting(Semaphore::new(0)), Duration::from_millis(1), Handle::current());
        let mut asked = Vec::new();
        // Each comes when the one before is in its call, and nobody comes after the last.
        for calls in [1, 2, 3, CALLS, CALLS] {
            let gathering = Arc::clone(&gathering);
            asked.push(tokio::spawn({
                let gathering = Arc::clone(&gathering);
                async move { gathering.ask((TenantId::random(), 1)).await }
            }));
            let is_in_its_call =
                || under_way(&gathering) == calls && gathering.queue().waiting.len() == asked.len() - calls;
            while !is_in_its_call() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        gathering.call.0.add_permits(asked.len());
        for answer in asked {
            assert!(answer.await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn a_call_that_panics_is_not_the_last() {
        let gathering = Gathering::new(Counting(Semaphore::new(9)), Duration::MAX, Handle::current());
        assert_eq!(gathering.ask((TenantId::random(), 0)).await, None);
        assert_eq!(gathering.ask((TenantId::random(), 1)).await, Some(1));
    }
}
