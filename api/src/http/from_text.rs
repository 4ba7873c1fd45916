//! Values that are written as text: the type of a query parameter, and of most fields of a body.

use chrono::{DateTime, Utc};
use domain::invalid::Invalid;
use utoipa::openapi::{
    KnownFormat, ObjectBuilder, RefOr, SchemaFormat, Type,
    schema::{Object, Schema},
};

/// A value that is parsed from a text.
pub trait FromText: Sized {
    /// The value that `text` stands for, or which rule it breaks. The refusal never repeats the text.
    fn from_text(text: &str) -> Result<Self, Invalid>;

    /// What the OpenAPI document says about it.
    fn schema() -> RefOr<Schema>;
}

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Ok(text.to_owned())
    }

    fn schema() -> RefOr<Schema> {
        Object::with_type(Type::String).into()
    }
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse().map_err(|_| Invalid::new("wrong_type", "must be true or false"))
    }

    fn schema() -> RefOr<Schema> {
        Object::with_type(Type::Boolean).into()
    }
}

impl FromText for DateTime<Utc> {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        // RFC 3339 has years of four digits only, so that absurd ones never reach the database.
        DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).map_err(|_| {
            Invalid::new("invalid_time", "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z")
        })
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

macro_rules! whole_numbers {
    ($($number:ident)*) => {$(
        impl FromText for $number {
            fn from_text(text: &str) -> Result<Self, Invalid> {
                let digits = text.strip_prefix('-').unwrap_or(text);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Invalid::new("wrong_type", "must be a whole number"));
                }
                text.parse().map_err(|_| {
                    let (least, most) = (Self::MIN, Self::MAX);
                    Invalid::new("out_of_range", format!("must be between {least} and {most}"))
                })
            }

            fn schema() -> RefOr<Schema> {
                let schema = ObjectBuilder::new().schema_type(Type::Integer);
                if Self::MIN == 0 { schema.minimum(Some(0_u64)).into() } else { schema.into() }
            }
        }
    )*};
}

whole_numbers! { u16 u32 u64 i32 i64 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_and_in_range() {
        assert_eq!(u32::from_text("007"), Ok(7));
        assert_eq!(i64::from_text("-9223372036854775808"), Ok(i64::MIN));
        for (text, code) in [
            ("", "wrong_type"),
            ("-", "wrong_type"),
            ("+1", "wrong_type"),
            ("1.0", "wrong_type"),
            ("1e3", "wrong_type"),
            ("0x10", "wrong_type"),
            ("-1", "out_of_range"),
            ("4294967296", "out_of_range"),
            ("99999999999999999999999999999999", "out_of_range"),
        ] {
            assert_eq!(u32::from_text(text).unwrap_err().code, code, "{text:?}");
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let time = DateTime::<Utc>::from_text("2026-01-31T12:00:00+01:00").unwrap();
        assert_eq!(time.to_rfc3339(), "2026-01-31T11:00:00+00:00");
        for text in [
            "",
            "2026-01-31",
            "2026-02-30T00:00:00Z",
            "+262142-01-01T00:00:00Z",
            "12026-01-01T00:00:00Z",
            "now",
        ] {
            assert_eq!(DateTime::<Utc>::from_text(text).unwrap_err().code, "invalid_time", "{text:?}");
        }
    }
}
