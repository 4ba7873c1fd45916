//! Why a value could not be parsed.

/// A value that breaks a rule: a stable code for programs and a sentence for people.
///
/// The detail never repeats the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Invalid {
    /// Stable, snake_case.
    pub code: &'static str,
    /// What is wrong, as the end of a sentence that begins with the field's name.
    pub detail: String,
}

impl Invalid {
    /// A broken rule with its code and what to tell the caller.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}
