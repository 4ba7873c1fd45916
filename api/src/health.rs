//! Whether a process is alive, and whether it can do its work.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, get, http::StatusCode, web};
use chrono::Utc;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::annals::Annals;

/// How far behind the slowest projection may be before the process says so, in seconds.
const LAG_SECONDS: f64 = 60.0;
/// How long what was found out about projections is told again.
const REMEMBERED: Duration = Duration::from_secs(2);

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(live).service(ready);
}

/// Each dependency's state.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// `ok`, or `unavailable` if requests can't be served.
    status: &'static str,
    /// `ok` or `unavailable`.
    database: &'static str,
    /// `ok`, `unavailable`, or `embedded` if there is none.
    redis: &'static str,
    /// `ok`, `behind`, `failing` or `unknown`. Requests are served all the same.
    projections: &'static str,
}

/// The process answers.
#[utoipa::path(tag = "operations", security(()), responses((status = 200)))]
#[get("/health/live")]
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"status": "ok"}))
}

/// What the process stands on answers, too.
#[utoipa::path(
    tag = "operations",
    security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
#[get("/health/ready")]
async fn ready(annals: web::Data<Annals>) -> HttpResponse {
    let database = annals.database.ping().await.is_ok();
    let redis = match &annals.redis {
        None => "embedded",
        Some(redis) if redis.ping().await.is_ok() => "ok",
        Some(_) => "unavailable",
    };
    let ok = database && redis != "unavailable";
    let readiness = Readiness {
        status: if ok { "ok" } else { "unavailable" },
        database: if database { "ok" } else { "unavailable" },
        redis,
        projections: if database { projections(&annals).await } else { "unknown" },
    };
    HttpResponse::build(if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }).json(readiness)
}

/// Looked up at most every few seconds: it takes a look at every tenant, and anybody may ask.
async fn projections(annals: &Annals) -> &'static str {
    static LAST: Mutex<Option<(Instant, &'static str)>> = Mutex::const_new(None);
    let mut last = LAST.lock().await;
    match *last {
        Some((at, state)) if at.elapsed() < REMEMBERED => state,
        _ => {
            let state = look_at_projections(annals).await;
            *last = Some((Instant::now(), state));
            state
        }
    }
}

async fn look_at_projections(annals: &Annals) -> &'static str {
    match projections::lag::by_projection(&annals.database, Utc::now()).await {
        Err(_) => "unknown",
        Ok(lags) if lags.iter().any(|lag| lag.tenants_failing > 0) => "failing",
        Ok(lags) if lags.iter().any(|lag| lag.lag_seconds > LAG_SECONDS) => "behind",
        Ok(_) => "ok",
    }
}
