//! The first look at a JSON body, before anything is made of it: can it be read, does it mean the same to every
//! parser, and can PostgreSQL store its strings?

use std::{borrow::Cow, collections::HashSet, fmt};

use application::error::FieldError;
use domain::invalid::Invalid;
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{findings::Findings, problem::Problem};

/// How deep arrays and objects may nest. A tracked event's properties (64 levels) fit in a batch.
pub const MAX_DEPTH: usize = 96;

/// A JSON text that every parser reads alike, and the strings in it that can't be stored.
#[derive(Debug)]
pub struct JsonText<'b> {
    /// The text, without the white space around it.
    pub value: &'b RawValue,
    /// Every string with a NUL character, which PostgreSQL can't store.
    pub nuls: Vec<FieldError>,
}

impl<'b> JsonText<'b> {
    /// Takes a UTF-8 text (RFC 8259, section 8.1) that is JSON, has no key twice in an object and nests at most
    /// [`MAX_DEPTH`] deep. What is wrong is told by line and column, never by repeating the text.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
        if text.trim_ascii().is_empty() {
            return Err(Problem::malformed("malformed_json", "the body is empty; it must be JSON"));
        }
        let mut findings = Findings::default();
        let mut parser = serde_json::Deserializer::from_str(text);
        Look { findings: &mut findings, depth: 0 }
            .deserialize(&mut parser)
            .and_then(|()| parser.end())
            .map_err(|error| {
                Problem::malformed("malformed_json", format!("the body is not usable JSON: {error}"))
            })?;
        let value = serde_json::from_str(text).map_err(Problem::internal)?;
        Ok(Self { value, nuls: findings.into_errors() })
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> Problem {
    let before = &bytes[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
    Problem::malformed("malformed_json", format!("the body is not UTF-8 at line {line} column {column}"))
}

/// Walks a JSON text without building anything.
struct Look<'f> {
    findings: &'f mut Findings,
    depth: usize,
}

/// A string of the text, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

impl Look<'_> {
    fn inside(&mut self, segment: impl fmt::Display, look: impl FnOnce(Look<'_>) -> bool) -> bool {
        let depth = self.depth + 1;
        self.findings.within(segment, |findings| look(Look { findings, depth }))
    }

    fn check_depth<E: de::Error>(&self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nests deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn check_text(&mut self, text: &str) {
        if text.contains('\0') {
            self.findings
                .add(Invalid::new("nul_character", "contains a NUL character, which can't be stored"));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.check_text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut index = 0_usize;
        let mut outcome = Ok(());
        while self.inside(index, |look| match items.next_element_seed(look) {
            Ok(item) => item.is_some(),
            Err(error) => {
                outcome = Err(error);
                false
            }
        }) {
            index += 1;
        }
        outcome
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut seen = HashSet::new();
        while let Some(Text(key)) = entries.next_key::<Text<'de>>()? {
            let mut outcome = Ok(());
            self.inside(&key, |mut look| {
                look.check_text(&key);
                outcome = entries.next_value_seed(look);
                true
            });
            outcome?;
            if !seen.insert(key) {
                return Err(de::Error::custom("has a key twice in one object"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        JsonText::parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place_and_not_repeated() {
        for (body, why) in [
            (&b""[..], "is empty"),
            (b"  \n", "is empty"),
            (b"{", "line 1 column 1"),
            (b"{\n  \"hunter2\": hunter2}", "line 2 column 14"),
            (b"{\"a\": 1,\n \"\\u0061\": 2}", "key twice in one object at line 2"),
            (b"{\"a\": {\"hunter2\": 1, \"hunter2\": 2}}", "key twice"),
            (b"{} {}", "trailing characters at line 1 column 4"),
            (b"{\"a\": 1e999}", "out of range"),
            (b"[\"\\ud800\"]", "line 1 column"),
            (b"{\"a\":\n \"hunter2\xff\"}", "not UTF-8 at line 2 column 10"),
            (b"\xef\xbb\xbf{}", "expected value at line 1 column 1"),
            (b"{'a': 1}", "line 1 column 2"),
            (b"{\"a\": NaN}", "line 1 column"),
        ] {
            let told = refusal(body);
            assert!(told.contains(why), "{told}");
            assert!(told.starts_with("malformed_json: ") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(JsonText::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(refusal(nested(MAX_DEPTH + 1).as_bytes()).contains("deeper than 96 levels"));
        assert!(refusal("[".repeat(1_000_000).as_bytes()).contains("deeper than 96 levels"));
        assert!(refusal("{\"a\":".repeat(1_000_000).as_bytes()).contains("deeper than 96 levels"));
    }

    #[test]
    fn every_nul_is_found() {
        let text = br#" {"a": ["x\u0000", "\\u0000"], "b\u0000": 1, "c/d": {"e": "\u0000"}} "#;
        let json = JsonText::parse(text).unwrap();
        let pointers: Vec<_> = json.nuls.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a/0", "/b\0", "/c~1d/e"]);
        assert!(json.nuls.iter().all(|error| error.invalid.code == "nul_character"));
        assert!(json.value.get().starts_with('{') && json.value.get().ends_with('}'));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = JsonText::parse(&bytes);
        }

        #[test]
        fn what_passes_is_json(text in r#"[\[\]{},:"a0\\ \n]{0,20}"#) {
            if JsonText::parse(text.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
