//! Figures about requests, in Prometheus' text format at `/metrics`.

use std::time::Duration;

use actix_web::{
    HttpResponse, get,
    http::{Method, StatusCode},
    web,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Seconds; the aims of the design (10 ms to some seconds) lie between two of them each.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The figures of this process.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts to collect what the `metrics` macros tell, anywhere in the process. Once per process.
    pub fn install() -> Result<Self, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?
            .install_recorder()?;
        ::metrics::describe_counter!("http_requests_total", "Requests answered.");
        ::metrics::describe_histogram!(
            "http_request_duration_seconds",
            "From a request's head to its answer's head."
        );
        Ok(Self(handle))
    }

    /// All figures, as Prometheus reads them.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Sums up what was measured since the last time; without it, memory grows as long as nobody asks for the figures.
    pub async fn keep_up(self) {
        let mut interval = tokio::time::interval(Duration::from_secs(5));
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// Counts an answer. `route` is the route's pattern, so that ids make no new series.
pub fn record(method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
    let labels = [
        ("method", method_name(method).to_owned()),
        ("route", route.to_owned()),
        ("status", format!("{}xx", status.as_u16() / 100)),
    ];
    ::metrics::counter!("http_requests_total", &labels).increment(1);
    ::metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
}

/// A client may make up methods, but no series.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// Figures about this process, for Prometheus.
#[utoipa::path(
    tag = "operations",
    security(()),
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"))
)]
#[get("/metrics")]
pub(crate) async fn prometheus(metrics: web::Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics.render())
}
