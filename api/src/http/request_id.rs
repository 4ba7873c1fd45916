//! The id that names a request in its answer, in the logs and in the journal.

use std::{
    fmt,
    future::{Ready, ready},
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};

use super::problem::Problem;

/// Where the id is, in requests and in answers.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: the caller's own, if it has 1 to 128 visible ASCII characters, else a new `req_…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The id that the request brings, or a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut brought = headers.get_all(HEADER);
        match (brought.next().and_then(|id| id.to_str().ok()), brought.next()) {
            (Some(id), None)
                if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Self(id.to_owned())
            }
            _ => Self(domain::ids::RequestId::random().to_string()),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The header that tells it.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = request.extensions().get::<Self>().cloned();
        ready(Ok(known.unwrap_or_else(|| Self::of(request.headers()))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_harmless_ids_are_taken_over() {
        for (brought, taken) in [
            ("a", true),
            ("7f1c-{}~!", true),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
            ("", false),
            ("two words", false),
            ("é", false),
        ] {
            let request = TestRequest::default().insert_header((HEADER, brought)).to_http_request();
            let id = RequestId::of(request.headers());
            assert_eq!(id.as_str() == brought, taken, "{brought}");
            assert!(taken || id.as_str().starts_with("req_"));
        }
        let twice = TestRequest::default()
            .append_header((HEADER, "a"))
            .append_header((HEADER, "b"))
            .to_http_request();
        assert!(RequestId::of(twice.headers()).as_str().starts_with("req_"));
    }
}
