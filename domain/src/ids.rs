//! Identifiers: [TypeIDs](https://github.com/jetify-com/typeid/tree/main/spec), a prefix that tells the kind and a
//! UUID in base32.
//!
//! Most are random and sort by time (UUIDv7). Those that must be found again without a lookup are derived from their
//! parts (UUIDv8 over SHA-256): a user's membership of a tenant, a tenant's subscription and meter, the streams of a
//! tracked event and of a foreign aggregate. Two parties that derive one meet in the same stream, so uniqueness needs no second index.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};
use type_safe_id::{StaticType, TypeSafeId};
use uuid::Uuid;

use crate::invalid::Invalid;

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(Uuid);

        impl $id {
            /// What every id of this kind begins with, before the underscore.
            pub const PREFIX: &str = $prefix;

            /// A new id that sorts after those made before it.
            pub fn random() -> Self {
                Self(Uuid::now_v7())
            }

            /// The UUID without its prefix, as the database keeps it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $id {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$id> for Uuid {
            fn from(id: $id) -> Uuid {
                id.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                #[derive(Default)]
                struct Prefix;
                impl StaticType for Prefix {
                    const TYPE: &'static str = $prefix;
                }
                TypeSafeId::<Prefix>::from_uuid(self.0).fmt(formatter)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $id {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                #[derive(Default)]
                struct Prefix;
                impl StaticType for Prefix {
                    const TYPE: &'static str = $prefix;
                }
                text.parse::<TypeSafeId<Prefix>>()
                    .map(|id| Self(id.uuid()))
                    .map_err(|_| Invalid::new("invalid_id", concat!("is not an id that begins with ", $prefix, "_")))
            }
        }

        impl serde::Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A person, known to the platform by e-mail address.
    UserId = "usr";
    /// A sign-in of a user on one device.
    SessionId = "ses";
    /// A company: the billing entity and the owner of a journal.
    TenantId = "ten";
    /// An organizational unit of a tenant.
    WorkspaceId = "wsp";
    /// A data partition of a workspace.
    ProjectId = "prj";
    /// A credential that a project's data is sent with.
    ApiKeyId = "key";
    /// An invitation of an e-mail address to a tenant.
    InvitationId = "inv";
    /// A user's membership of a tenant.
    MemberId = "mem";
    /// A tenant's subscription.
    SubscriptionId = "sub";
    /// A tenant's meter of tracked events.
    MeterId = "met";
    /// A tracked event, or an entry of the audit log.
    EventId = "evt";
    /// An aggregate of another cqrs-es system.
    ForeignAggregateId = "fgn";
    /// Work that is done in the background.
    JobId = "job";
    /// An HTTP request.
    RequestId = "req";
}

impl TenantId {
    /// The operator of the installation: tenant zero.
    pub const PLATFORM: Self = Self(Uuid::nil());
}

impl MemberId {
    /// The membership of `user` in `tenant`; the same one when they leave and come back.
    pub fn of(tenant: TenantId, user: UserId) -> Self {
        Self(derive("member", &[tenant.0.as_bytes(), user.0.as_bytes()]))
    }
}

impl SubscriptionId {
    /// The one subscription of `tenant`.
    pub fn of(tenant: TenantId) -> Self {
        Self(derive("subscription", &[tenant.0.as_bytes()]))
    }
}

impl MeterId {
    /// The one meter of `tenant`.
    pub fn of(tenant: TenantId) -> Self {
        Self(derive("meter", &[tenant.0.as_bytes()]))
    }
}

impl EventId {
    /// The event that a project's `message_id` names, for good.
    pub fn of_message(project: ProjectId, message_id: &str) -> Self {
        Self(derive("message", &[project.0.as_bytes(), message_id.as_bytes()]))
    }

    /// The event at a position of a tenant's journal.
    pub fn at(tenant: TenantId, position: u64) -> Self {
        Self(derive("position", &[tenant.0.as_bytes(), &position.to_be_bytes()]))
    }
}

impl ForeignAggregateId {
    /// The aggregate that another system calls by this type and id, in `tenant`.
    pub fn of(tenant: TenantId, aggregate_type: &str, aggregate_id: &str) -> Self {
        let length = (aggregate_type.len() as u64).to_be_bytes();
        let parts: [&[u8]; 4] =
            [tenant.0.as_bytes(), &length, aggregate_type.as_bytes(), aggregate_id.as_bytes()];
        Self(derive("foreign aggregate", &parts))
    }
}

/// Every part but the last has a fixed length, or its length before it, so that no two lists of parts read the same.
fn derive(purpose: &str, parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(purpose.as_bytes());
    hash.update([0]);
    for part in parts {
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_keep_their_kind() {
        let id = UserId::random();
        assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
        assert!(id.to_string().parse::<TenantId>().is_err());
        assert!("usr_".parse::<UserId>().is_err());
        assert!("usr_01H".parse::<UserId>().is_err());
    }

    #[test]
    fn derived_ids_are_the_same_for_the_same_parts_only() {
        let (tenant, user) = (TenantId::random(), UserId::random());
        assert_eq!(MemberId::of(tenant, user), MemberId::of(tenant, user));
        assert_ne!(MemberId::of(tenant, user), MemberId::of(tenant, UserId::random()));
        assert_ne!(SubscriptionId::of(tenant).uuid(), MeterId::of(tenant).uuid());
    }

    #[test]
    fn the_platform_is_the_nil_tenant() {
        assert_eq!(TenantId::PLATFORM.to_string(), "ten_00000000000000000000000000");
    }
}
