//! An event, as a line of the file has it: checked just enough to be sent, otherwise left as it is.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::lines::Line;

/// The most bytes that the server takes for an event.
pub(super) const MAX_EVENT: usize = 32 * 1024;

/// Why a line is not sent, in the server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsendable {
    pub(super) code: &'static str,
    pub(super) detail: String,
}

impl Unsendable {
    fn malformed(detail: impl Into<String>) -> Self {
        Self { code: "malformed_json", detail: detail.into() }
    }

    fn too_large(detail: impl Into<String>) -> Self {
        Self { code: "event_too_large", detail: detail.into() }
    }
}

/// The one field that matters before the server sees the event.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "messageId", borrow, default, deserialize_with = "present")]
    message_id: Option<&'a RawValue>,
}

/// Tells `null`, which is text in the line, from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The JSON text to send for a line: the line itself, with a message id if it has none. A blank line is no event.
pub(super) fn prepare<'a>(line: &Line<'a>) -> Result<Option<Cow<'a, str>>, Unsendable> {
    let Some(bytes) = line.text else {
        return Err(Unsendable::too_large(format!(
            "has {} bytes, at most {MAX_EVENT} are allowed",
            line.length
        )));
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        Unsendable::malformed(format!("invalid UTF-8 at byte {}", error.valid_up_to() + 1))
    })?;
    // serde would take an array for an object with its fields in order.
    if !text.starts_with('{') {
        return Err(Unsendable::malformed("is not a JSON object"));
    }
    let envelope: Envelope =
        serde_json::from_str(text).map_err(|error| Unsendable::malformed(describe(&error)))?;
    let event = with_message_id(text, &envelope, line.number);
    if event.len() > MAX_EVENT {
        return Err(Unsendable::too_large(format!(
            "has {} bytes, at most {MAX_EVENT} are allowed",
            event.len()
        )));
    }
    Ok(Some(event))
}

/// The message id of an event's JSON text, if it is a string.
pub(super) fn message_id(text: &str) -> Option<String> {
    let envelope: Envelope = serde_json::from_str(text).ok()?;
    serde_json::from_str(envelope.message_id?.get()).ok()
}

fn with_message_id<'a>(text: &'a str, envelope: &Envelope, number: u64) -> Cow<'a, str> {
    match envelope.message_id.map(RawValue::get) {
        Some("null") | None => {}
        Some(_) => return Cow::Borrowed(text),
    }
    let digest = Sha256::digest(text);
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let id = format!("\"line-{number}-{digest}\"");
    Cow::Owned(match envelope.message_id.map(RawValue::get) {
        Some(null) => {
            // The field's value is a part of the text, so the distance of their addresses is its place.
            let start = null.as_ptr() as usize - text.as_ptr() as usize;
            [&text[..start], &id, &text[start + null.len()..]].concat()
        }
        None => {
            let fields = text[1..].trim_ascii_start();
            let comma = if fields.starts_with('}') { "" } else { "," };
            ["{\"messageId\":", &id, comma, fields].concat()
        }
    })
}

/// serde_json's words, less the line, which is always its first.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(number: u64, text: &[u8]) -> Result<Option<String>, Unsendable> {
        let line = Line { number, text: Some(text), length: text.len() as u64 };
        prepare(&line).map(|event| event.map(Cow::into_owned))
    }

    fn sent(number: u64, text: &str) -> String {
        prepared(number, text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn an_event_with_a_message_id_is_sent_as_it_is() {
        for text in [
            r#"{ "a": 1.10, "messageId" : "m-1", "é": "\u00e9" }"#,
            r#"{"message\u0049d":"m"}"#,
            r#"{"messageId":""}"#,
        ] {
            assert_eq!(sent(1, text), text);
        }
    }

    #[test]
    fn a_missing_message_id_is_made_of_line_number_and_content() {
        let id = |text: &str| message_id(text).unwrap();
        for text in [
            r#"{"type":"track"}"#,
            r#"{ "type":"track"}"#,
            "{}",
            "{ }",
            r#"{"messageId":null}"#,
            r#"{"a":{"messageId":"inner"},"messageId" : null , "b":2}"#,
        ] {
            let event = sent(7, text);
            let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&event).unwrap();
            let mut before: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
            before.insert("messageId".to_owned(), fields["messageId"].clone());
            assert_eq!(fields, before);
            assert!(id(&event).starts_with("line-7-"), "{event}");
            assert_eq!(event, sent(7, text));
            assert_ne!(id(&event), id(&sent(8, text)));
        }
        assert_ne!(id(&sent(7, r#"{"a":1}"#)), id(&sent(7, r#"{"a":2}"#)));
    }

    #[test]
    fn what_is_no_event_is_not_sent() {
        for (text, detail) in [
            (&br#"{"a":1"#[..], "EOF while parsing an object at column 6"),
            (br#"[{"messageId":"m"}]"#, "is not a JSON object"),
            (br#""text""#, "is not a JSON object"),
            (b"{\"a\":\"\xff\"}", "invalid UTF-8 at byte 7"),
            (br#"{"a":1} {"b":2}"#, "trailing characters at column 9"),
        ] {
            assert_eq!(prepared(1, text), Err(Unsendable::malformed(detail)));
        }
        assert_eq!(prepared(1, b""), Ok(None));
    }

    #[test]
    fn an_event_may_have_32_kb() {
        let text = |length: usize| format!(r#"{{"messageId":"m","a":"{}"}}"#, "x".repeat(length - 24));
        assert_eq!(text(100).len(), 100);
        assert!(prepared(1, text(MAX_EVENT).as_bytes()).is_ok());
        assert_eq!(prepared(1, text(MAX_EVENT + 1).as_bytes()).unwrap_err().code, "event_too_large");
        let endless = Line { number: 1, text: None, length: 1 << 40 };
        assert_eq!(prepare(&endless).unwrap_err().code, "event_too_large");
    }

    #[test]
    fn deep_nesting_is_left_to_the_server() {
        let depth = 10_000;
        let text = format!(r#"{{"messageId":"m","a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(sent(1, &text), text);
    }
}
