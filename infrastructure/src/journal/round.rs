//! Commands that are decided together, to be committed together.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use application::{
    error::Error,
    journal::{Answer, Committed, Snapshot},
    loaded::Loaded,
    once::{Commit, Once},
    recording::Recording,
    work::{Changes, Work},
};
use chrono::{DateTime, Utc};
use domain::{
    ctx::Witness,
    recorded_event::{RecordedEvent, StreamId},
};
use uuid::Uuid;

use super::{
    Head,
    queued::Queued,
    sealing::{self, Draft},
};
use crate::vault::{Source, Vault};

/// How many events one commit takes, but for the last command's.
const EVENTS: usize = 5_000;

/// What a round starts from: the journal's end, and the streams of its commands as of then.
pub(super) struct Start {
    pub(super) head: Head,
    pub(super) streams: HashMap<StreamId, Loaded>,
    /// Streams that could be begun, but are known to exist.
    pub(super) existing: HashSet<Uuid>,
    /// Whether the others are known not to.
    pub(super) others: Others,
}

/// What is known of streams that could be begun and are not known to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// They do not exist.
    Absent,
    /// Nobody has looked. That they don't exist is proved by beginning them; a decision that relied on it and did not
    /// has to be made again.
    Assumed,
}

/// Commands, one decided on what the other left behind.
pub(super) struct Round {
    /// Where the journal ended before.
    pub(super) after: Head,
    /// Where it ends with what was decided.
    pub(super) head: Head,
    /// The streams, with what was decided.
    pub(super) streams: HashMap<StreamId, Loaded>,
    /// The streams that were begun.
    pub(super) firsts: Vec<Uuid>,
    /// What each command came to, in order.
    pub(super) decided: Vec<Decided>,
    /// What each command that was not refused records, in order; still to be sealed.
    drafts: Vec<Draft>,
    /// The same, sealed.
    pub(super) recordings: Vec<Arc<Recording>>,
    /// What must be in the commit besides events; then there is one command.
    pub(super) own: Option<Changes>,
    /// Snapshots that are due.
    pub(super) snapshots: Vec<(StreamId, Snapshot)>,
    /// Whether the next command can only be decided after a look at which streams exist.
    pub(super) wants_look: bool,
}

/// What a command came to.
pub(super) struct Decided {
    pub(super) queued: Queued,
    pub(super) outcome: Result<Answer, Error>,
}

/// Which commands a round takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// Those up to one that needs a commit of its own.
    Sharing,
    /// The same; but if that one is the first, then it alone.
    Any,
}

impl Round {
    /// Lets commands decide, first come, first served. Those that are not in the round stay in `waiting`.
    pub(super) fn decide(
        start: Start,
        waiting: &mut VecDeque<Queued>,
        take: Take,
        now: DateTime<Utc>,
    ) -> Self {
        let Start { head: after, streams, mut existing, others } = start;
        let recorded_at = now.max(after.recorded_at);
        let mut round = Self {
            after,
            head: after,
            streams,
            firsts: Vec::new(),
            decided: Vec::new(),
            drafts: Vec::new(),
            recordings: Vec::new(),
            own: None,
            snapshots: Vec::new(),
            wants_look: false,
        };
        while round.own.is_none() && round.events() < EVENTS {
            let Some(queued) = waiting.pop_front() else { break };
            if queued.is_alone() && (take == Take::Sharing || !round.decided.is_empty()) {
                waiting.push_front(queued);
                break;
            }
            let (work, decision) = round.ask(&queued, &existing, now);
            if others == Others::Assumed && !queued.command.firsts.iter().all(|id| work.exists(*id)) {
                round.wants_look = true;
                waiting.push_front(queued);
                break;
            }
            let answer = match decision {
                Ok(answer) => answer,
                Err(error) => {
                    round.decided.push(Decided { queued, outcome: Err(error) });
                    continue;
                }
            };
            let (changes, loaded) = work.finish();
            if changes.needs_own_commit() && (take == Take::Sharing || !round.decided.is_empty()) {
                waiting.push_front(queued);
                break;
            }
            round.streams.extend(loaded.map(|loaded| (loaded.stream().clone(), loaded)));
            existing.extend(changes.firsts.iter().copied());
            round.draft(&queued, changes, recorded_at);
            round.decided.push(Decided { queued, outcome: Ok(answer) });
        }
        round
    }

    fn ask(
        &self,
        queued: &Queued,
        existing: &HashSet<Uuid>,
        now: DateTime<Utc>,
    ) -> (Work, Result<Answer, Error>) {
        let command = &queued.command;
        let streams = command.streams.iter().filter_map(|request| self.streams.get(&request.stream).cloned());
        let existing = command.firsts.iter().filter(|id| existing.contains(id)).copied();
        let mut work = Work::new(now, streams.collect(), existing.collect());
        let decision = (command.decide)(&mut work);
        (work, decision)
    }

    fn draft(&mut self, queued: &Queued, mut changes: Changes, recorded_at: DateTime<Utc>) {
        let (ctx, events) = (&queued.command.ctx, std::mem::take(&mut changes.events));
        let ((metadata, traces), actor) = (ctx.metadata(), ctx.user());
        // What nobody knows whom it is about could never be forgotten, so it is not kept.
        let mut traces = actor.or(changes.about).zip(traces);
        let after = self.head.position;
        if events.is_empty() {
            traces = None;
        } else {
            self.head = Head { position: after + events.len() as u64, recorded_at };
        }
        self.drafts.push(Draft { tenant: ctx.tenant, after, recorded_at, metadata, traces, actor, events });
        self.firsts.append(&mut changes.firsts);
        self.snapshots.append(&mut changes.snapshots);
        if changes.needs_own_commit() {
            self.own = Some(changes);
        }
    }

    /// What the command keeps its answer by, if it is one that is alone with its commit and was not refused.
    pub(super) fn once(&self) -> Option<Arc<Once>> {
        match self.decided.as_slice() {
            [Decided { queued, outcome: Ok(_) }] => queued.command.once.clone(),
            _ => None,
        }
    }

    /// What is kept of the only command's answer.
    pub(super) fn render(&self, once: &Once, events: &[RecordedEvent]) -> Result<Option<Vec<u8>>, Error> {
        match (self.decided.as_slice(), self.recordings.as_slice()) {
            ([Decided { outcome: Ok(answer), .. }], [recording]) => {
                (once.render)(&**answer, &Commit { recording, events })
            }
            _ => Err(Error::internal("a command that keeps its answer is alone")),
        }
    }

    /// Seals what the commands say about people, and gives every event its hash.
    pub(super) async fn seal(&mut self, vault: &Vault, source: Source<'_>) -> Result<(), Error> {
        self.recordings = sealing::record(vault, source, std::mem::take(&mut self.drafts)).await?;
        Ok(())
    }

    /// What is known of the sessions that the commands came in.
    pub(super) fn witnesses(&self) -> Vec<Witness> {
        self.decided.iter().filter_map(|decided| decided.queued.command.ctx.witness).collect()
    }

    /// How many events it records.
    pub(super) fn events(&self) -> usize {
        (self.head.position - self.after.position) as usize
    }

    /// Puts the commands back in front of those that wait, to be decided again; tells how many.
    pub(super) fn undo(self, waiting: &mut VecDeque<Queued>) -> usize {
        let count = self.decided.len();
        self.decided.into_iter().rev().for_each(|decided| waiting.push_front(decided.queued));
        count
    }

    /// Tells everybody what their command came to.
    pub(super) fn reply(self) {
        let mut recordings = self.recordings.into_iter();
        for Decided { queued, outcome } in self.decided {
            let committed = outcome.and_then(|answer| {
                let recording = recordings.next();
                let recording = recording.ok_or_else(|| Error::internal("every answer has its recording"))?;
                Ok(Committed { answer, recording })
            });
            queued.reply(committed);
        }
    }
}
