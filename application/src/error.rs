//! Why a use case did not do what it was asked.

use std::time::Duration;

use domain::{
    aggregate::{Refusal, RefusalKind},
    invalid::Invalid,
};

/// Why a use case did not do what it was asked. The edge maps each variant to one HTTP status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules refuse: an aggregate's reason, or a missing permission.
    #[error("{detail}")]
    Refused {
        /// The kind of no.
        kind: RefusalKind,
        /// Stable, snake_case.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// Fields break rules; all of them at once.
    #[error("{} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    /// Too many attempts; worth trying again after the given time.
    #[error("too many attempts")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The thing is not in a version in which the caller wants the change.
    #[error("it has changed since the version that was expected")]
    PreconditionFailed,
    /// Other writers were faster, more often than is worth waiting for.
    #[error("the state has changed meanwhile; try again")]
    VersionConflict,
    /// Something has happened to the session that the command came in. It is looked at again before anybody is told.
    #[error("the session has changed meanwhile; try again")]
    SessionChanged,
    /// More commands wait for this tenant than its queue holds.
    #[error("too many commands are waiting for this tenant; try again")]
    Overloaded,
    /// A read model has not yet seen the position that the caller asked for.
    #[error("the read model has seen position {seen}, not yet {wanted}")]
    ReadModelBehind {
        /// The position that it has seen.
        seen: u64,
        /// The position that was asked for.
        wanted: u64,
    },
    /// The database is away or too slow to answer.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A fault of ours. What it is stays in the log.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as a JSON Pointer (RFC 6901) into the request's body.
    pub pointer: String,
    /// What is wrong with it.
    pub invalid: Invalid,
}

impl Error {
    /// One field breaks a rule.
    pub fn field(pointer: impl Into<String>, invalid: Invalid) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), invalid }])
    }

    /// There is no such thing, or not for this caller: the two can't be told apart.
    pub fn not_found() -> Self {
        Self::refused(RefusalKind::NotFound, "not_found", "there is no such resource")
    }

    /// A refusal that no aggregate decides.
    pub fn refused(kind: RefusalKind, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { kind, code, detail: detail.into() }
    }

    /// A fault of ours.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }
}

impl<R: Refusal> From<R> for Error {
    fn from(reason: R) -> Self {
        Self::Refused { kind: reason.kind(), code: reason.code(), detail: reason.to_string() }
    }
}
