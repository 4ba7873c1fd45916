//! What a member may do: permissions, and the roles that bundle them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

macro_rules! permissions {
    ($($(#[$doc:meta])* $permission:ident = $name:literal;)*) => {
        /// One thing that a member or a key may do in a tenant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Permission { $($(#[$doc])* #[serde(rename = $name)] $permission,)* }

        impl Permission {
            /// Every permission there is.
            pub const ALL: &[Self] = &[$(Self::$permission,)*];

            /// The name in the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$permission => $name,)* }
            }
        }
    };
}

permissions! {
    /// See the tenant, its workspaces, projects and members.
    TenantRead = "tenant.read";
    /// Change the tenant's name, slug and settings.
    TenantManage = "tenant.manage";
    /// Create and change workspaces and projects.
    ProjectsManage = "projects.manage";
    /// See, issue, rotate and revoke API keys.
    ApiKeysManage = "api_keys.manage";
    /// Invite people, resend and revoke invitations.
    MembersInvite = "members.invite";
    /// Change roles and remove members.
    MembersManage = "members.manage";
    /// See the subscription.
    BillingRead = "billing.read";
    /// Change, cancel and resume the subscription.
    BillingManage = "billing.manage";
    /// See usage.
    UsageRead = "usage.read";
    /// List tracked events.
    EventsRead = "events.read";
    /// Send tracked events.
    EventsWrite = "events.write";
    /// Read the audit log and the journal.
    AuditRead = "audit.read";
}

/// A set of permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(BTreeSet<Permission>);

impl Permissions {
    /// All that there are.
    pub fn all() -> Self {
        Permission::ALL.iter().copied().collect()
    }

    /// Whether `permission` is one of them.
    pub fn allow(&self, permission: Permission) -> bool {
        self.0.contains(&permission)
    }

    /// Whether all of `others` are among them.
    pub fn cover(&self, others: &Self) -> bool {
        others.0.is_subset(&self.0)
    }

    /// In the order of [`Permission::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Permission> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().collect())
    }
}

/// A member's role, as a bundle of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, billing included; a tenant always has one.
    Owner,
    /// Everything but changing the subscription.
    Admin,
    /// Works with the data.
    Member,
    /// Reads everything, changes nothing.
    Auditor,
}

impl Role {
    /// The built-in roles.
    pub const ALL: &[Self] = &[Self::Owner, Self::Admin, Self::Member, Self::Auditor];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Auditor => "auditor",
        }
    }

    /// What the role allows.
    pub fn permissions(self) -> Permissions {
        use Permission::*;
        match self {
            Self::Owner => Permissions::all(),
            Self::Admin => {
                Permission::ALL.iter().copied().filter(|permission| *permission != BillingManage).collect()
            }
            Self::Member => [TenantRead, UsageRead, EventsRead, EventsWrite].into_iter().collect(),
            Self::Auditor => {
                [TenantRead, BillingRead, UsageRead, EventsRead, AuditRead].into_iter().collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_grants_more_than_the_owner_has() {
        for role in Role::ALL {
            assert!(Role::Owner.permissions().cover(&role.permissions()));
        }
        assert!(!Role::Admin.permissions().cover(&Role::Owner.permissions()));
        assert!(!Role::Auditor.permissions().allow(Permission::EventsWrite));
    }
}
