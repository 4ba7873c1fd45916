//! Keys that were looked up a short while ago.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

/// How many of a kind.
const MOST: usize = 10_000;
/// How long one is believed: for so long another process may still read what was erased.
const BELIEVED: Duration = Duration::from_secs(10);

/// What is known under ids, bounded in number and in time.
pub(super) struct Cache<V>(HashMap<Uuid, (V, Instant)>);

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V: Clone> Cache<V> {
    pub(super) fn get(&self, id: &Uuid) -> Option<V> {
        let (value, since) = self.0.get(id)?;
        (since.elapsed() < BELIEVED).then(|| value.clone())
    }

    pub(super) fn insert(&mut self, id: Uuid, value: V) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (_, since)| since.elapsed() < BELIEVED);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(id, (value, Instant::now()));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
