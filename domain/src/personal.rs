//! What events say about people. It is sealed with a key of that person before it is recorded, so that it can be
//! forgotten without changing a byte of the journal: who is erased loses the key.
//!
//! Every field of every event that can hold a text is either declared where the event is, with whom it is about, or listed
//! in `golden/personal.rs`, a test, as being about nobody.

/// What is shown in place of what was erased.
pub const ERASED: &str = "[erased]";

/// What a sealed text begins with. `docs/journal-format.md` says what follows.
pub const SEALED: &str = "sealed:1:";

/// A field of an event that says something about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Personal {
    /// The field; it holds a text.
    pub field: &'static str,
    /// About whom.
    pub about: About,
}

/// Whom a field is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The user whose id another field of the same payload holds.
    User(&'static str),
    /// Whoever has the address that the field holds: an account or not, now or later.
    Address,
    /// Who caused the event, if that is a user.
    Actor,
}
