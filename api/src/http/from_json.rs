//! Values that are read from JSON with *every* fault told, each with a JSON Pointer, a stable code and a sentence.
//!
//! Why no library: serde stops at the first fault. eserde goes on, but tells faults as sentences without codes, and
//! reads the text twice more. garde starts where serde has succeeded, so missing fields and wrong types never reach
//! it, and tells sentences too. deserr has codes and accumulates, but its trait can't be implemented here for the
//! domain's types (orphan rule), and it reads a parsed tree, so JSON that is kept to the byte would be lost.

use std::{borrow::Cow, fmt};

use chrono::{DateTime, Utc};
use domain::{invalid::Invalid, raw_json::RawJson};
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, RefOr,
    schema::{Schema, SchemaType},
};

use super::{findings::Findings, from_text::FromText};

/// Schemas by name, as utoipa collects them.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A value that is read from JSON.
pub trait FromJson: Sized {
    /// How many bytes a body of this type may have, decompressed.
    const LIMIT: usize = 64 * 1024;

    /// Reads the value; `None` after noting in `findings` what is wrong with it.
    fn from_json(json: &RawValue, findings: &mut Findings) -> Option<Self>;

    /// The value of a field that is not there; `None` if it must be there.
    fn absent() -> Option<Self> {
        None
    }

    /// What the OpenAPI document says about it.
    fn schema() -> RefOr<Schema>;

    /// The schemas that [`Self::schema`] refers to.
    fn schemas(_: &mut Schemas) {}
}

/// The fields of an object that is being read.
pub struct Fields<'b> {
    entries: Vec<(Cow<'b, str>, Option<&'b RawValue>)>,
    taken: usize,
}

impl<'b> Fields<'b> {
    /// The fields of an object; anything else is noted.
    pub fn of(json: &'b RawValue, findings: &mut Findings) -> Option<Self> {
        let Ok(Entries(entries)) = serde_json::from_str(json.get()) else {
            return wrong_type(findings, "must be an object");
        };
        Some(Self { entries, taken: 0 })
    }

    /// Reads the field `name`.
    pub fn take<T: FromJson>(&mut self, name: &str, findings: &mut Findings) -> Option<T> {
        let entry = self.entries.iter_mut().find(|(key, _)| key == name).and_then(|(_, json)| json.take());
        self.taken += usize::from(entry.is_some());
        findings.within(name, |findings| match entry {
            Some(json) => T::from_json(json, findings),
            None => T::absent().or_else(|| {
                findings.add(Invalid::new("required", "is missing"));
                None
            }),
        })
    }

    /// Notes every field that was not taken: a typo would otherwise pass for a wish to change nothing.
    pub fn deny_unknown(self, findings: &mut Findings) {
        for (key, _) in self.entries.iter().filter(|(_, json)| json.is_some()) {
            findings.within(key, |findings| {
                findings.add(Invalid::new("unknown_field", "is not a field of this body"))
            });
        }
    }

    /// Notes if there is no field at all.
    pub fn deny_none(&self, findings: &mut Findings) {
        if self.entries.is_empty() {
            findings.add(Invalid::new("nothing_given", "must have at least one field"));
        }
    }
}

/// The text of a JSON string; anything else is noted.
pub fn text<'b>(json: &'b RawValue, findings: &mut Findings) -> Option<Cow<'b, str>> {
    match serde_json::from_str(json.get()) {
        Ok(Key(text)) => Some(text),
        Err(_) => wrong_type(findings, "must be a string"),
    }
}

fn wrong_type<T>(findings: &mut Findings, detail: &str) -> Option<T> {
    findings.add(Invalid::new("wrong_type", detail));
    None
}

#[derive(Deserialize)]
struct Key<'b>(#[serde(borrow)] Cow<'b, str>);

struct Entries<'b>(Vec<(Cow<'b, str>, Option<&'b RawValue>)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), json)) = map.next_entry()? {
                    entries.push((key, Some(json)));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Reads a type that is written as text from a JSON string.
macro_rules! from_json_string {
    ($($type:ty)*) => {$(
        impl $crate::http::from_json::FromJson for $type {
            fn from_json(
                json: &serde_json::value::RawValue,
                findings: &mut $crate::http::findings::Findings,
            ) -> Option<Self> {
                let text = $crate::http::from_json::text(json, findings)?;
                findings.keep($crate::http::from_text::FromText::from_text(&text))
            }

            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                <Self as $crate::http::from_text::FromText>::schema()
            }
        }
    )*};
}

/// Reads a type from a JSON literal (a number, `true`, `false`), which is written as the type's text.
macro_rules! from_json_literal {
    ($($type:ty)*) => {$(
        impl FromJson for $type {
            fn from_json(json: &RawValue, findings: &mut Findings) -> Option<Self> {
                findings.keep(Self::from_text(json.get()))
            }

            fn schema() -> RefOr<Schema> {
                <Self as FromText>::schema()
            }
        }
    )*};
}

pub(crate) use from_json_string;

from_json_string! { String DateTime<Utc> }
from_json_literal! { bool u16 u32 u64 i32 i64 }

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(json: &RawValue, findings: &mut Findings) -> Option<Self> {
        if json.get() == "null" { Some(None) } else { T::from_json(json, findings).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema() -> RefOr<Schema> {
        T::schema()
    }

    fn schemas(schemas: &mut Schemas) {
        T::schemas(schemas);
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(json: &RawValue, findings: &mut Findings) -> Option<Self> {
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json.get()) else {
            return wrong_type(findings, "must be an array");
        };
        let values: Vec<Option<T>> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| findings.within(index, |findings| T::from_json(item, findings)))
            .collect();
        values.into_iter().collect()
    }

    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new().items(T::schema()).into()
    }

    fn schemas(schemas: &mut Schemas) {
        T::schemas(schemas);
    }
}

impl FromJson for RawJson {
    fn from_json(json: &RawValue, findings: &mut Findings) -> Option<Self> {
        findings.keep(
            RawJson::parse(json.to_owned())
                .map_err(|_| Invalid::new("invalid_json", "nests too deep or can't be stored")),
        )
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
    }
}

/// `schema` with a description, where it can carry one.
pub fn described(schema: RefOr<Schema>, description: &str) -> RefOr<Schema> {
    let description = description.trim();
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.description = Some(description.to_owned());
            object.into()
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.description = Some(description.to_owned());
            array.into()
        }
        RefOr::Ref(mut reference) => {
            reference.description = description.to_owned();
            RefOr::Ref(reference)
        }
        other => other,
    }
}
