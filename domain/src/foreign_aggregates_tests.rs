use cqrs_es::test::TestFramework;
use serde_json::value::RawValue;

use super::*;
use crate::{
    aggregate::{Facts, Now},
    ids::{ForeignAggregateId, TenantId},
};

type Given = TestFramework<ForeignAggregate>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn event(sequence: u64, payload: &str) -> ForeignEventImported {
    let json = |text: &str| RawJson::verbatim(RawValue::from_string(text.to_owned()).unwrap());
    ForeignEventImported {
        aggregate_type: "order".to_owned(),
        aggregate_id: "A-1".to_owned(),
        sequence,
        event_type: "Placed".to_owned(),
        event_version: "1.0".to_owned(),
        payload: json(payload),
        metadata: json("{}"),
    }
}

fn import(sequence: u64) -> ForeignAggregateCommand {
    ForeignAggregateCommand::Import(event(sequence, "{}"))
}

fn two() -> Vec<ForeignAggregateEvent> {
    vec![event(1, "{}").into(), event(2, "{}").into()]
}

#[test]
fn events_are_imported_from_the_first_on_and_none_is_left_out() {
    given().given_no_previous_events().when(import(1)).then_expect_events(vec![event(1, "{}").into()]);
    given().given(two()).when(import(3)).then_expect_events(vec![event(3, "{}").into()]);
    for (events, expected, found) in [(vec![], 1, 0), (vec![], 1, 2), (two(), 3, 4), (two(), 3, 0)] {
        let aggregate = "order A-1".to_owned();
        given().given(events).when(import(found)).then_expect_error(ForeignAggregateReason::Gap {
            aggregate,
            expected,
            found,
        });
    }
}

#[test]
fn what_was_imported_before_is_not_imported_again() {
    for sequence in [1, 2] {
        given().given(two()).when(import(sequence)).then_expect_events(vec![]);
    }
}

#[test]
fn a_history_does_not_go_on_as_another_one() {
    let diverged = ForeignAggregateReason::Diverged { aggregate: "order A-1".to_owned(), sequence: 2 };
    let other = |change: fn(&mut ForeignEventImported)| {
        let mut event = event(2, "{}");
        change(&mut event);
        ForeignAggregateCommand::Import(event)
    };
    for command in [
        other(|event| event.payload = self::event(2, "{ }").payload),
        other(|event| event.metadata = self::event(2, "[]").payload),
        other(|event| event.event_type = "Paid".to_owned()),
        other(|event| event.event_version = "2.0".to_owned()),
    ] {
        given().given(two()).when(command).then_expect_error(diverged.clone());
    }
}

#[test]
fn json_that_a_tracked_event_could_not_hold_is_kept_to_the_byte() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for payload in [r#"{ "a": 1.10, "a": "\u0000" }"#, r#"["\ud800", 1e999]"#, &deep] {
        let kept = ForeignAggregateEvent::from(event(1, payload));
        let encoded = kept.encode().unwrap();
        assert!(encoded.get().contains(payload), "{encoded}");
        assert_eq!(ForeignAggregateEvent::decode("ForeignEventImported", 1, &encoded).unwrap(), kept);
    }
}

#[test]
fn each_aggregate_has_a_stream_of_its_own() {
    let tenant = TenantId::random();
    let of = |aggregate_type, aggregate_id| ForeignAggregateId::of(tenant, aggregate_type, aggregate_id);
    assert_eq!(of("order", "1"), of("order", "1"));
    for other in [of("order", "2"), of("orde", "r1"), of("invoice", "1"), of("", "order1")] {
        assert_ne!(other, of("order", "1"));
    }
    assert_ne!(ForeignAggregateId::of(TenantId::random(), "order", "1"), of("order", "1"));
}
