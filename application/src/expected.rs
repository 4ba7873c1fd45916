//! Changing a thing only in a version that the caller has seen.

/// The versions (sequences of a stream) in which a change is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever the version is.
    #[default]
    Any,
    /// One of these.
    OneOf(Vec<u64>),
}

impl Expected {
    /// Whether a thing at `sequence` may be changed.
    pub fn allows(&self, sequence: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(sequences) => sequences.contains(&sequence),
        }
    }
}
