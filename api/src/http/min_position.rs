//! `?min_position=`: the position that a read must have seen, so that callers read their own writes.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use domain::invalid::Invalid;
use utoipa::openapi::{RefOr, path::Parameter, schema::Schema};

use super::{
    findings::Findings,
    problem::Problem,
    query::{FromParameter, FromQuery, Parameters, Query, parameter},
};

/// The position that the answer must have seen; 0 if none was asked for. Also a type for fields of a `query!`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinPosition(pub u64);

impl FromParameter for MinPosition {
    const REQUIRED: bool = false;

    fn from_texts(texts: &[&str]) -> Result<Self, Invalid> {
        let position = Option::<u64>::from_texts(texts)?.unwrap_or_default();
        // A position is a bigint in PostgreSQL.
        if i64::try_from(position).is_err() {
            return Err(Invalid::new("out_of_range", format!("must be between 0 and {}", i64::MAX)));
        }
        Ok(Self(position))
    }

    fn schema() -> RefOr<Schema> {
        <u64 as FromParameter>::schema()
    }
}

impl FromQuery for MinPosition {
    const NAMES: &'static [&'static str] = &["min_position"];

    fn from_query(given: &Parameters, findings: &mut Findings) -> Option<Self> {
        given.read("min_position", findings)
    }

    fn parameters() -> Vec<Parameter> {
        let description = "Wait until the answer has seen this position of the journal, as a write's `Annals-Position` \
                           told it: 5 seconds at most, then 504 `read_model_behind`.";
        vec![parameter::<Self>("min_position", description)]
    }
}

/// For `params(MinPosition)`.
impl utoipa::IntoParams for MinPosition {
    fn into_params(_: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>) -> Vec<Parameter> {
        Self::parameters()
    }
}

impl FromRequest for MinPosition {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Query::<Self>::from_request(request, payload).into_inner().map(|query| query.0))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn it_is_a_position_or_a_fault() {
        let read = |query: &str| {
            let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
            MinPosition::extract(&request)
                .into_inner()
                .map(|position| position.0)
                .map_err(|problem| problem.to_string())
        };
        assert_eq!(read(""), Ok(0));
        assert_eq!(read("min_position=7"), Ok(7));
        for wrong in ["-1", "x", "", "1.5", "9223372036854775808", "1&min_position=2"] {
            let told = read(&format!("min_position={wrong}")).unwrap_err();
            assert!(told.starts_with("validation_failed: ?min_position "), "{told}");
        }
    }
}
