use domain::{ids::WorkspaceId, tracked_events::TrackedKind};

use super::*;
use crate::story::{Story, rows, time};

/// Tells of a `track` message.
pub(crate) fn track(story: &mut Story, project_id: ProjectId, event: &str, timestamp: &str) {
    let mut tracked = tracked(project_id, TrackedKind::Track, timestamp);
    tracked.event = Some(event.to_owned());
    story.tell("tracked_event", tracked.event_id, tracked);
}

/// A message of a kind, with what every kind has.
pub(crate) fn tracked(project_id: ProjectId, kind: TrackedKind, timestamp: &str) -> EventTracked {
    EventTracked {
        event_id: EventId::random(),
        workspace_id: WorkspaceId::random(),
        project_id,
        message_id: "m-1".to_owned(),
        kind,
        event: None,
        user_id: None,
        anonymous_id: None,
        group_id: None,
        previous_id: None,
        timestamp: time(timestamp),
        properties: None,
        traits: None,
        context: None,
    }
}

#[test]
fn each_event_is_a_row_at_its_position() {
    let mut story = Story::new();
    let project = ProjectId::random();
    track(&mut story, project, "Order Completed", "1997-02-01T10:20:30Z");
    let identify = EventTracked {
        user_id: Some("u-1".to_owned()),
        ..tracked(project, TrackedKind::Identify, "1997-02-01T11:00:00Z")
    };
    story.tell("tracked_event", identify.event_id, identify);
    let rows = rows::<TrackedEvents>(&story);
    assert_eq!((rows[&1].kind, rows[&1].event.as_deref()), ("track", Some("Order Completed")));
    assert_eq!((rows[&2].kind, rows[&2].user_id.as_deref()), ("identify", Some("u-1")));
    assert_eq!(rows[&1].timestamp, time("1997-02-01T10:20:30Z"));
}

#[test]
fn texts_and_times_that_an_index_can_not_hold_are_made_to_fit() {
    assert_eq!(indexed("a\0b"), "a\u{fffd}b");
    assert_eq!(indexed(&"ä".repeat(5_000)).chars().count(), INDEXED_CHARACTERS);
    assert_eq!(indexed_time(DateTime::<Utc>::MIN_UTC), time("0001-01-01T00:00:00Z"));
}

#[test]
fn what_was_sent_is_shown_as_it_was_sent() {
    let raw = |text: &str| serde_json::from_str(text).unwrap();
    let sent = EventTracked {
        properties: Some(raw(r#"{"total": 1.10, "b": 1}"#)),
        ..tracked(ProjectId::random(), TrackedKind::Track, "1997-02-01T10:20:30Z")
    };
    let payload = serde_json::value::to_raw_value(&sent).unwrap();
    let item = item(7, time("2026-01-01T00:00:00Z"), &payload).unwrap();
    let shown = serde_json::to_string(&item).unwrap();
    assert!(shown.contains(r#""properties":{"total": 1.10, "b": 1}"#), "{shown}");
    assert!(shown.contains(r#""type":"track""#), "{shown}");
    assert!(shown.contains(r#""position":7"#), "{shown}");
}
