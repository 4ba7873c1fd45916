//! The values of the domain as fields of a body and as query parameters: one line each.

use std::str::FromStr;

use application::passwords::Password;
use domain::{
    ids::{
        ApiKeyId, EventId, InvitationId, MemberId, ProjectId, RequestId, SessionId, SubscriptionId, TenantId,
        UserId, WorkspaceId,
    },
    invalid::Invalid,
    permission::{Permission, Role},
    plan::Plan,
    text::{Email, Name, Slug},
};
use projections::{
    invitations::InvitationState,
    usage::{GroupBy, Interval},
};
use serde_json::value::RawValue;
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, SchemaFormat, Type, schema::Schema};

use super::{
    findings::Findings,
    from_json::{FromJson, from_json_string, text},
    from_text::FromText,
};

/// Types that parse themselves: how they are described in the document.
macro_rules! texts {
    ($($type:ty: $schema:expr;)*) => {
        $(
            impl FromText for $type {
                fn from_text(text: &str) -> Result<Self, Invalid> {
                    Self::from_str(text)
                }

                fn schema() -> RefOr<Schema> {
                    $schema.schema_type(Type::String).into()
                }
            }
        )*
        from_json_string! { $($type)* }
    };
}

/// Ids, described by their prefix.
macro_rules! ids {
    ($($id:ident)*) => {
        texts! { $($id: ObjectBuilder::new().pattern(Some(format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", $id::PREFIX)));)* }
    };
}

/// Enumerations with `ALL` and `as_str`.
macro_rules! names {
    ($($type:ty)*) => {
        $(
            impl FromText for $type {
                fn from_text(text: &str) -> Result<Self, Invalid> {
                    Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                        let known = Self::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", ");
                        Invalid::new("unknown_value", format!("must be one of: {known}"))
                    })
                }

                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some(Self::ALL.iter().map(|value| value.as_str())))
                        .into()
                }
            }
        )*
        from_json_string! { $($type)* }
    };
}

texts! {
    Email: ObjectBuilder::new()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .min_length(Some(3))
        .max_length(Some(254));
    Name: ObjectBuilder::new().min_length(Some(1)).max_length(Some(200));
    Slug: ObjectBuilder::new()
        .min_length(Some(2))
        .max_length(Some(63))
        .pattern(Some("^[a-z0-9]([a-z0-9-]*[a-z0-9])$"));
}

ids! {
    ApiKeyId EventId InvitationId MemberId ProjectId RequestId SessionId SubscriptionId TenantId UserId WorkspaceId
}

names! { GroupBy Interval InvitationState Permission Plan Role }

/// A password that is to be set.
#[derive(Clone, Debug)]
pub struct NewPassword(pub Password);

/// A password to sign in with.
#[derive(Clone, Debug)]
pub struct PresentedPassword(pub Password);

fn password_schema(least: usize) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .min_length(Some(least))
        .max_length(Some(256))
        .write_only(true)
        .into()
}

impl FromJson for NewPassword {
    fn from_json(json: &RawValue, findings: &mut Findings) -> Option<Self> {
        let password = text(json, findings)?;
        findings.keep(Password::chosen(password.into_owned())).map(Self)
    }

    fn schema() -> RefOr<Schema> {
        password_schema(8)
    }
}

impl FromJson for PresentedPassword {
    fn from_json(json: &RawValue, findings: &mut Findings) -> Option<Self> {
        let password = text(json, findings)?;
        findings.keep(Password::presented(password.into_owned())).map(Self)
    }

    fn schema() -> RefOr<Schema> {
        password_schema(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromJson>(json: &str) -> Result<T, String> {
        let raw = serde_json::from_str(json).unwrap();
        let mut findings = Findings::default();
        let value = T::from_json(raw, &mut findings);
        findings.into_result(value).map_err(|errors| errors[0].invalid.code.to_owned())
    }

    #[test]
    fn values_of_the_domain_keep_their_codes() {
        assert_eq!(read::<Email>(r#"" Ada@Example.com ""#).unwrap().as_str(), "ada@example.com");
        assert_eq!(read::<Email>(r#""ada""#).unwrap_err(), "invalid_email");
        assert_eq!(read::<Email>("7").unwrap_err(), "wrong_type");
        assert_eq!(read::<Email>("null").unwrap_err(), "wrong_type");
        assert_eq!(read::<Role>(r#""auditor""#).unwrap(), Role::Auditor);
        assert_eq!(read::<Role>(r#""Owner""#).unwrap_err(), "unknown_value");
        let id = TenantId::random();
        assert_eq!(read::<TenantId>(&format!("\"{id}\"")).unwrap(), id);
        assert_eq!(read::<UserId>(&format!("\"{id}\"")).unwrap_err(), "invalid_id");
        assert_eq!(read::<NewPassword>(r#""short""#).unwrap_err(), "too_short");
        assert!(read::<PresentedPassword>(r#""short""#).is_ok());
    }
}
