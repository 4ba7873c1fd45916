//! JSON that is kept as it came.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A JSON text that Annals stores byte for byte and never looks into. What comes through [`Self::parse`] was checked: it
/// can be stored in PostgreSQL and means the same to every parser.
#[derive(Clone, Debug)]
pub struct RawJson(Box<RawValue>);

/// How deep arrays and objects may nest; PostgreSQL's own parser recurses.
pub const MAX_DEPTH: usize = 64;

impl RawJson {
    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Takes `raw` as it is, unchecked: what another database has accepted, for nobody to look into.
    pub fn verbatim(raw: Box<RawValue>) -> Self {
        Self(raw)
    }

    /// Takes `raw` if it holds no NUL character, no key twice in an object, no half of a surrogate pair, no number
    /// beyond a 64-bit float, and nests no deeper than [`MAX_DEPTH`].
    pub fn parse(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        Check { depth: 0 }.deserialize(&mut serde_json::Deserializer::from_str(raw.get()))?;
        Ok(Self(raw))
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawJson {
    /// Trusts its source: this is how a stored event is read back. What comes from outside goes through [`Self::parse`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

/// Walks a JSON text without building anything.
#[derive(Clone, Copy)]
struct Check {
    depth: usize,
}

impl Check {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nests deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

fn check_text<E: de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') {
        Err(E::custom("contains a NUL character, which can't be stored"))
    } else {
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
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

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        check_text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
            check_text(&key)?;
            if seen.contains(&key) {
                return Err(de::Error::custom("has a key twice in one object"));
            }
            seen.insert(key);
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RawJson, String> {
        let raw = RawValue::from_string(text.to_owned()).map_err(|error| error.to_string())?;
        RawJson::parse(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn text_is_kept_to_the_byte() {
        let text = r#"{ "b": 1.10, "a": ["é", "\u00e9", 1e3, null] }"#;
        assert_eq!(parse(text).unwrap().get(), text);
    }

    #[test]
    fn what_could_not_be_stored_or_read_the_same_everywhere_is_refused() {
        for (text, why) in [
            (r#"{"a": "x\u0000y"}"#, "NUL"),
            (r#"{"a\u0000": 1}"#, "NUL"),
            (r#"{"a": 1, "\u0061": 2}"#, "twice"),
            (r#"["\ud800"]"#, "hex escape"),
            ("[1e999]", "range"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parse(&nested(100_000)).is_err());
    }

    #[test]
    fn a_backslash_before_u0000_is_no_nul() {
        assert!(parse(r#"{"a": "\\u0000"}"#).is_ok());
    }
}
