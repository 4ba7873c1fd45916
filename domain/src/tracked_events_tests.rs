use cqrs_es::test::TestFramework;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::*;
use crate::aggregate::{Facts, Now};

type Given = TestFramework<TrackedEvent>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn tracked(kind: TrackedKind, event: Option<&str>) -> EventTracked {
    let project_id = ProjectId::from(Uuid::from_u128(1));
    EventTracked {
        event_id: EventId::of_message(project_id, "m-1"),
        workspace_id: WorkspaceId::from(Uuid::from_u128(2)),
        project_id,
        message_id: "m-1".to_owned(),
        kind,
        event: event.map(str::to_owned),
        user_id: None,
        anonymous_id: None,
        group_id: None,
        previous_id: None,
        timestamp: "2026-03-01T11:59:00Z".parse().unwrap(),
        properties: None,
        traits: None,
        context: None,
    }
}

fn order() -> EventTracked {
    let json = |text: &str| RawJson::parse(RawValue::from_string(text.to_owned()).unwrap()).unwrap();
    EventTracked {
        user_id: Some("u-1".to_owned()),
        properties: Some(json(r#"{ "total": 1.10 }"#)),
        ..tracked(TrackedKind::Track, Some("Order Completed"))
    }
}

#[test]
fn a_message_is_tracked_once() {
    let track = || TrackedEventCommand::Track(order());
    given().given_no_previous_events().when(track()).then_expect_events(vec![order().into()]);
    given().given(vec![order().into()]).when(track()).then_expect_events(vec![]);
}

#[test]
fn the_first_message_of_an_id_stays() {
    let other = TrackedEventCommand::Track(tracked(TrackedKind::Page, None));
    given().given(vec![order().into()]).when(other).then_expect_events(vec![]);
}

#[test]
fn the_payload_has_what_was_sent_to_the_byte_and_nothing_else() {
    let event = TrackedEventEvent::from(order());
    let payload = event.encode().unwrap();
    assert_eq!(
        payload.get(),
        format!(
            concat!(
                r#"{{"event_id":"{}","workspace_id":"{}","project_id":"{}","message_id":"m-1","type":"track","#,
                r#""event":"Order Completed","user_id":"u-1","timestamp":"2026-03-01T11:59:00Z","#,
                r#""properties":{{ "total": 1.10 }}}}"#,
            ),
            order().event_id,
            order().workspace_id,
            order().project_id,
        )
    );
    assert_eq!(TrackedEventEvent::decode("EventTracked", 1, &payload).unwrap(), event);
}

#[test]
fn usage_is_grouped_by_what_was_done() {
    use TrackedKind::*;
    assert_eq!(tracked(Track, Some("Order Completed")).usage_name(), "Order Completed");
    for (kind, name) in [
        (Track, "track"),
        (Identify, "identify"),
        (Page, "page"),
        (Screen, "screen"),
        (Group, "group"),
        (Alias, "alias"),
    ] {
        assert_eq!(tracked(kind, None).usage_name(), name);
        assert_eq!(serde_json::to_value(kind).unwrap(), name);
    }
    assert_eq!(tracked(Page, Some("Home")).usage_name(), "page");
    assert_eq!(tracked(Screen, Some("Home")).usage_name(), "screen");
}
