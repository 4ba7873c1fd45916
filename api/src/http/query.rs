//! Query parameters: declared once, read with every fault told.
//!
//! ```ignore
//! query! {
//!     /// Which invitations to list.
//!     pub struct InvitationFilter {
//!         /// Only those in this state.
//!         pub state: Option<State>,
//!     }
//! }
//! ```
//!
//! gives the struct, [`FromQuery`] for [`Query<InvitationFilter>`](Query), and its parameters for OpenAPI. A field is
//! any [`FromText`] type, an `Option` of one, or a `Vec` of one for a parameter that may be repeated. A fault's pointer
//! is `?` and the parameter's name. Parameters that nobody asked for are ignored.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use domain::invalid::Invalid;
use utoipa::openapi::{
    ArrayBuilder, RefOr, Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::Schema,
};

use super::{findings::Findings, from_text::FromText, problem::Problem};

/// Query parameters, checked. A route says `params(T)` to document them: utoipa does not find them by itself.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// Something that is read from query parameters.
pub trait FromQuery: Sized {
    /// The parameters that it reads.
    const NAMES: &'static [&'static str];

    /// Reads it; `None` after noting in `findings` what is wrong.
    fn from_query(given: &Parameters, findings: &mut Findings) -> Option<Self>;

    /// What the OpenAPI document says about its parameters.
    fn parameters() -> Vec<Parameter>;
}

/// One parameter's value.
pub trait FromParameter: Sized {
    /// Whether the parameter must be there.
    const REQUIRED: bool;

    /// The value of a parameter that was given with each of `texts`.
    fn from_texts(texts: &[&str]) -> Result<Self, Invalid>;

    /// What the OpenAPI document says about it.
    fn schema() -> RefOr<Schema>;
}

/// The query of a request.
#[derive(Debug)]
pub struct Parameters {
    path: String,
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// The query parameters of a request, percent-decoded.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| Problem::malformed("malformed_query", "the query can't be read"))?;
        Ok(Self { path: request.path().to_owned(), pairs: pairs.into_inner() })
    }

    /// The path that was asked.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Each value that the parameter `name` was given with.
    pub fn texts<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        self.pairs.iter().filter(move |(given, _)| given == name).map(|(_, text)| text.as_str())
    }

    /// Reads the parameter `name`.
    pub fn read<T: FromParameter>(&self, name: &str, findings: &mut Findings) -> Option<T> {
        let texts: Vec<&str> = self.texts(name).collect();
        findings.within_parameter(name, |findings| {
            let storable = texts.iter().try_for_each(|text| storable(text));
            findings.keep(storable.and_then(|()| T::from_texts(&texts)))
        })
    }
}

fn storable(text: &str) -> Result<(), Invalid> {
    if text.contains('\0') {
        return Err(Invalid::new("nul_character", "contains a NUL character"));
    }
    // What percent-decoding puts in the place of bytes that are not UTF-8.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Invalid::new("invalid_utf8", "is not UTF-8"));
    }
    Ok(())
}

impl<T: FromQuery> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Parameters::of(request).and_then(|given| {
            let mut findings = Findings::default();
            let value = T::from_query(&given, &mut findings);
            findings.into_result(value).map(Self).map_err(Problem::invalid)
        }))
    }
}

impl FromQuery for () {
    const NAMES: &'static [&'static str] = &[];

    fn from_query(_: &Parameters, _: &mut Findings) -> Option<Self> {
        Some(())
    }

    fn parameters() -> Vec<Parameter> {
        Vec::new()
    }
}

impl<T: FromText> FromParameter for T {
    const REQUIRED: bool = true;

    fn from_texts(texts: &[&str]) -> Result<Self, Invalid> {
        match texts {
            [] => Err(Invalid::new("required", "is missing")),
            [text] => T::from_text(text),
            _ => Err(Invalid::new("repeated", "must be given once")),
        }
    }

    fn schema() -> RefOr<Schema> {
        T::schema()
    }
}

impl<T: FromText> FromParameter for Option<T> {
    const REQUIRED: bool = false;

    fn from_texts(texts: &[&str]) -> Result<Self, Invalid> {
        if texts.is_empty() { Ok(None) } else { <T as FromParameter>::from_texts(texts).map(Some) }
    }

    fn schema() -> RefOr<Schema> {
        T::schema()
    }
}

impl<T: FromText> FromParameter for Vec<T> {
    const REQUIRED: bool = false;

    fn from_texts(texts: &[&str]) -> Result<Self, Invalid> {
        texts.iter().map(|text| T::from_text(text)).collect()
    }

    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new().items(T::schema()).into()
    }
}

/// A parameter as the OpenAPI document has it.
pub fn parameter<T: FromParameter>(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(if T::REQUIRED { Required::True } else { Required::False })
        .description(Some(description.trim()))
        .schema(Some(T::schema()))
        .build()
}

/// Declares query parameters; see the [module](self).
macro_rules! query {
    (
        $(#[doc = $doc:literal])*
        $visibility:vis struct $query:ident {
            $($(#[doc = $field_doc:literal])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        $visibility struct $query { $($(#[doc = $field_doc])* $field_visibility $field: $type,)* }

        impl $crate::http::query::FromQuery for $query {
            const NAMES: &'static [&'static str] = &[$($crate::http::query::bare(stringify!($field))),*];

            fn from_query(
                given: &$crate::http::query::Parameters,
                findings: &mut $crate::http::findings::Findings,
            ) -> Option<Self> {
                // All are read before the first that is wrong ends it: every fault is told.
                $(let $field = given.read($crate::http::query::bare(stringify!($field)), findings);)*
                Some(Self { $($field: $field?,)* })
            }

            fn parameters() -> Vec<utoipa::openapi::path::Parameter> {
                vec![$($crate::http::query::parameter::<$type>(
                    $crate::http::query::bare(stringify!($field)),
                    concat!($($field_doc, "\n"),*),
                )),*]
            }
        }

        impl utoipa::IntoParams for $query {
            fn into_params(
                _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                <Self as $crate::http::query::FromQuery>::parameters()
            }
        }
    };
}

/// A field's name without the `r#` of a keyword.
pub const fn bare(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

pub(crate) use query;

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use chrono::{DateTime, Utc};
    use domain::{plan::Plan, text::Email};

    use super::*;

    query! {
        /// What to look for.
        struct Search {
            /// Whom.
            email: Email,
            /// Since when.
            from: Option<DateTime<Utc>>,
            plan: Vec<Plan>,
            r#type: Option<String>,
            most: Option<u32>,
        }
    }

    fn read(query: &str) -> Result<Search, Vec<(String, String)>> {
        let request = TestRequest::with_uri(&format!("/search?{query}")).to_http_request();
        Query::<Search>::extract(&request).into_inner().map(|query| query.0).map_err(|problem| {
            let body: serde_json::Value = serde_json::from_slice(&problem.body(None)).unwrap();
            assert_eq!(body["code"], "validation_failed");
            let text = |error: &serde_json::Value, key: &str| error[key].as_str().unwrap().to_owned();
            body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|error| (text(error, "pointer"), text(error, "code")))
                .collect()
        })
    }

    #[test]
    fn parameters_are_decoded_and_unknown_ones_ignored() {
        let search = read(
            "email=ada%40example.com&plan=free&plan=pro&type=a+b&from=2026-01-31T12:00:00%2B01:00&x=%00",
        );
        let search = search.unwrap();
        assert_eq!((search.email.as_str(), search.plan), ("ada@example.com", vec![Plan::Free, Plan::Pro]));
        assert_eq!((search.r#type.as_deref(), search.most), (Some("a b"), None));
        assert_eq!(search.from.unwrap().to_rfc3339(), "2026-01-31T11:00:00+00:00");
        assert_eq!(Search::NAMES, ["email", "from", "plan", "type", "most"]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let told = read("from=now&plan=free&plan=gold&type=a%00&most=-1&most=2").unwrap_err();
        let told: Vec<_> = told.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect();
        assert_eq!(
            told,
            [
                ("?email", "required"),
                ("?from", "invalid_time"),
                ("?plan", "unknown_value"),
                ("?type", "nul_character"),
                ("?most", "repeated"),
            ]
        );
        assert_eq!(read("email=a%40b.com&type=%ff").unwrap_err()[0].1, "invalid_utf8");
    }
}
