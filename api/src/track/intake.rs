//! The intake: a thread that reads the input into batches, never more than a few ahead of those who send them.

use std::{
    collections::VecDeque,
    io::{BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    batch::{Batch, Draft},
    event,
    lines::{Line, Lines},
    tally::{Example, Tally},
};

/// How many batches wait to be sent before reading pauses.
const AHEAD: usize = 2;
/// How long events wait for their batch to fill, when the input is slow.
const STALE: Duration = Duration::from_secs(1);

/// What the reading thread and the sending task share. Everything that was read is in it, nothing between.
pub(super) struct Intake {
    batch_size: usize,
    state: Mutex<State>,
    /// Tells the thread that there is room again, or that it should end.
    room: Condvar,
    /// Tells the task that there is a batch, or that there will be none.
    ready: Notify,
}

#[derive(Default)]
struct State {
    draft: Draft,
    drafted_at: Option<Instant>,
    ready: VecDeque<Batch>,
    /// Nothing more will be read: the input has ended, or nobody wants it.
    closed: bool,
    finding: Finding,
}

/// What was found while reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    /// Lines that were read, blank ones included.
    pub(super) lines: u64,
    /// Lines that are not sent.
    pub(super) unsendable: Tally,
    /// Whether the end of the input was reached.
    pub(super) complete: bool,
    /// Why reading failed.
    pub(super) failure: Option<String>,
}

impl Intake {
    /// Starts to read. The thread is never waited for: it may hang in a read that nothing can interrupt.
    pub(super) fn start(input: Box<dyn Read + Send>, batch_size: usize) -> Arc<Self> {
        let intake = Arc::new(Self {
            batch_size,
            state: Mutex::default(),
            room: Condvar::new(),
            ready: Notify::new(),
        });
        let reader = Arc::clone(&intake);
        thread::spawn(move || reader.read(input));
        intake
    }

    /// The next batch, or none when all has been taken that will ever be read.
    pub(super) async fn next(&self) -> Option<Batch> {
        loop {
            let ready = self.ready.notified();
            {
                let mut state = self.lock();
                if let Some(batch) = state.ready.pop_front() {
                    self.room.notify_one();
                    return Some(batch);
                }
                if state.closed {
                    return state.draft.seal();
                }
            }
            ready.await;
        }
    }

    /// The events that have waited long enough for others to join them.
    pub(super) fn take_stale(&self) -> Option<Batch> {
        let mut state = self.lock();
        let stale = state.drafted_at.is_some_and(|drafted_at| drafted_at.elapsed() >= STALE);
        if stale && state.ready.is_empty() { state.draft.seal() } else { None }
    }

    /// Reads no further. What has been read can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_one();
        self.ready.notify_one();
    }

    /// What was found so far.
    pub(super) fn finding(&self) -> Finding {
        self.lock().finding.clone()
    }

    fn read(&self, input: Box<dyn Read + Send>) {
        let mut lines = Lines::new(BufReader::with_capacity(256 * 1024, input));
        loop {
            match lines.next() {
                Ok(Some(line)) if self.admit(&line) => {}
                Ok(Some(_)) => return,
                Ok(None) => {
                    self.lock().finding.complete = true;
                    return self.close();
                }
                Err(error) => {
                    let mut state = self.lock();
                    state.finding.failure =
                        Some(format!("can't read on after line {}: {error}", state.finding.lines));
                    drop(state);
                    return self.close();
                }
            }
        }
    }

    /// Takes a line in; false if nobody wants it any more.
    fn admit(&self, line: &Line) -> bool {
        let prepared = event::prepare(line);
        let mut state = self.lock();
        if let Ok(Some(event)) = &prepared
            && !state.draft.has_room(event, self.batch_size)
        {
            while state.ready.len() >= AHEAD && !state.closed {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let batch = state.draft.seal();
            state.ready.extend(batch);
            self.ready.notify_one();
        }
        if state.closed {
            return false;
        }
        match prepared {
            Ok(Some(event)) => {
                if state.draft.is_empty() {
                    state.drafted_at = Some(Instant::now());
                }
                state.draft.push(line.number, &event);
            }
            Ok(None) => {}
            Err(unsendable) => {
                let example =
                    Example { line: line.number, message_id: None, detail: Some(unsendable.detail) };
                state.finding.unsendable.reject(unsendable.code, example);
            }
        }
        state.draft.cover(line.length);
        state.finding.lines = line.number;
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
