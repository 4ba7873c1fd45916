use actix_web::ResponseError;
use chrono::{DateTime, Utc};
use domain::{
    ids::WorkspaceId,
    permission::Role,
    raw_json::RawJson,
    text::{Email, Name, Slug},
};
use utoipa::{PartialSchema, ToSchema};

use super::*;
use crate::http::fields::NewPassword;

body! {
    /// What a new account needs.
    struct Register {
        /// The address to sign in with.
        email: Email,
        password: NewPassword,
        name: Name,
        /// For the address bar.
        slug: Option<Slug>,
        role: Option<Role>,
        workspace_ids: Option<Vec<WorkspaceId>>,
        age: Option<u32>,
        at: Option<DateTime<Utc>>,
        extra: Option<RawJson>,
        r#type: Option<String>,
        address: Option<Address>,
    }
}

body! {
    /// Where somebody lives.
    struct Address [deny_unknown] [limit = 10] {
        street: Name,
        lit: Option<bool>,
    }
}

fn faults<T: FromJson + std::fmt::Debug>(text: &str) -> Vec<(String, String)> {
    let problem = parse::<T>(text.as_bytes()).unwrap_err();
    assert_eq!((problem.status_code().as_u16(), problem.code()), (422, "validation_failed"));
    let body: serde_json::Value = serde_json::from_slice(&problem.body(None)).unwrap();
    let text = |error: &serde_json::Value, key: &str| error[key].as_str().unwrap().to_owned();
    body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (text(error, "pointer"), text(error, "code")))
        .collect()
}

fn pairs(faults: &[(String, String)]) -> Vec<(&str, &str)> {
    faults.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect()
}

#[test]
fn a_good_body_is_read_and_unknown_fields_are_ignored() {
    let body: Register = parse(
        br#"{"email": " Ada@example.com", "password": "correct horse", "name": "Ada", "slug": null, "role": "admin",
             "age": 36, "at": "2026-01-31T12:00:00Z", "extra": {"b": 1.10, "a": 2}, "type": "x", "nmae": [],
             "workspace_ids": [], "address": {"street": "A", "lit": true}}"#,
    )
    .unwrap();
    assert_eq!((body.email.as_str(), body.name.as_str(), body.slug), ("ada@example.com", "Ada", None));
    assert_eq!((body.role, body.age, body.r#type.as_deref()), (Some(Role::Admin), Some(36), Some("x")));
    assert_eq!(body.extra.unwrap().get(), r#"{"b": 1.10, "a": 2}"#);
    assert_eq!(body.workspace_ids.unwrap().len(), 0);
    assert_eq!(body.at.unwrap().to_rfc3339(), "2026-01-31T12:00:00+00:00");
    let address = body.address.unwrap();
    assert_eq!((address.street.as_str(), address.lit), ("A", Some(true)));
    assert_eq!(body.password.0.bytes(), b"correct horse");
}

#[test]
fn every_fault_is_told_at_once() {
    let told = faults::<Register>(
        r#"{"email": 7, "password": "short", "slug": "No Slug", "role": "king", "age": -1, "at": "yesterday",
            "workspace_ids": ["wsp_x", 1], "type": {}, "address": {"stret": "x", "lit": 1}}"#,
    );
    assert_eq!(
        pairs(&told),
        [
            ("/email", "wrong_type"),
            ("/password", "too_short"),
            ("/name", "required"),
            ("/slug", "invalid_slug"),
            ("/role", "unknown_value"),
            ("/workspace_ids/0", "invalid_id"),
            ("/workspace_ids/1", "wrong_type"),
            ("/age", "out_of_range"),
            ("/at", "invalid_time"),
            ("/type", "wrong_type"),
            ("/address/street", "required"),
            ("/address/lit", "wrong_type"),
            ("/address/stret", "unknown_field"),
        ]
    );
}

#[test]
fn a_nul_is_told_before_the_rule_that_it_breaks_besides() {
    let told = faults::<Register>(
        r#"{"email": "a@example.com", "password": "correct horse", "name": "A\u0000", "extra": {"deep": ["\u0000"]}}"#,
    );
    assert_eq!(pairs(&told)[..2], [("/name", "nul_character"), ("/extra/deep/0", "nul_character")]);
}

#[test]
fn numbers_out_of_range_and_not_whole_are_told_apart() {
    let age = |age: &str| {
        faults::<Register>(&format!(
            r#"{{"email": "a@example.com", "password": "correct horse", "name": "A", "age": {age}}}"#
        ))
    };
    for (number, code) in [
        ("4294967296", "out_of_range"),
        ("-1", "out_of_range"),
        ("123456789012345678901234567890", "out_of_range"),
        ("1.5", "wrong_type"),
        ("1e2", "wrong_type"),
        ("\"1\"", "wrong_type"),
        ("true", "wrong_type"),
        ("[]", "wrong_type"),
    ] {
        assert_eq!(pairs(&age(number)), [("/age", code)], "{number}");
    }
}

#[test]
fn a_body_that_is_no_object_is_told_so() {
    for text in ["[]", "7", "\"x\"", "null", "true"] {
        assert_eq!(pairs(&faults::<Register>(text)), [("", "wrong_type")]);
    }
}

#[test]
fn where_a_typo_is_dangerous_unknown_fields_and_nothing_at_all_are_faults() {
    assert_eq!(pairs(&faults::<Address>(r#"{"street": "A", "Lit": true}"#)), [("/Lit", "unknown_field")]);
    body! { struct Change [deny_unknown] { name: Option<Name> } }
    assert_eq!(pairs(&faults::<Change>("{}")), [("", "nothing_given")]);
    assert_eq!(parse::<Change>(br#"{"name": null}"#).unwrap().name, None);
    assert_eq!(<Address as FromJson>::LIMIT, 10);
    assert_eq!(<Change as FromJson>::LIMIT, 64 * 1024);
}

#[test]
fn no_secret_is_repeated() {
    for text in [
        r#"{"password": "hunter2", "email": "hunter2", "name": 1, "slug": "hunter2!"}"#,
        r#"{"password": "hunter2" "email"}"#,
        r#"{"password": "hunter2", "password": "hunter2"}"#,
    ] {
        let problem = parse::<Register>(text.as_bytes()).unwrap_err();
        assert!(!String::from_utf8(problem.body(None)).unwrap().contains("hunter2"));
    }
}

#[test]
fn the_document_says_what_is_required() {
    let schema = serde_json::to_value(<Register as PartialSchema>::schema()).unwrap();
    assert_eq!(schema["required"], serde_json::json!(["email", "password", "name"]));
    assert_eq!(schema["description"], "What a new account needs.");
    assert_eq!(schema["properties"]["email"]["format"], "email");
    assert_eq!(schema["properties"]["email"]["description"], "The address to sign in with.");
    assert_eq!(
        schema["properties"]["role"]["enum"],
        serde_json::json!(["owner", "admin", "member", "auditor"])
    );
    assert_eq!(schema["properties"]["address"]["$ref"], "#/components/schemas/Address");
    assert_eq!(schema["properties"]["type"]["type"], "string");
    let mut schemas = Vec::new();
    <Register as ToSchema>::schemas(&mut schemas);
    assert_eq!(schemas.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Address"]);
}
