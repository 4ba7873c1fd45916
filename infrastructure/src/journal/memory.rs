//! What a process remembers of a tenant's streams.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use application::{journal::StreamRequest, loaded::Loaded};
use domain::recorded_event::StreamId;
use uuid::Uuid;

use super::Head;

/// How many streams of one tenant are remembered.
const STREAMS: usize = 1_024;
/// How much memory all streams of a process may take, in bytes by [`Loaded::bytes`].
const BUDGET: usize = 64 * 1024 * 1024;
/// How long what another process may have changed meanwhile is believed without a look at the journal.
const BELIEVED: Duration = Duration::from_secs(1);

/// How much memory all that a process remembers takes.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

/// Streams of one tenant, all as they were when its journal ended at `head`.
///
/// It may be behind another process, never ahead of the journal: only what is committed gets in. An append that expects
/// `head` and succeeds proves that it was not behind.
pub(super) struct Memory {
    budget: Arc<Budget>,
    head: Head,
    streams: HashMap<StreamId, Remembered>,
    bytes: usize,
    /// When `head` was last known to be the journal's.
    confirmed: Option<Instant>,
    uses: u64,
}

struct Remembered {
    loaded: Loaded,
    last_use: u64,
}

impl Memory {
    /// Nothing, yet.
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        let head = Head::BEGINNING;
        Self { budget, head, streams: HashMap::new(), bytes: 0, confirmed: None, uses: 0 }
    }

    /// Where the journal ended that this is known of.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Whether nothing is known, not even where the journal ends.
    pub(super) fn is_blank(&self) -> bool {
        self.head == Head::BEGINNING && self.confirmed.is_none()
    }

    /// The stream as it was at [`Self::head`].
    pub(super) fn get(&mut self, stream: &StreamId) -> Option<Loaded> {
        self.uses += 1;
        let remembered = self.streams.get_mut(stream)?;
        remembered.last_use = self.uses;
        Some(remembered.loaded.clone())
    }

    /// All of the streams, if all are remembered and may still be believed.
    pub(super) fn recall(&mut self, streams: &[StreamRequest]) -> Option<Vec<Loaded>> {
        let believed = self.confirmed.is_some_and(|confirmed| confirmed.elapsed() < BELIEVED);
        if !believed {
            return None;
        }
        streams.iter().map(|request| self.get(&request.stream)).collect()
    }

    /// Takes in what was read when the journal ended at `head`, not before `read_at`.
    pub(super) fn learn(&mut self, head: Head, read_at: Instant, loaded: impl IntoIterator<Item = Loaded>) {
        if head.position < self.head.position {
            return;
        }
        if head != self.head {
            // Somebody else has written: any stream may have changed.
            self.clear();
            self.head = head;
        }
        self.confirmed = self.confirmed.max(Some(read_at));
        loaded.into_iter().for_each(|loaded| self.insert(loaded));
    }

    /// Takes in that the journal ends at `head`, and which streams have changed since it ended at [`Self::head`]; `None`: any
    /// may have.
    pub(super) fn follow(&mut self, head: Head, changed: Option<&[Uuid]>) {
        if head != self.head {
            match changed {
                Some(changed) => self.retain(|stream, _| !changed.contains(&stream.id)),
                None => self.clear(),
            }
            self.head = head;
        }
        self.confirmed = Some(Instant::now());
    }

    /// Takes in the streams of a commit that went from `from` to `to`.
    pub(super) fn advance(&mut self, from: Head, to: Head, loaded: impl IntoIterator<Item = Loaded>) {
        if self.head != from && self.head != to {
            return;
        }
        self.head = to;
        self.confirmed = Some(Instant::now());
        loaded.into_iter().for_each(|loaded| self.insert(loaded));
    }

    /// Forgets everything, as after an append of which nobody knows whether it happened.
    pub(super) fn forget(&mut self) {
        self.clear();
        self.head = Head::BEGINNING;
        self.confirmed = None;
    }

    fn insert(&mut self, loaded: Loaded) {
        self.uses += 1;
        let (stream, bytes) = (loaded.stream().clone(), loaded.bytes());
        self.bytes += bytes;
        let before = self.streams.insert(stream, Remembered { loaded, last_use: self.uses });
        let freed = before.map_or(0, |before| before.loaded.bytes());
        self.bytes -= freed;
        self.budget.0.fetch_add(bytes, Ordering::Relaxed);
        let used = self.budget.0.fetch_sub(freed, Ordering::Relaxed) - freed;
        if self.streams.len() > STREAMS || used > BUDGET {
            self.forget_oldest();
        }
    }

    /// Keeps the half that was used last.
    fn forget_oldest(&mut self) {
        let mut uses: Vec<u64> = self.streams.values().map(|remembered| remembered.last_use).collect();
        let half = uses.len() / 2;
        let (_, median, _) = uses.select_nth_unstable(half);
        let oldest_kept = *median;
        self.retain(|_, remembered| remembered.last_use > oldest_kept);
    }

    fn retain(&mut self, keeps: impl Fn(&StreamId, &Remembered) -> bool) {
        self.streams.retain(|stream, remembered| keeps(stream, remembered));
        let kept: usize = self.streams.values().map(|remembered| remembered.loaded.bytes()).sum();
        self.budget.0.fetch_sub(self.bytes - kept, Ordering::Relaxed);
        self.bytes = kept;
    }

    fn clear(&mut self) {
        self.streams.clear();
        self.budget.0.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use application::journal::History;
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn head(position: u64) -> Head {
        Head { position, recorded_at: DateTime::UNIX_EPOCH }
    }

    fn stream() -> StreamId {
        StreamId { kind: "workspace".to_owned(), id: Uuid::now_v7() }
    }

    fn request(stream: &StreamId) -> [StreamRequest; 1] {
        [StreamRequest {
            stream: stream.clone(),
            snapshot_version: 1,
            reads_personal: false,
            reads: |_| true,
        }]
    }

    fn loaded(stream: &StreamId, sequence: u64) -> Loaded {
        History { stream: stream.clone(), sequence, snapshot: None, events: vec![] }.into()
    }

    fn memory() -> Memory {
        Memory::new(Arc::default())
    }

    #[test]
    fn what_was_known_before_a_foreign_write_is_forgotten() {
        let (mut memory, one, other) = (memory(), stream(), stream());
        memory.learn(head(5), Instant::now(), [loaded(&one, 1)]);
        assert_eq!(memory.recall(&request(&one)).unwrap()[0].sequence(), 1);
        memory.learn(head(6), Instant::now(), [loaded(&other, 1)]);
        assert!(memory.get(&one).is_none());
        assert!(memory.get(&other).is_some());
    }

    #[test]
    fn of_a_foreign_write_whose_streams_are_known_only_those_are_forgotten() {
        let (mut memory, one, other) = (memory(), stream(), stream());
        memory.learn(head(5), Instant::now(), [loaded(&one, 1), loaded(&other, 1)]);
        memory.follow(head(7), Some(&[other.id]));
        assert!(memory.recall(&request(&one)).is_some());
        assert!(memory.get(&other).is_none());
        assert_eq!((memory.head(), memory.budget.0.load(Ordering::Relaxed)), (head(7), memory.bytes));
        memory.follow(head(9), None);
        assert!(memory.get(&one).is_none());
    }

    #[test]
    fn an_old_reading_does_not_turn_it_back() {
        let (mut memory, stream) = (memory(), stream());
        memory.learn(head(5), Instant::now(), [loaded(&stream, 1)]);
        memory.advance(head(5), head(6), [loaded(&stream, 2)]);
        memory.learn(head(5), Instant::now(), [loaded(&stream, 1)]);
        assert_eq!(memory.get(&stream).unwrap().sequence(), 2);
        // A commit that others have followed meanwhile tells nothing of now.
        memory.learn(head(9), Instant::now(), []);
        memory.advance(head(6), head(7), [loaded(&stream, 3)]);
        assert!(memory.get(&stream).is_none());
        assert_eq!(memory.head(), head(9));
    }

    #[test]
    fn what_took_long_to_be_read_is_believed_for_as_much_less() {
        let (mut memory, stream) = (memory(), stream());
        let Some(long_ago) = Instant::now().checked_sub(2 * BELIEVED) else { return };
        memory.learn(head(5), long_ago, [loaded(&stream, 1)]);
        assert!(memory.recall(&request(&stream)).is_none());
        memory.learn(head(5), Instant::now(), []);
        memory.learn(head(5), long_ago, []);
        assert!(memory.recall(&request(&stream)).is_some());
    }

    #[test]
    fn nothing_is_recalled_after_a_failure() {
        let (mut memory, stream) = (memory(), stream());
        memory.learn(head(5), Instant::now(), [loaded(&stream, 1)]);
        memory.forget();
        assert!(memory.recall(&request(&stream)).is_none());
        assert!(memory.is_blank());
    }

    #[test]
    fn streams_are_bounded_in_number_and_the_newest_stay() {
        let budget = Arc::new(Budget::default());
        let mut memory = Memory::new(Arc::clone(&budget));
        let streams: Vec<_> = (0..STREAMS * 3).map(|_| stream()).collect();
        for stream in &streams {
            memory.learn(head(1), Instant::now(), [loaded(stream, 1)]);
            assert!(memory.streams.len() <= STREAMS);
        }
        assert!(memory.get(streams.last().unwrap()).is_some());
        assert_eq!(budget.0.load(Ordering::Relaxed), memory.bytes);
        drop(memory);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
