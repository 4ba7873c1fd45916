//! A tenant's writer: it lets queued commands decide, one after the other, on streams that it remembers, and commits what
//! they produced together.
//!
//! Nobody is told anything, not even a refusal, before it is certain that the journal still ended where the decision
//! believed it did. If it did not, because another process has written, the commands decide again behind a lock.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use application::{error::Error, journal::StreamRequest, loaded::Loaded, once::in_use};
use chrono::{DateTime, SubsecRound, Utc};
use domain::ids::TenantId;
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

use super::{
    appender::{Append, Appended, Appender},
    commit::{self, Committing, Locked},
    firsts::Firsts,
    gathering::Gathering,
    load::{Load, Loading, Way, load},
    loader::Loader,
    memory::Memory,
    queued::{Queued, firsts, send_back, streams},
    round::{Others, Round, Start, Take},
    setback::{Failure, Setback},
    writers::Writers,
};
use crate::{database::Database, growth::Growth, kept_answers, vault::Source};

/// How long a writer without commands stays.
const IDLE: Duration = Duration::from_secs(30);
/// How many commands are decided before those that came meanwhile are looked at.
const COMMANDS: usize = 256;
/// How many streams these commands may begin, but for the last one's.
const BEGUN: usize = 5_000;
/// How often commands are decided again that were in each other's or another process's way.
const ATTEMPTS: usize = 5;
/// How long a writer locks before it decides, after another process was at the same journal.
const SHARED: Duration = Duration::from_secs(1);
/// How long a writer looks up which streams exist before it lets commands begin them, after a sender has repeated some.
const SUSPICIOUS: Duration = Duration::from_secs(30);

/// What all writers work with.
pub(super) struct Desk {
    pub(super) database: Database,
    pub(super) loader: Arc<Gathering<Loader>>,
    pub(super) appender: Arc<Gathering<Appender>>,
    pub(super) growth: Growth,
    pub(super) clock: fn() -> DateTime<Utc>,
    pub(super) runtime: Handle,
}

impl Desk {
    /// Reads streams, with what others read at the same time.
    pub(super) async fn load(&self, asked: Load) -> Result<Loading, Error> {
        load(Way::Shared(&self.loader, &self.database), self.database.vault(), asked).await
    }
}

/// The writer of one tenant.
pub(super) struct Writer {
    tenant: TenantId,
    commands: mpsc::UnboundedReceiver<Box<Queued>>,
    memory: Arc<Mutex<Memory>>,
    firsts: Firsts,
    desk: Arc<Desk>,
    /// Until when others must be expected to write to the same journal.
    shared_until: Option<Instant>,
    /// Until when senders must be expected to repeat themselves.
    suspicious_until: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        tenant: TenantId,
        commands: mpsc::UnboundedReceiver<Box<Queued>>,
        memory: Arc<Mutex<Memory>>,
        desk: Arc<Desk>,
    ) -> Self {
        let firsts = Firsts::default();
        Self { tenant, commands, memory, firsts, desk, shared_until: None, suspicious_until: None }
    }

    /// Works until it was idle for a while or its process ends.
    pub(super) async fn run(mut self, writers: Weak<Writers>) {
        loop {
            match timeout(IDLE, self.commands.recv()).await {
                Ok(Some(queued)) => {
                    let mut waiting = VecDeque::from([*queued]);
                    self.gather(&mut waiting);
                    // Boxed, so that one who waits, as most do, takes little memory.
                    Box::pin(self.serve(waiting)).await;
                }
                Ok(None) => return,
                Err(_) => match writers.upgrade() {
                    Some(writers) if !writers.dismiss(self.tenant, &self.commands) => {}
                    _ => return,
                },
            }
        }
    }

    /// Takes in the commands that have come meanwhile.
    fn gather(&mut self, waiting: &mut VecDeque<Queued>) {
        let mut begun: usize = waiting.iter().map(|queued| queued.command.firsts.len()).sum();
        while waiting.len() < COMMANDS
            && begun < BEGUN
            && let Ok(queued) = self.commands.try_recv()
        {
            begun += queued.command.firsts.len();
            waiting.push_back(*queued);
        }
    }

    /// Carries out commands, and tells each what it came to.
    async fn serve(&mut self, mut waiting: VecDeque<Queued>) {
        let mut setbacks = 0;
        loop {
            // Who has gone away wants nothing any more.
            waiting.retain(|queued| !queued.reply.is_closed());
            if waiting.is_empty() {
                return;
            }
            let shared = self.shared_until.is_some_and(|until| Instant::now() < until);
            let served = if waiting.front().is_some_and(Queued::is_alone) {
                self.commit_alone(&mut waiting).await
            } else if shared {
                self.commit_locked(&mut waiting).await
            } else {
                self.commit_unlocked(&mut waiting).await
            };
            match served {
                Ok(()) => setbacks = 0,
                Err(Setback::Outrun) => {
                    setbacks += 1;
                    if setbacks == ATTEMPTS {
                        waiting.drain(..).for_each(|queued| queued.reply(Err(Error::VersionConflict)));
                    }
                }
                Err(Setback::Failed { failure, tried }) => {
                    // It may have happened or not. Those behind were not tried.
                    self.memory().forget();
                    let tried = tried.min(waiting.len());
                    waiting.drain(..tried).for_each(|queued| queued.reply(Err(failure.error())));
                }
            }
        }
    }

    /// Decides on what is remembered and appends it, if the journal has not grown meanwhile.
    async fn commit_unlocked(&mut self, waiting: &mut VecDeque<Queued>) -> Result<(), Setback> {
        let Known { mut start, missing } = self.remembered(waiting);
        let unsure = self.is_suspicious() && waiting.iter().any(|queued| !queued.command.firsts.is_empty());
        // What was just read is the newest state there is, so a refusal can be given on it.
        let mut is_fresh = false;
        if !missing.is_empty() || unsure || self.memory().is_blank() {
            let firsts = if unsure { firsts(waiting) } else { Vec::new() };
            is_fresh = start.streams.is_empty();
            let remembered_at = start.head;
            let load = Load { tenant: self.tenant, streams: missing, firsts };
            let loading = self.desk.load(load).await?;
            let outdated = !is_fresh && loading.head != remembered_at;
            self.take_in(&mut start, loading);
            if unsure {
                start.others = Others::Absent;
            }
            if outdated {
                // What was remembered is of another time than what was read: another process has written.
                self.shared_until = Some(Instant::now() + SHARED);
                return Err(Setback::Outrun);
            }
        }
        let mut round = Round::decide(start, waiting, Take::Sharing, self.now());
        if round.wants_look {
            self.suspicious_until = Some(Instant::now() + SUSPICIOUS);
        }
        if round.decided.is_empty() {
            return if round.wants_look { Ok(()) } else { self.commit_locked(waiting).await };
        }
        let database = &self.desk.database;
        if let Err(error) = round.seal(database.vault(), Source::Pool(database)).await {
            round.undo(waiting);
            return Err(error.into());
        }
        if round.events() == 0 && is_fresh && round.witnesses().is_empty() {
            self.settle(round);
            return Ok(());
        }
        self.append(round, waiting).await
    }

    async fn append(&mut self, round: Round, waiting: &mut VecDeque<Queued>) -> Result<(), Setback> {
        let append = Append {
            tenant: self.tenant,
            after: round.after,
            head: round.head,
            recordings: round.recordings.clone(),
            witnesses: round.witnesses(),
        };
        match self.desk.appender.append(append).await {
            Appended::Done => {
                self.settle(round);
                return Ok(());
            }
            Appended::SessionsChanged(sessions) => {
                round.undo(waiting);
                send_back(waiting, &sessions);
                return Ok(());
            }
            Appended::Outrun => self.shared_until = Some(Instant::now() + SHARED),
            Appended::Repeated => self.suspicious_until = Some(Instant::now() + SUSPICIOUS),
            Appended::Failed(error) => {
                let tried = round.undo(waiting);
                return Err(Setback::Failed { failure: Failure::of_database(error), tried });
            }
        }
        round.undo(waiting);
        Err(Setback::Outrun)
    }

    /// Carries out the first command, which keeps its answer, in a commit of its own.
    async fn commit_alone(&mut self, waiting: &mut VecDeque<Queued>) -> Result<(), Setback> {
        let mut alone: VecDeque<Queued> = waiting.pop_front().into_iter().collect();
        let served = self.commit_locked(&mut alone).await;
        alone.into_iter().rev().for_each(|queued| waiting.push_front(queued));
        served
    }

    /// Locks the journal's end, decides, and appends: nobody can be faster.
    async fn commit_locked(&mut self, waiting: &mut VecDeque<Queued>) -> Result<(), Setback> {
        let known = self.memory().head().position;
        let Locked { mut tx, head, changed } =
            commit::lock_journal(&self.desk.database, self.tenant, known, self.now()).await?;
        if let Some(once) = waiting.front().and_then(|queued| queued.command.once.clone())
            && kept_answers::find(&mut tx, &once.identity).await?.is_some()
        {
            // The same request was faster. Before anything is decided, because it might be refused for another reason.
            if let Some(queued) = waiting.pop_front() {
                queued.reply(Err(in_use()));
            }
            return Ok(());
        }
        self.memory().follow(head, changed.as_deref());
        if !waiting.front().is_some_and(Queued::is_alone) {
            // The lock may have been waited for.
            self.gather(waiting);
        }
        let Known { mut start, missing } = self.remembered(waiting);
        let firsts = if self.is_suspicious() { firsts(waiting) } else { Vec::new() };
        if !missing.is_empty() || !firsts.is_empty() {
            let asked = Load { tenant: self.tenant, streams: missing, firsts };
            let loading = load(Way::Connection(&mut tx), self.desk.database.vault(), asked).await?;
            self.take_in(&mut start, loading);
        }
        if self.is_suspicious() {
            start.others = Others::Absent;
        }
        let mut round = Round::decide(start, waiting, Take::Any, self.now());
        if round.wants_look {
            self.suspicious_until = Some(Instant::now() + SUSPICIOUS);
        }
        if round.decided.is_empty() {
            return Ok(());
        }
        let vault = self.desk.database.vault();
        let committed = match round.seal(vault, Source::Connection(&mut tx)).await {
            Ok(()) => commit::commit(tx, vault, &mut round).await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(Committing::Done) => {
                self.settle(round);
                Ok(())
            }
            Ok(Committing::Refused(error)) => {
                // A claim can be refused in a commit of its own only.
                if let Some(decided) = round.decided.pop() {
                    decided.queued.reply(Err(error));
                }
                Ok(())
            }
            Ok(Committing::SessionsChanged(sessions)) => {
                round.undo(waiting);
                send_back(waiting, &sessions);
                Ok(())
            }
            Ok(Committing::Repeated) => {
                self.suspicious_until = Some(Instant::now() + SUSPICIOUS);
                round.undo(waiting);
                Err(Setback::Outrun)
            }
            Ok(Committing::GaveWay) => {
                round.undo(waiting);
                Err(Setback::Outrun)
            }
            Err(error) => {
                let tried = round.undo(waiting);
                Err(Setback::Failed { failure: error.into(), tried })
            }
        }
    }

    /// What is remembered of the streams that the commands need, and which of those are not.
    fn remembered(&self, waiting: &VecDeque<Queued>) -> Known {
        let mut memory = self.memory();
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        for request in streams(waiting) {
            match memory.get(&request.stream) {
                Some(loaded) => drop(found.insert(request.stream.clone(), loaded)),
                None => missing.push(request.clone()),
            }
        }
        let begun = waiting.iter().flat_map(|queued| queued.command.firsts.iter());
        let existing = begun.filter(|id| self.firsts.contains(id)).copied().collect();
        let others = Others::Assumed;
        Known { start: Start { head: memory.head(), streams: found, existing, others }, missing }
    }

    /// Takes in what was read, for now and for later.
    fn take_in(&self, start: &mut Start, loading: Loading) {
        let Loading { head, histories, existing, read_at } = loading;
        start.head = head;
        start.existing.extend(existing);
        let loaded: Vec<Loaded> = histories.into_iter().map(Loaded::from).collect();
        self.memory().learn(head, read_at, loaded.iter().cloned());
        start.streams.extend(loaded.into_iter().map(|loaded| (loaded.stream().clone(), loaded)));
    }

    /// Remembers a round that is committed, and tells everybody.
    fn settle(&mut self, mut round: Round) {
        self.memory().advance(round.after, round.head, round.streams.drain().map(|(_, loaded)| loaded));
        self.firsts.remember(round.firsts.drain(..));
        let events = round.events();
        if events > 0 {
            metrics::counter!("annals_journal_events_total").increment(events as u64);
            metrics::counter!("annals_journal_commits_total").increment(1);
            self.desk.growth.grew(self.tenant);
        }
        if !round.snapshots.is_empty() {
            let snapshots = std::mem::take(&mut round.snapshots);
            let kept = commit::keep_snapshots(self.desk.database.clone(), self.tenant, snapshots);
            self.desk.runtime.spawn(kept);
        }
        round.reply();
    }

    fn is_suspicious(&self) -> bool {
        self.suspicious_until.is_some_and(|until| Instant::now() < until)
    }

    fn now(&self) -> DateTime<Utc> {
        (self.desk.clock)().trunc_subsecs(6)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered for a round, and what has to be read.
struct Known {
    start: Start,
    missing: Vec<StreamRequest>,
}
