//! Why commands have to decide again, or can't.

use std::sync::Arc;

use application::error::Error;

use crate::database::is_away;

/// Why commands must decide again.
pub(super) enum Setback {
    /// Another process has written, or a stream existed that was to be begun.
    Outrun,
    /// The database failed; it may have committed or not.
    Failed {
        /// How.
        failure: Failure,
        /// How many of the commands, from the first one on, it concerns.
        tried: usize,
    },
}

/// A failure of the database that several are told of.
#[derive(Clone)]
pub(super) struct Failure {
    away: bool,
    error: Arc<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    pub(super) fn of_database(error: Arc<sqlx::Error>) -> Self {
        Self { away: is_away(&error), error }
    }

    /// What each of them is told.
    pub(super) fn error(&self) -> Error {
        let error = Box::new(Arc::clone(&self.error));
        if self.away { Error::Unavailable(error) } else { Error::Internal(error) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(error) => Self { away: true, error: error.into() },
            Error::Internal(error) => Self { away: false, error: error.into() },
            other => Self { away: false, error: Arc::new(other) },
        }
    }
}

impl From<Error> for Setback {
    /// Before anything was decided: it concerns all that wait.
    fn from(error: Error) -> Self {
        Self::Failed { failure: error.into(), tried: usize::MAX }
    }
}
