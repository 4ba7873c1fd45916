//! Commands that wait for their tenant's writer.

use std::collections::{HashSet, VecDeque};

use application::{
    error::Error,
    journal::{Command, Committed, StreamRequest},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

/// A command that waits.
pub(super) struct Queued {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Result<Committed, Error>>,
    /// Its place in the line, free when it has been told.
    pub(super) _place: OwnedSemaphorePermit,
}

impl Queued {
    /// Whether it keeps its answer, which may be refused, and then nothing else may fall with it.
    pub(super) fn is_alone(&self) -> bool {
        self.command.once.is_some()
    }

    /// Tells what the command came to. Who has gone away does not need to know.
    pub(super) fn reply(self, committed: Result<Committed, Error>) {
        let _ = self.reply.send(committed);
    }
}

/// The commands' streams, each once.
pub(super) fn streams(waiting: &VecDeque<Queued>) -> Vec<&StreamRequest> {
    let mut seen = HashSet::new();
    let all = waiting.iter().flat_map(|queued| &queued.command.streams);
    all.filter(|request| seen.insert(request.stream.id)).collect()
}

/// The streams that the commands may begin.
pub(super) fn firsts(waiting: &VecDeque<Queued>) -> Vec<Uuid> {
    waiting.iter().flat_map(|queued| queued.command.firsts.iter().copied()).collect()
}

/// Sends commands back whose sessions have changed since they were let in.
pub(super) fn send_back(waiting: &mut VecDeque<Queued>, sessions: &[Uuid]) {
    for queued in std::mem::take(waiting) {
        let session = queued.command.ctx.witness.map(|witness| witness.session.uuid());
        match session.is_some_and(|session| sessions.contains(&session)) {
            true => queued.reply(Err(Error::SessionChanged)),
            false => waiting.push_back(queued),
        }
    }
}
