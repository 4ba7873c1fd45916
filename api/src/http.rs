//! What every route stands on. Nothing here knows a feature.
//!
//! In reading order:

// How a request is refused.
mod from_error;
pub mod problem;

// What comes in: path, query, body, conditions.
pub mod body;
pub mod cursor;
pub mod etag;
pub mod fields;
pub mod findings;
pub mod from_json;
pub mod from_text;
pub mod idempotency_key;
pub mod json_text;
pub mod listing;
pub mod min_position;
pub mod path;
pub mod payload;
pub mod query;
pub mod request_id;

// What goes out.
pub mod answer;
pub mod rate_limit;
pub mod reply;
pub mod security_headers;

// What is around every handler.
pub mod edge;
pub mod metrics;
pub mod request_span;
pub mod unknown_route;

// How it is put together.
pub mod openapi;
pub mod server;

// What a feature could look like, for the tests.
#[cfg(test)]
mod example;
