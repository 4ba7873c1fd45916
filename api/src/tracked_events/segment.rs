//! One event in Segment's format (<https://segment.com/docs/connections/spec/common/>), parsed.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use domain::{
    ids::{EventId, ProjectId, WorkspaceId},
    raw_json::RawJson,
    tracked_events::{EventTracked, TrackedKind},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The most bytes that an event may have, as Segment limits it.
pub(super) const MAX_BYTES: usize = 32 * 1024;
/// How far ahead of our clock a timestamp may be: clients' clocks are wrong by minutes, not by days.
const MAX_AHEAD: TimeDelta = TimeDelta::hours(1);
/// The most characters of a name or an id.
const MAX_CHARACTERS: usize = 255;

/// What the events of one request have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Whose data it is.
    pub(super) workspace: WorkspaceId,
    /// Whose data it is.
    pub(super) project: ProjectId,
    /// What kind of event the route takes; `None`: each says so itself.
    pub(super) kind: Option<TrackedKind>,
    /// When the request came.
    pub(super) received_at: DateTime<Utc>,
    /// When the client says that it sent it, by its own clock.
    pub(super) sent_at: Option<DateTime<Utc>>,
}

/// An event that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    /// The event's message id, as far as it could be read.
    pub(super) message_id: Option<String>,
    /// Why, for programs.
    pub(super) code: &'static str,
    /// Why, for people.
    pub(super) detail: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    user_id: Option<Id>,
    anonymous_id: Option<Id>,
    group_id: Option<Id>,
    previous_id: Option<Id>,
    message_id: Option<String>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    original_timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sent_at: Option<Cow<'a, str>>,
    properties: Option<Box<RawValue>>,
    traits: Option<Box<RawValue>>,
    context: Option<Box<RawValue>>,
}

/// An id: a text, or a number, which clients send too.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an id must be a text or a number")]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

/// The event that `raw` is, or why it is not taken.
pub(super) fn parse(raw: &RawValue, delivery: &Delivery) -> Result<EventTracked, Rejection> {
    if raw.get().len() > MAX_BYTES {
        let detail = format!("an event may have at most {MAX_BYTES} bytes");
        return Err(Rejection { message_id: message_id_of(raw), code: "event_too_large", detail });
    }
    if !raw.get().starts_with('{') {
        let detail = "an event must be an object".to_owned();
        return Err(Rejection { message_id: None, code: "malformed_event", detail });
    }
    let mut message: Message<'_> = serde_json::from_str(raw.get()).map_err(|error| Rejection {
        message_id: message_id_of(raw),
        code: "malformed_event",
        detail: without_place(&error),
    })?;
    let message_id = message.message_id.take().filter(|id| !id.is_empty());
    event(message, raw, message_id.as_deref(), delivery).map_err(|(code, detail)| Rejection {
        // What can't be stored or is endless can't be repeated either.
        message_id: message_id.filter(|id| check("messageId", id).is_ok()),
        code,
        detail,
    })
}

type Reason = (&'static str, String);

fn event(
    message: Message<'_>,
    raw: &RawValue,
    message_id: Option<&str>,
    delivery: &Delivery,
) -> Result<EventTracked, Reason> {
    let kind = kind(message.kind.as_deref(), delivery.kind)?;
    let name = if kind == TrackedKind::Track { message.event } else { message.name };
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if kind == TrackedKind::Track && name.is_none() {
        return Err(("missing_event_name", "a track event needs a name in `event`".to_owned()));
    }
    let user_id = id(message.user_id);
    let anonymous_id = id(message.anonymous_id);
    let group_id = id(message.group_id);
    let previous_id = id(message.previous_id);
    if user_id.is_none() && anonymous_id.is_none() {
        return Err(("missing_user", "an event needs a userId or an anonymousId".to_owned()));
    }
    if kind == TrackedKind::Group && group_id.is_none() {
        return Err(("missing_group", "a group event needs a groupId".to_owned()));
    }
    if kind == TrackedKind::Alias && previous_id.is_none() {
        return Err(("missing_previous_id", "an alias event needs a previousId".to_owned()));
    }
    let texts = [
        ("event", &name),
        ("userId", &user_id),
        ("anonymousId", &anonymous_id),
        ("groupId", &group_id),
        ("previousId", &previous_id),
    ];
    for (field, text) in texts {
        text.as_deref().map_or(Ok(()), |text| check(field, text))?;
    }
    let message_id = match message_id {
        Some(message_id) => check("messageId", message_id).map(|()| message_id.to_owned())?,
        None => derived_message_id(raw),
    };
    let own_time = message.timestamp.or(message.original_timestamp);
    let timestamp = timestamp(own_time.as_deref(), message.sent_at.as_deref(), delivery)?;
    Ok(EventTracked {
        event_id: EventId::of_message(delivery.project, &message_id),
        workspace_id: delivery.workspace,
        project_id: delivery.project,
        message_id,
        kind,
        event: name,
        user_id,
        anonymous_id,
        group_id,
        previous_id,
        timestamp,
        properties: object("properties", message.properties)?,
        traits: object("traits", message.traits)?,
        context: object("context", message.context)?,
    })
}

fn kind(own: Option<&str>, of_route: Option<TrackedKind>) -> Result<TrackedKind, Reason> {
    let own = match own {
        None => None,
        Some("track") => Some(TrackedKind::Track),
        Some("identify") => Some(TrackedKind::Identify),
        Some("page") => Some(TrackedKind::Page),
        Some("screen") => Some(TrackedKind::Screen),
        Some("group") => Some(TrackedKind::Group),
        Some("alias") => Some(TrackedKind::Alias),
        Some(_) => {
            let kinds = "type must be track, identify, page, screen, group or alias";
            return Err(("unknown_type", kinds.to_owned()));
        }
    };
    match (own, of_route) {
        (Some(own), Some(of_route)) if own != of_route => {
            Err(("wrong_type", format!("this route takes {} events", of_route.as_str())))
        }
        (own, of_route) => {
            own.or(of_route).ok_or_else(|| ("missing_type", "the event has no type".to_owned()))
        }
    }
}

fn id(id: Option<Id>) -> Option<String> {
    match id? {
        Id::Text(text) => Some(text).filter(|text| !text.is_empty()),
        Id::Number(number) => Some(number.to_string()),
    }
}

fn check(field: &str, text: &str) -> Result<(), Reason> {
    if text.contains('\0') {
        return Err(("nul_character", format!("{field} contains a NUL character, which can't be stored")));
    }
    if text.chars().count() > MAX_CHARACTERS {
        return Err(("text_too_long", format!("{field} may have at most {MAX_CHARACTERS} characters")));
    }
    Ok(())
}

/// When it happened, by our clock: the difference between the client's `sentAt` and our receipt is taken to be the
/// error of its clock (<https://segment.com/docs/connections/spec/common/#timestamps>).
fn timestamp(own: Option<&str>, sent_at: Option<&str>, delivery: &Delivery) -> Result<DateTime<Utc>, Reason> {
    let Some(own) = own else { return Ok(delivery.received_at) };
    let own = time("timestamp", own)?;
    let sent_at = match sent_at {
        Some(sent_at) => Some(time("sentAt", sent_at)?),
        None => delivery.sent_at,
    };
    let corrected = match sent_at {
        Some(sent_at) => delivery.received_at.checked_sub_signed(sent_at.signed_duration_since(own)),
        None => Some(own),
    };
    let corrected = corrected.filter(|time| (1900..=9999).contains(&time.year()));
    let corrected = corrected.ok_or_else(|| {
        ("timestamp_out_of_range", "timestamp must be in the years from 1900 on".to_owned())
    })?;
    if corrected > delivery.received_at + MAX_AHEAD {
        return Err(("timestamp_in_future", "timestamp is more than an hour ahead".to_owned()));
    }
    Ok(corrected)
}

/// An RFC 3339 time, as every client library sends it.
pub(super) fn time(field: &str, text: &str) -> Result<DateTime<Utc>, Reason> {
    let parsed = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    parsed.map_err(|_| {
        ("invalid_timestamp", format!("{field} is not an RFC 3339 time such as 2026-01-31T12:00:00Z"))
    })
}

fn object(field: &str, raw: Option<Box<RawValue>>) -> Result<Option<RawJson>, Reason> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(None) };
    if !raw.get().starts_with('{') {
        return Err(("wrong_type", format!("{field} must be an object")));
    }
    RawJson::parse(raw)
        .map(Some)
        .map_err(|error| ("invalid_json", format!("{field}: {}", without_place(&error))))
}

/// The same content is the same message.
fn derived_message_id(raw: &RawValue) -> String {
    let hash = Sha256::digest(raw.get());
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("content-{hex}")
}

/// The message id of an event that could not be read as a whole, so that its sender can find it.
fn message_id_of(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlyId {
        #[serde(rename = "messageId")]
        message_id: Option<String>,
    }
    let message_id = serde_json::from_str::<OnlyId>(raw.get()).ok()?.message_id?;
    check("messageId", &message_id).ok().map(|()| message_id)
}

/// What serde says, without line and column, which count within the event and not within the request.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
