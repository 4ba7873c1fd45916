//! Errors for operators to read.

use std::error::Error;

/// An error with what caused it, in one line. Callers of the API never see it.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let detail = error.to_string();
        // Some errors repeat their cause themselves.
        if !text.ends_with(&detail) {
            text.push_str(": ");
            text.push_str(&detail);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use application::{error, mail::MailError};

    use super::*;

    #[test]
    fn every_cause_is_told_once() {
        let error = error::Error::internal(MailError("connection refused".into()));
        assert_eq!(
            with_causes(&error),
            "internal error: the mail could not be handed over: connection refused"
        );
    }
}
