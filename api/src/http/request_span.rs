//! What the logs say about a request: one span around it, one line at its end. Neither has a body, a query string, a
//! cookie or an `Authorization` header: they carry secrets.
//!
//! Why not tracing-actix-web: its span always has the whole target (tokens in query strings included), its ids are its
//! own and not the caller's, and it logs every refusal with all its details.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    http::{Method, StatusCode},
};
use domain::ids::TenantId;
use tracing::{Span, field::Empty};

use super::request_id::RequestId;

/// The span of the request that is being served; in the request's extensions.
#[derive(Clone, Debug)]
pub struct RequestSpan(pub Span);

impl RequestSpan {
    /// A span for a request to the route with this pattern.
    pub fn new(id: &RequestId, method: &Method, route: &str) -> Self {
        Self(tracing::info_span!(
            "request",
            request_id = %id,
            method = %method,
            route,
            tenant_id = Empty,
            status = Empty,
            latency_ms = Empty,
        ))
    }

    /// Says how the request ended.
    pub fn finish(&self, status: StatusCode, elapsed: Duration) {
        self.0.record("status", status.as_u16());
        self.0.record("latency_ms", elapsed.as_secs_f64() * 1e3);
        self.0.in_scope(|| tracing::info!("answered"));
    }
}

/// Notes the tenant that a request is about.
pub fn record_tenant(request: &HttpRequest, tenant: TenantId) {
    if let Some(RequestSpan(span)) = request.extensions().get() {
        span.record("tenant_id", tracing::field::display(tenant));
    }
}
