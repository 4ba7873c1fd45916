//! Bodies in JSON: declared once, read with every fault told.
//!
//! ```ignore
//! body! {
//!     /// What a new account needs.
//!     pub struct Register {
//!         /// The address to sign in with.
//!         pub email: Email,
//!         /// At least eight characters.
//!         pub password: NewPassword,
//!         /// A name for the address, if one is wished for.
//!         pub slug: Option<Slug>,
//!     }
//! }
//! ```
//!
//! gives the struct, [`FromJson`] for [`Json<Register>`](Json), and the schema for
//! OpenAPI. A field that may be missing or `null` is an `Option`. After the name may stand `[deny_unknown]`, for bodies
//! where a typo would be dangerous (any unknown field, or none at all, is then a fault; with `[known_or_none]` none is
//! fine), and `[limit = 4 << 20]` for another limit than 64 KiB. A body can be a field of another.

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Bytes};
use futures_util::future::LocalBoxFuture;
use serde_json::value::RawValue;

use super::{
    findings::Findings,
    from_json::FromJson,
    json_text::JsonText,
    payload::{is_json, not_json, read},
    problem::Problem,
};

/// A body in JSON, checked. (Its name is what lets utoipa document it by itself.)
///
/// Refused with 415 unless its type is JSON, with 413 above [`FromJson::LIMIT`], with 400 if it can't be read, and with
/// 422 and all faults if it breaks rules.
#[derive(Debug)]
pub struct Json<T> {
    /// What the body says.
    pub value: T,
    /// Its bytes, decompressed: what an idempotency key is bound to.
    pub text: Bytes,
}

impl<T: FromJson + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            if !is_json(&request) {
                return Err(not_json());
            }
            let text = read(request.headers(), payload, T::LIMIT).await?;
            Ok(Self { value: parse(&text)?, text })
        })
    }
}

/// The value that a body says, or every fault in it.
pub fn parse<T: FromJson>(text: &[u8]) -> Result<T, Problem> {
    let text = JsonText::parse(text)?;
    from_value(text.value, Findings::starting_with(text.nuls))
}

fn from_value<T: FromJson>(json: &RawValue, mut findings: Findings) -> Result<T, Problem> {
    let value = T::from_json(json, &mut findings);
    findings.into_result(value).map_err(Problem::invalid)
}

/// Declares a body; see the [module](self).
macro_rules! body {
    (
        $(#[doc = $doc:literal])*
        $visibility:vis struct $body:ident $([$option:ident $(= $value:expr)?])* {
            $($(#[doc = $field_doc:literal])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        $visibility struct $body { $($(#[doc = $field_doc])* $field_visibility $field: $type,)* }

        impl $crate::http::from_json::FromJson for $body {
            $($crate::http::body::body! { @limit $option $(= $value)? })*

            fn from_json(
                json: &serde_json::value::RawValue,
                findings: &mut $crate::http::findings::Findings,
            ) -> Option<Self> {
                let mut fields = $crate::http::from_json::Fields::of(json, findings)?;
                // All are read before the first that is missing ends it: every fault is told.
                $(let $field = fields.take(stringify!($field).trim_start_matches("r#"), findings);)*
                $($crate::http::body::body! { @deny $option fields findings })*
                Some(Self { $($field: $field?,)* })
            }

            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::Ref::from_schema_name(stringify!($body)).into()
            }

            fn schemas(schemas: &mut $crate::http::from_json::Schemas) {
                schemas.push((stringify!($body).to_owned(), <Self as utoipa::PartialSchema>::schema()));
                <Self as utoipa::ToSchema>::schemas(schemas);
            }
        }

        impl utoipa::PartialSchema for $body {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let object = utoipa::openapi::ObjectBuilder::new()
                    .description(Some(concat!($($doc, "\n"),*).trim()));
                $(
                    let name = stringify!($field).trim_start_matches("r#");
                    let schema = <$type as $crate::http::from_json::FromJson>::schema();
                    let object = object
                        .property(name, $crate::http::from_json::described(schema, concat!($($field_doc, "\n"),*)));
                    let object = if <$type as $crate::http::from_json::FromJson>::absent().is_none() {
                        object.required(name)
                    } else {
                        object
                    };
                )*
                object.into()
            }
        }

        impl utoipa::ToSchema for $body {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($body).into()
            }

            fn schemas(schemas: &mut $crate::http::from_json::Schemas) {
                $(<$type as $crate::http::from_json::FromJson>::schemas(schemas);)*
            }
        }
    };
    (@limit limit = $limit:expr) => { const LIMIT: usize = $limit; };
    (@limit deny_unknown) => {};
    (@limit known_or_none) => {};
    (@deny limit $fields:ident $findings:ident) => {};
    (@deny deny_unknown $fields:ident $findings:ident) => {
        $fields.deny_none($findings);
        $fields.deny_unknown($findings);
    };
    (@deny known_or_none $fields:ident $findings:ident) => { $fields.deny_unknown($findings); };
}

pub(crate) use body;

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
