//! How a request is refused: RFC 9457 problem details.
//!
//! `type` is the relative reference `/problems/{code}` and `title` the code in words, so both stay the same for every
//! occurrence of a problem (RFC 9457, section 3.1). Programs should branch on `code`, which never changes its meaning.

use std::{error::Error as StdError, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use application::error::FieldError;
use domain::invalid::Invalid;
use serde::Serialize;

/// The media type of every refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request is refused. Handlers return it with `?`; [`edge`](super::edge) adds the request's id and logs the cause.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    data: Option<Box<serde_json::Value>>,
}

/// A problem as it is sent (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDetails {
    /// `/problems/` and the code.
    #[serde(rename = "type")]
    #[schema(example = "/problems/seat_limit_reached")]
    pub kind: String,
    /// The code in words.
    #[schema(example = "Seat limit reached")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 409)]
    pub status: u16,
    /// What is wrong this time, for people.
    pub detail: String,
    /// Which problem it is, for programs: stable, snake_case.
    #[schema(example = "seat_limit_reached")]
    pub code: &'static str,
    /// The id to quote when asking for help; also in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The fields at fault, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldDetails>,
    /// What the request came to all the same, where the route says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// One field at fault.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FieldProblem)]
pub struct FieldDetails {
    /// Where: a JSON Pointer (RFC 6901) into the body, or `?` and the name of a query parameter.
    #[schema(example = "/email")]
    pub pointer: String,
    /// What is wrong, for programs: stable, snake_case.
    #[schema(example = "invalid_email")]
    pub code: &'static str,
    /// What is wrong, for people.
    #[schema(example = "is not an e-mail address")]
    pub detail: String,
}

impl Problem {
    /// A problem with its status, its stable code and what to tell the caller.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
            data: None,
        }
    }

    /// The request can't be read (400); `code` says which part of it.
    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Fields of the body or the query break rules: all of them (422).
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => {
                format!("{} {}", if one.pointer.is_empty() { "the body" } else { &one.pointer }, one.invalid)
            }
            several => format!("{} fields break a rule; see errors", several.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail) }
    }

    /// One field breaks a rule (422).
    pub fn field(pointer: impl Into<String>, invalid: Invalid) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), invalid }])
    }

    /// There is no such thing, or not for this caller, or the id is none: the three can't be told apart (404).
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such resource")
    }

    /// No route has this path (404).
    pub fn unknown_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_route",
            "no route has this path; /openapi.json lists all routes",
        )
    }

    /// The path has routes, but none for this method (405).
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("this path takes {allowed}"))
            .header(header::ALLOW, allowed)
    }

    /// The body did not arrive in time (408).
    pub fn request_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body took too long to arrive")
    }

    /// The body has more than `limit` bytes, decompressed (413).
    pub fn payload_too_large(limit: usize) -> Self {
        let detail = format!("the body may have at most {limit} bytes, decompressed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    /// The body is in a format or an encoding that the route does not read (415).
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// A fault of ours (500). What it is stays in the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "something went wrong on our side",
            )
        }
    }

    /// A fault of ours that something else has already given a status in the 500s.
    pub(super) fn internal_as(status: StatusCode, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { status, ..Self::internal(cause) }
    }

    /// The problem that a bare status stands for: what actix-web and its middlewares refuse by themselves.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::unknown_route(),
            StatusCode::REQUEST_TIMEOUT => Self::request_timeout(),
            status if status.is_client_error() => {
                let code = match status {
                    StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
                    StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
                    _ => "bad_request",
                };
                let reason = status.canonical_reason().unwrap_or("bad request").to_lowercase();
                Self::new(status, code, format!("the request was refused: {reason}"))
            }
            status => Self::new(status, "internal_error", "something went wrong on our side"),
        }
    }

    /// The same problem with another response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl fmt::Display) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.headers.push((name, value));
        }
        self
    }

    /// The same problem with what caused it, for the log.
    #[must_use]
    pub(super) fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same problem with what the request came to all the same.
    #[must_use]
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok().map(Box::new);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Sets the headers that go with the problem.
    pub(super) fn set_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The body to send.
    pub(super) fn body(&self, request_id: Option<&str>) -> Vec<u8> {
        let details = ProblemDetails {
            kind: format!("/problems/{}", self.code),
            title: in_words(self.code),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            request_id: request_id.map(str::to_owned),
            errors: self.errors.iter().map(FieldDetails::from).collect(),
            data: self.data.as_deref().cloned(),
        };
        serde_json::to_vec(&details).unwrap_or_default()
    }

    /// Logs what the caller is not told, once.
    pub(super) fn log(&self) {
        let Some(cause) = &self.cause else { return };
        let mut chain = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            chain = format!("{chain}: {error}");
            source = error.source();
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::warn!(code = self.code, error = chain, "a dependency is away");
        } else {
            tracing::error!(code = self.code, error = chain, "the request failed");
        }
    }
}

fn in_words(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

impl From<&FieldError> for FieldDetails {
    fn from(error: &FieldError) -> Self {
        Self {
            pointer: error.pointer.clone(),
            code: error.invalid.code,
            detail: error.invalid.detail.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::new(self.status);
        self.set_headers(response.headers_mut());
        response.set_body(BoxBody::new(self.body(None)))
    }
}
