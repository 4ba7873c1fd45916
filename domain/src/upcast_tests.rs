#![expect(unreachable_pub, reason = "a test needs what `events!` makes nowhere else")]

use serde_json::value::RawValue;

use super::*;
use crate::{
    aggregate::{EventType, Facts, events},
    ids::TenantId,
    raw_json::RawJson,
    recorded_event::{RecordedEvent, StreamId},
};

/// A parcel's first name was one text, its second two, its third says where it goes in words of its own.
fn split_name(fields: &mut Fields) -> serde_json::Result<()> {
    let name: String = fields.take("name")?.unwrap_or_default();
    let (given, family) = name.split_once(' ').unwrap_or((&name, ""));
    fields.set("given", given)?;
    fields.set("family", family)
}

fn name_the_destination(fields: &mut Fields) -> serde_json::Result<()> {
    fields.rename("to", "destination");
    fields.set("express", false)
}

events! {
    /// What has happened to a parcel.
    ParcelEvent {
        /// It was sent.
        ParcelSent = 3 from [split_name, name_the_destination] {
            /// The sender's given name.
            given: String,
            /// The sender's family name.
            family: String,
            /// Where it goes.
            destination: String,
            /// Whether it is in a hurry.
            express: bool,
            /// What is in it, as the sender wrote it.
            contents: RawJson,
        }
        /// It was received.
        ParcelReceived = 1 {}
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn sent(express: bool) -> ParcelEvent {
    ParcelSent {
        given: "Ada".to_owned(),
        family: "Lovelace".to_owned(),
        destination: "London".to_owned(),
        express,
        contents: RawJson::parse(raw(r#"{ "weight": 1.10 }"#)).unwrap(),
    }
    .into()
}

const V1: &str = r#"{"name": "Ada Lovelace", "to": "London", "contents": { "weight": 1.10 }}"#;
const V2: &str = r#"{"given": "Ada", "family": "Lovelace", "to": "London", "contents": { "weight": 1.10 }}"#;

#[test]
fn each_version_reads_as_the_newest() {
    for (version, payload) in [(1, V1), (2, V2)] {
        assert_eq!(ParcelEvent::decode("ParcelSent", version, &raw(payload)).unwrap(), sent(false));
    }
    let current = sent(true);
    assert_eq!(ParcelEvent::decode("ParcelSent", 3, &current.encode().unwrap()).unwrap(), current);
}

#[test]
fn a_recorded_event_is_read_in_the_version_that_it_was_recorded_in() {
    let recorded = RecordedEvent {
        tenant_id: TenantId::PLATFORM,
        position: 1,
        stream: StreamId { kind: "parcel".to_owned(), id: uuid::Uuid::nil() },
        sequence: 1,
        event_type: "ParcelSent".to_owned(),
        event_version: 1,
        payload: raw(V1),
        metadata: raw("{}"),
        recorded_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        leaf_hash: [0; 32],
    };
    assert_eq!(recorded.decode::<ParcelEvent>().unwrap(), sent(false));
    assert_eq!(ParcelEvent::from(recorded.fact::<ParcelSent>().unwrap().unwrap()), sent(false));
}

#[test]
fn what_no_upcaster_touches_keeps_its_bytes() {
    let ParcelEvent::ParcelSent(sent) = ParcelEvent::decode("ParcelSent", 1, &raw(V1)).unwrap() else {
        panic!("it was sent")
    };
    assert_eq!(sent.contents.get(), r#"{ "weight": 1.10 }"#);
}

#[test]
fn a_version_is_read_as_what_it_is() {
    // The right text under the wrong version is a wrong payload, also where it would happen to parse.
    for (version, payload) in [(2, V1), (3, V2)] {
        let error = ParcelEvent::decode("ParcelSent", version, &raw(payload)).unwrap_err();
        assert!(error.to_string().starts_with("payload of ParcelSent: missing field"), "{error}");
    }
    for broken in ["[]", "7", r#"{"name": 7}"#] {
        let error = ParcelEvent::decode("ParcelSent", 1, &raw(broken)).unwrap_err();
        assert!(matches!(error, DecodeError::Payload { event_type: "ParcelSent", .. }), "{error}");
    }
}

#[test]
fn a_version_that_this_build_does_not_know_is_no_event() {
    for (event_type, version, newest) in
        [("ParcelSent", 4, 3), ("ParcelSent", 0, 3), ("ParcelReceived", 2, 1)]
    {
        let error = ParcelEvent::decode(event_type, version, &raw("{}")).unwrap_err();
        let expected = format!("{event_type} has version {version}, of which this build knows 1 to {newest}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_catalogue_names_every_event_with_its_version() {
    let types: Vec<_> =
        ParcelEvent::CATALOGUE.iter().map(|EventType { name, version, .. }| (*name, *version)).collect();
    assert_eq!(types, [("ParcelSent", 3), ("ParcelReceived", 1)]);
}
