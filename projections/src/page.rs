//! Pages of a list.

/// Which part of a list is asked for: `limit` items after the one with key `after`.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<K> {
    /// The last key of the page before; `None`: from the start.
    pub after: Option<K>,
    /// How many items at most.
    pub limit: u32,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T, K> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where the next page starts; `None`: this was the last.
    pub next: Option<K>,
    /// The position of the journal that the list has seen.
    pub position: u64,
}

impl<K> PageRequest<K> {
    /// One more than is asked for, which tells whether there is a next page.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page made of rows that were fetched with [`Self::fetch`] as the limit.
    pub(crate) fn page<T>(&self, mut items: Vec<T>, position: u64, key: impl Fn(&T) -> K) -> Page<T, K> {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let next = if more { items.last().map(key) } else { None };
        Page { items, next, position }
    }
}
