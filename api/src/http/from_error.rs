//! The one place where what a use case refuses becomes an HTTP status.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use application::error::Error;
use domain::aggregate::RefusalKind;

use super::{answer, problem::Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Refused { kind, code, detail } => refused(kind, code, detail),
            Error::Invalid(errors) => Self::invalid(errors),
            Error::RateLimited { retry_after } => {
                come_back(Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail), retry_after)
            }
            Error::PreconditionFailed => {
                Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
            }
            Error::VersionConflict | Error::SessionChanged => {
                Self::new(StatusCode::CONFLICT, "version_conflict", detail)
            }
            Error::Overloaded => {
                let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail);
                come_back(problem, Duration::from_secs(1))
            }
            Error::ReadModelBehind { seen, .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "read_model_behind", detail)
                    .header(answer::POSITION, seen)
            }
            Error::Unavailable(cause) => {
                let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
                come_back(problem, Duration::from_secs(5)).caused_by(cause)
            }
            Error::Internal(cause) => Self::internal(cause),
        }
    }
}

fn refused(kind: RefusalKind, code: &'static str, detail: String) -> Problem {
    match kind {
        // Whatever is unknown, and to whom: one body, so that nothing can be learned from it.
        RefusalKind::NotFound => Problem::not_found(),
        RefusalKind::Conflict => Problem::new(StatusCode::CONFLICT, code, detail),
        RefusalKind::Gone => Problem::new(StatusCode::GONE, code, detail),
        // RFC 9110, section 15.5.2: a 401 names a scheme that would do.
        RefusalKind::Unauthenticated => {
            Problem::new(StatusCode::UNAUTHORIZED, code, detail).header(header::WWW_AUTHENTICATE, "Bearer")
        }
        RefusalKind::Forbidden => Problem::new(StatusCode::FORBIDDEN, code, detail),
        RefusalKind::PlanLimit => Problem::new(StatusCode::PAYMENT_REQUIRED, code, detail),
        RefusalKind::Invalid => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail),
        RefusalKind::Locked => Problem::new(StatusCode::LOCKED, code, detail),
    }
}

/// `Retry-After` in whole seconds, rounded up: a client that comes back earlier is refused again.
fn come_back(problem: Problem, after: Duration) -> Problem {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    problem.header(header::RETRY_AFTER, seconds.max(1))
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, http::header::HeaderMap};
    use application::error::FieldError;
    use domain::invalid::Invalid;

    use super::*;
    use crate::http::problem::MEDIA_TYPE;

    fn sent(error: Error) -> (u16, serde_json::Value, HeaderMap) {
        let problem = Problem::from(error);
        let body = serde_json::from_slice(&problem.body(Some("req_1"))).unwrap();
        (problem.status_code().as_u16(), body, problem.error_response().headers().clone())
    }

    #[test]
    fn every_kind_of_refusal_has_its_status() {
        for (kind, status) in [
            (RefusalKind::NotFound, 404),
            (RefusalKind::Conflict, 409),
            (RefusalKind::Gone, 410),
            (RefusalKind::Unauthenticated, 401),
            (RefusalKind::Forbidden, 403),
            (RefusalKind::PlanLimit, 402),
            (RefusalKind::Invalid, 422),
            (RefusalKind::Locked, 423),
        ] {
            assert_eq!(sent(Error::refused(kind, "some_code", "so it is")).0, status);
        }
        let (_, body, headers) =
            sent(Error::refused(RefusalKind::PlanLimit, "seat_limit_reached", "the plan has 3 seats"));
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/problems/seat_limit_reached", "title": "Seat limit reached", "status": 402,
                "detail": "the plan has 3 seats", "code": "seat_limit_reached", "request_id": "req_1",
            })
        );
        assert_eq!(headers.get(header::CONTENT_TYPE).unwrap(), MEDIA_TYPE);
        let (_, _, headers) = sent(Error::refused(RefusalKind::Unauthenticated, "signed_out", "sign in"));
        assert_eq!(headers.get(header::WWW_AUTHENTICATE).unwrap(), "Bearer");
    }

    #[test]
    fn whatever_is_unknown_looks_the_same() {
        let one =
            sent(Error::refused(RefusalKind::NotFound, "invitation_unknown", "there is no such invitation"));
        let other = sent(Error::not_found());
        assert_eq!((one.0, one.1), (other.0, other.1));
    }

    #[test]
    fn every_invalid_field_is_named() {
        let error = Error::Invalid(vec![
            FieldError { pointer: "/email".into(), invalid: Invalid::new("required", "is missing") },
            FieldError { pointer: "/name".into(), invalid: Invalid::new("too_long", "is too long") },
        ]);
        let (status, body, _) = sent(error);
        assert_eq!((status, &body["code"]), (422, &"validation_failed".into()));
        assert_eq!(
            body["errors"],
            serde_json::json!([
                {"pointer": "/email", "code": "required", "detail": "is missing"},
                {"pointer": "/name", "code": "too_long", "detail": "is too long"},
            ])
        );
    }

    #[test]
    fn what_will_pass_says_when_to_come_back() {
        let retry_after = Duration::from_millis(1_200);
        for (error, status, code, seconds) in [
            (Error::RateLimited { retry_after }, 429, "rate_limited", "2"),
            (Error::RateLimited { retry_after: Duration::ZERO }, 429, "rate_limited", "1"),
            (Error::Overloaded, 503, "overloaded", "1"),
            (Error::Unavailable("no route to host".into()), 503, "unavailable", "5"),
        ] {
            let (sent_status, body, headers) = sent(error);
            assert_eq!((sent_status, body["code"].as_str().unwrap()), (status, code));
            assert_eq!(headers.get(header::RETRY_AFTER).unwrap(), seconds);
        }
        assert_eq!(sent(Error::VersionConflict).1["code"], "version_conflict");
        assert_eq!(sent(Error::PreconditionFailed).0, 412);
        let (status, body, headers) = sent(Error::ReadModelBehind { seen: 7, wanted: 9 });
        assert_eq!((status, &body["code"]), (504, &"read_model_behind".into()));
        assert_eq!(headers.get("annals-position").unwrap(), "7");
    }

    #[test]
    fn internals_are_never_shown() {
        for error in [Error::internal("password=hunter2"), Error::Unavailable("password=hunter2".into())] {
            let (_, body, headers) = sent(error);
            assert!(!body.to_string().contains("hunter2"), "{body}");
            assert!(!format!("{headers:?}").contains("hunter2"));
        }
    }
}
