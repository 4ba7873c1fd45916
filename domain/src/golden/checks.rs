//! The checks, checked: each change that must not go unnoticed, made to a small aggregate.
#![expect(unreachable_pub, reason = "a test needs what `events!` makes nowhere else")]

use super::{
    events::faults,
    files::{self, Files},
    snapshots,
    vocabularies::Vocabularies,
};
use crate::{aggregate::events, invitations::Invitation, users::User};

fn golden(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn written() -> Files {
    golden(&[
        ("Sent.v1.json", r#"{"to":"London","label":{"color":"red"},"note":"fragile"}"#),
        ("Sent.v1.minimal.json", r#"{"to":"London","label":{"color":"red"}}"#),
        ("Lost.v1.json", "{}"),
    ])
}

/// Makes a module with the events `Sent` and `Lost`, and a label.
macro_rules! changed {
    ($module:ident { $($fields:tt)* } label { $($label:tt)* } $($other:tt)*) => {
        mod $module {
            use super::*;
            use serde::{Deserialize, Serialize};

            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct Label { $($label)* }

            events! {
                /// What has happened to a parcel.
                Event {
                    /// It was sent.
                    Sent = 1 { $($fields)* }
                    $($other)*
                }
            }
        }
    };
}

changed! {
    unchanged {
        to: String,
        label: Label,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    label { color: String }
    /// It was lost.
    Lost = 1 {}
}

changed! {
    required_field_added {
        to: String,
        label: Label,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        weight: u32,
    }
    label { color: String }
    /// It was lost.
    Lost = 1 {}
}

changed! {
    optional_field_added {
        to: String,
        label: Label,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<u32>,
    }
    label { color: String }
    /// It was lost.
    Lost = 1 {}
}

changed! {
    field_removed { to: String, label: Label }
    label { color: String }
    /// It was lost.
    Lost = 1 {}
}

changed! {
    optional_field_renamed {
        to: String,
        label: Label,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
    }
    label { color: String }
    /// It was lost.
    Lost = 1 {}
}

changed! {
    inner_field_added {
        to: String,
        label: Label,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    label {
        color: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u32>,
    }
    /// It was lost.
    Lost = 1 {}
}

changed! {
    fields_swapped {
        label: Label,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    label { color: String }
    /// It was lost.
    Lost = 1 {}
}

changed! {
    type_added {
        to: String,
        label: Label,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    label { color: String }
    /// It was lost.
    Lost = 1 {}
    /// It was found.
    Found = 1 {}
}

changed! {
    type_removed {
        to: String,
        label: Label,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    label { color: String }
}

#[test]
fn what_has_not_changed_has_no_faults() {
    assert_eq!(faults::<unchanged::Event>(&written()), Vec::<String>::new());
}

#[test]
fn a_field_can_not_be_added_renamed_removed_or_moved_in_place() {
    for (faults, why) in [
        (faults::<required_field_added::Event>(&written()), "missing field `weight`"),
        (faults::<optional_field_added::Event>(&written()), "it lacks /Sent/weight"),
        (faults::<field_removed::Event>(&written()), r#"it is written as {"to":"London""#),
        (faults::<optional_field_renamed::Event>(&written()), r#"it is written as {"to":"London""#),
        (faults::<inner_field_added::Event>(&written()), "it lacks /Sent/label/size"),
        (faults::<fields_swapped::Event>(&written()), r#"it is written as {"label""#),
    ] {
        let fault = faults.first().unwrap_or_else(|| panic!("nothing about {why}"));
        assert!(fault.contains(why) && fault.contains("make it version 2 with an upcaster"), "{fault}");
    }
}

#[test]
fn every_type_has_a_file_and_every_file_a_type() {
    assert!(faults::<type_added::Event>(&written())[0].starts_with("Found.v1.json is missing"));
    assert!(faults::<type_removed::Event>(&written())[0].starts_with("Lost.v1.json: no event has this type"));
}

#[test]
fn a_file_is_of_a_version_that_there_is_and_in_a_form_that_there_is() {
    for (file, text, why) in [
        ("Lost.v2.json", "{}", "Lost has version 2, of which this build knows 1 to 1"),
        ("Lost.v1.short.json", "{}", "there are no .short.json files"),
        ("Lost.json", "{}", "is not named"),
        ("Sent.v1.minimal.json", r#"{"to":"L","label":{"color":"red"},"note":"x"}"#, "it fills /Sent/note"),
    ] {
        let mut files = written();
        files.insert(file.to_owned(), text.to_owned());
        let faults = faults::<unchanged::Event>(&files);
        assert!(faults.len() == 1 && faults[0].contains(why), "{file}: {faults:?}");
    }
    let mut files = written();
    files.remove("Sent.v1.minimal.json");
    assert!(faults::<unchanged::Event>(&files)[0].contains("there must be Sent.v1.minimal.json"));
}

#[test]
fn a_state_can_not_change_in_place() {
    let written = files::read("user");
    let change = |from: &str, to: &str| {
        let mut files = written.clone();
        files.entry("snapshot.v2.json".to_owned()).and_modify(|text| *text = text.replace(from, to));
        let faults = snapshots::faults::<User>(&files);
        faults.first().cloned().unwrap_or_default()
    };
    assert_eq!(change("", ""), "");
    // The file as it would be if a field were new, gone, called something else, or counted in another way.
    for (from, to) in [
        (r#""generation":1,"#, ""),
        (r#""verified""#, r#""gone":1,"verified""#),
        (r#""verified""#, r#""confirmed""#),
        (r#""registrations":2"#, r#""registrations":3"#),
    ] {
        let fault = change(from, to);
        assert!(fault.ends_with("The state has changed: make it SNAPSHOT_VERSION 3"), "{to}: {fault}");
    }
    let mut files = written.clone();
    let snapshots = files.remove("snapshot.v2.json").unwrap();
    assert!(snapshots::faults::<User>(&files)[0].starts_with("snapshot.v2.json: "));
    files.insert("snapshot.v3.json".to_owned(), snapshots.clone());
    assert!(snapshots::faults::<User>(&files)[0].starts_with("snapshot.v3.json is of no use"));
    let mut files = files::read("invitation");
    files.insert("snapshot.v2.json".to_owned(), snapshots);
    assert!(snapshots::faults::<Invitation>(&files)[0].starts_with("snapshot.v2.json is of no use"));
}

#[test]
fn every_state_but_absence_has_an_example() {
    let mut files = files::read("session");
    files.entry("snapshot.v1.json".to_owned()).and_modify(|text| {
        let examples: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        *text = serde_json::to_string(&examples[..1]).unwrap();
    });
    let faults = snapshots::faults::<crate::sessions::Session>(&files);
    assert_eq!(faults, ["snapshot.v1.json: no example is Ended"]);
}

#[test]
fn a_word_can_be_added_and_none_can_go() {
    let mut vocabularies = Vocabularies::default();
    vocabularies.add::<crate::sessions::SessionEvent>(&files::read("session"));
    for (written, expected) in [
        (r#"["logged_out", "logged_out_everywhere", "refresh_reused"]"#, vec![]),
        (
            r#"["logged_out", "logged_out_everywhere", "refresh_reused", "expired"]"#,
            vec![r#"SessionEnd: "expired" was written and can't be read any more"#],
        ),
        (
            r#"["logged_out", "refresh_reused"]"#,
            vec![r#"SessionEnd: "logged_out_everywhere" is new; add it to values/SessionEnd.json"#],
        ),
    ] {
        assert_eq!(vocabularies.faults(&golden(&[("SessionEnd.json", written)])), expected);
    }
    let forgotten = golden(&[("SessionEnd.json", "[]"), ("Reason.json", "[]")]);
    assert!(
        vocabularies.faults(&forgotten).iter().any(|fault| fault.starts_with("Reason.json: no event uses"))
    );
}

/// What the unchanged parcel does not say about its texts.
pub(super) fn undeclared_texts() -> Vec<String> {
    super::personal::faults::<unchanged::Event>()
}
