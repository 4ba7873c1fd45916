use super::*;

fn delivery() -> Delivery {
    Delivery {
        workspace: WorkspaceId::random(),
        project: ProjectId::random(),
        kind: None,
        received_at: "2026-05-01T12:00:00Z".parse().unwrap(),
        sent_at: None,
    }
}

fn parsed(text: &str) -> Result<EventTracked, Rejection> {
    parse(&RawValue::from_string(text.to_owned()).unwrap(), &delivery())
}

fn code(text: &str) -> &'static str {
    parsed(text).unwrap_err().code
}

#[test]
fn a_track_event_is_taken_as_it_is() {
    let event = parsed(
        r#"{"type":"track","event":" Order Completed ","userId":7,"messageId":"m1","timestamp":"1997-02-01T12:00:00Z",
            "properties":{"revenue":11.770},"unknown":[1]}"#,
    )
    .unwrap();
    assert_eq!(event.event.as_deref(), Some("Order Completed"));
    assert_eq!(event.user_id.as_deref(), Some("7"));
    assert_eq!(event.timestamp.to_rfc3339(), "1997-02-01T12:00:00+00:00");
    assert_eq!(event.properties.unwrap().get(), r#"{"revenue":11.770}"#);
}

#[test]
fn every_fault_has_its_code() {
    for (text, expected) in [
        ("7", "malformed_event"),
        ("null", "malformed_event"),
        (r#"{"type":"track","type":"track"}"#, "malformed_event"),
        (r#"{"type":7}"#, "malformed_event"),
        ("{}", "missing_type"),
        (r#"{"type":"click"}"#, "unknown_type"),
        (r#"{"type":"track","userId":"u"}"#, "missing_event_name"),
        (r#"{"type":"track","event":" ","userId":"u"}"#, "missing_event_name"),
        (r#"{"type":"track","event":"e"}"#, "missing_user"),
        (r#"{"type":"track","event":"e","userId":""}"#, "missing_user"),
        (r#"{"type":"group","userId":"u"}"#, "missing_group"),
        (r#"{"type":"alias","userId":"u"}"#, "missing_previous_id"),
        (r#"{"type":"track","event":"e","userId":"a\u0000b"}"#, "nul_character"),
        (r#"{"type":"track","event":"e","userId":"u","properties":{"a":"\u0000"}}"#, "invalid_json"),
        (r#"{"type":"track","event":"e","userId":"u","properties":{"a":1,"a":2}}"#, "invalid_json"),
        (r#"{"type":"track","event":"e","userId":"u","properties":[1]}"#, "wrong_type"),
        (r#"{"type":"track","event":"e","userId":"u","timestamp":"yesterday"}"#, "invalid_timestamp"),
        (
            r#"{"type":"track","event":"e","userId":"u","timestamp":"0001-01-01T00:00:00Z"}"#,
            "timestamp_out_of_range",
        ),
        (
            r#"{"type":"track","event":"e","userId":"u","timestamp":"2026-05-01T13:00:01Z"}"#,
            "timestamp_in_future",
        ),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
    let long = "x".repeat(MAX_CHARACTERS + 1);
    assert_eq!(code(&format!(r#"{{"type":"track","event":"{long}","userId":"u"}}"#)), "text_too_long");
    let large = "x".repeat(MAX_BYTES);
    let rejection = parsed(&format!(r#"{{"messageId":"m","properties":{{"a":"{large}"}}}}"#)).unwrap_err();
    assert_eq!((rejection.code, rejection.message_id.as_deref()), ("event_too_large", Some("m")));
}

#[test]
fn a_wrong_clock_is_corrected_by_its_own_error() {
    // The client's clock is a day ahead: it says that it sent at noon tomorrow what happened ten seconds before.
    let event = parsed(
        r#"{"type":"track","event":"e","userId":"u","timestamp":"2026-05-02T11:59:50Z","sentAt":"2026-05-02T12:00:00Z"}"#,
    );
    assert_eq!(event.unwrap().timestamp.to_rfc3339(), "2026-05-01T11:59:50+00:00");
}

#[test]
fn without_a_message_id_the_same_content_is_the_same_message() {
    let message_id = |text| parsed(text).unwrap().message_id;
    let text = r#"{"type":"track","event":"e","userId":"u"}"#;
    assert_eq!(message_id(text), message_id(text));
    assert_ne!(message_id(text), message_id(r#"{"type":"track","event":"f","userId":"u"}"#));
}
