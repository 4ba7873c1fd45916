//! Taking events in. One bad event never fails its neighbours: each is parsed on its own, and what became of it is told.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::HeaderValue},
    post,
};
use application::{
    api_keys::KeyBearer,
    app::App,
    once::Commit,
    tracked_events::{self, Intake},
};
use domain::tracked_events::{EventTracked, TrackedKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::segment::{self, Delivery, Rejection};
use crate::{
    caller::Program,
    http::{
        answer::POSITION,
        payload::RawBody,
        problem::Problem,
        reply::{Answer, Reply},
    },
    once::Once,
};

/// The most events of a batch.
const MAX_EVENTS: usize = 2_500;
/// The most bytes of a batch, decompressed.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// The most bytes of a single event's request: the event's own limit, and room to say that it is over it.
const MAX_EVENT_BYTES: usize = 2 * segment::MAX_BYTES;

/// What is told of an event that the plan does not cover.
const QUOTA_EXCEEDED: &str = "the plan's events of this billing period are used up";

/// What became of the events.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Tracked {
    /// `true`: each event was looked at, and what became of it is in `data`.
    success: bool,
    data: TrackedData,
}

/// How many events met which fate.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TrackedData {
    /// New ones, which are kept.
    accepted: u64,
    /// Ones whose message id was there before.
    duplicates: u64,
    /// Ones that are not taken, each with its reason.
    rejected: Vec<RejectedEvent>,
}

/// An event that is not taken.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct RejectedEvent {
    /// Its place in the batch, from 0.
    index: usize,
    /// Its message id, if it could be read.
    message_id: Option<String>,
    /// Why, for programs: stable.
    code: &'static str,
    /// Why, for people.
    detail: String,
}

/// What became of the events, with the position that taking them in has reached.
struct Taken {
    tracked: Tracked,
    position: u64,
}

impl Answer for Taken {
    fn reply(&self) -> Result<Reply, Problem> {
        let position = (POSITION, HeaderValue::from(self.position));
        Reply::json(StatusCode::OK, vec![position], &self.tracked)
    }
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
    #[serde(rename = "sentAt")]
    sent_at: Option<String>,
}

/// Take in a batch of events: up to 2 500 of them and 4 MB.
///
/// The answer comes after the commit. A repeated `messageId` changes nothing, for good. If the plan covers none of the
/// events, the answer is 402, with the same `data`.
#[utoipa::path(tag = "tracking", request_body = Object, responses((status = 200, body = Tracked)),
    security(("basic" = []), ("bearer" = [])))]
#[post("/v1/batch")]
pub(super) async fn batch(
    once: Once,
    program: Program,
    body: RawBody<MAX_BATCH_BYTES>,
) -> Result<HttpResponse, Problem> {
    let Batch { batch, sent_at } = parse(&body.0, "an object with an array `batch`")?;
    let sent_at = match sent_at {
        Some(sent_at) => Some(
            segment::time("sentAt", &sent_at).map_err(|(code, detail)| Problem::malformed(code, detail))?,
        ),
        None => None,
    };
    take_in(once, program.0, &body.0, &batch, None, sent_at).await
}

/// Take in one event, or an array of them, each with its `type`.
#[utoipa::path(tag = "tracking", request_body = Object, responses((status = 200, body = Tracked)),
    security(("basic" = []), ("bearer" = [])))]
#[post("/v1/events")]
pub(super) async fn events(
    once: Once,
    program: Program,
    body: RawBody<MAX_BATCH_BYTES>,
) -> Result<HttpResponse, Problem> {
    let several: Vec<&RawValue> = match body.0.trim_ascii_start().first() {
        Some(b'[') => parse(&body.0, "an array of events")?,
        _ => vec![parse(&body.0, "an event")?],
    };
    take_in(once, program.0, &body.0, &several, None, None).await
}

/// Makes the route of one kind of event.
macro_rules! single {
    ($($route:ident = $path:literal, $kind:ident, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[utoipa::path(tag = "tracking", request_body = Object, responses((status = 200, body = Tracked)),
            security(("basic" = []), ("bearer" = [])))]
        #[post($path)]
        pub(super) async fn $route(
            once: Once,
            program: Program,
            body: RawBody<MAX_EVENT_BYTES>,
        ) -> Result<HttpResponse, Problem> {
            let event = parse(&body.0, "an event")?;
            take_in(once, program.0, &body.0, &[event], Some(TrackedKind::$kind), None).await
        }
    )*};
}

single! {
    track = "/v1/track", Track, "Somebody did something.";
    identify = "/v1/identify", Identify, "Who somebody is.";
    page = "/v1/page", Page, "Somebody saw a page.";
    screen = "/v1/screen", Screen, "Somebody saw a screen of an app.";
    group = "/v1/group", Group, "Somebody belongs to a group.";
    alias = "/v1/alias", Alias, "Somebody has another id.";
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::malformed(
            "invalid_utf8",
            format!("the body is not UTF-8 from byte {} on", error.valid_up_to()),
        )
    })?;
    serde_json::from_str(text)
        .map_err(|error| Problem::malformed("malformed_json", format!("the body must be {what}: {error}")))
}

async fn take_in(
    once: Once,
    program: KeyBearer,
    body: &[u8],
    raw: &[&RawValue],
    kind: Option<TrackedKind>,
    sent_at: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<HttpResponse, Problem> {
    if raw.len() > MAX_EVENTS {
        let detail = format!("a batch may have at most {MAX_EVENTS} events; this one has {}", raw.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", detail));
    }
    let KeyBearer { ctx, credential } = program;
    let delivery = Delivery {
        workspace: credential.workspace_id,
        project: credential.project_id,
        kind,
        received_at: ctx.now,
        sent_at,
    };
    let mut rejected = Vec::new();
    let (mut parsed, mut places): (Vec<EventTracked>, Vec<usize>) = (Vec::new(), Vec::new());
    for (index, raw) in raw.iter().enumerate() {
        match segment::parse(raw, &delivery) {
            Ok(event) => {
                parsed.push(event);
                places.push(index);
            }
            Err(Rejection { message_id, code, detail }) => {
                rejected.push(RejectedEvent { index, message_id, code, detail });
            }
        }
    }
    let parsed: Arc<[EventTracked]> = parsed.into();
    let run = async |app: &App| tracked_events::track(&ctx, app, Arc::clone(&parsed)).await;
    let (parsed, rejected) = (Arc::clone(&parsed), Arc::new(rejected));
    let told = move |intake: &Intake, commit: &Commit<'_>| {
        let over_quota = intake.over_quota.iter().map(|index| RejectedEvent {
            index: places[*index],
            message_id: Some(parsed[*index].message_id.clone()),
            code: "quota_exceeded",
            detail: QUOTA_EXCEEDED.to_owned(),
        });
        let mut rejected: Vec<_> = rejected.iter().cloned().chain(over_quota).collect();
        rejected.sort_unstable_by_key(|event| event.index);
        let Intake { accepted, duplicates, .. } = *intake;
        let data = TrackedData { accepted, duplicates, rejected };
        if accepted == 0 && duplicates == 0 && !intake.over_quota.is_empty() {
            let status = StatusCode::PAYMENT_REQUIRED;
            return Err(Problem::new(status, "quota_exceeded", QUOTA_EXCEEDED).data(&data));
        }
        Ok(Taken { tracked: Tracked { success: true, data }, position: commit.position() })
    };
    once.of(&ctx, body).answer(run, told).await
}
