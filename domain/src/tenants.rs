//! Tenant: a company, the billing entity and the owner of a journal.
//!
//! ```text
//! Absent ── Create ──▶ Active ── Freeze ──▶ Frozen
//!                      │  ▲ ▲                 │
//!                      │  │ └─── Unfreeze ────┘
//!                      └──┘
//!  Rename, ChangeSlug, GrantOwnership, EndOwnership
//! ```
//! A tenant that has had an owner always has one: the last one's ownership can't be ended. Roles are kept by the
//! memberships; who is an owner is repeated here because only here all of them are seen at once. A slug's uniqueness is
//! a claim in the platform's journal.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::{MemberId, TenantId, UserId},
    text::{Name, Slug},
};

/// A tenant's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Tenant {
    /// There is none.
    #[default]
    Absent,
    /// At work.
    Active(Profile),
    /// Stopped by the platform's administrators, for the reason given: nothing of it changes.
    Frozen(Profile, String),
}

/// What is known of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The tenant.
    pub tenant_id: TenantId,
    /// What it is called.
    pub name: Name,
    /// Its name in addresses.
    pub slug: Slug,
    /// The members with the role of an owner.
    pub owners: BTreeSet<MemberId>,
}

/// What can be asked of a tenant.
#[derive(Clone, Debug)]
pub enum TenantCommand {
    /// Found it.
    Create(TenantCreated),
    /// Call it something else.
    Rename {
        /// The new name.
        name: Name,
    },
    /// Move it to another address.
    ChangeSlug {
        /// The new slug.
        slug: Slug,
    },
    /// Stop it.
    Freeze {
        /// Why, for its owners to read.
        reason: String,
    },
    /// Let it go on.
    Unfreeze,
    /// Make a member an owner.
    GrantOwnership {
        /// Who.
        member_id: MemberId,
    },
    /// A member is an owner no longer: another role, removed, left.
    EndOwnership {
        /// Who.
        member_id: MemberId,
    },
}

events! {
    /// What has happened to a tenant.
    TenantEvent {
        /// It was founded. Its first owner follows as an [`OwnershipGranted`].
        TenantCreated = 1 {
            /// The tenant.
            tenant_id: TenantId,
            /// What it is called.
            name: Name,
            /// Its name in addresses.
            slug: Slug,
            /// Who founded it.
            created_by: UserId,
        }
        /// It is called something else.
        TenantRenamed = 1 {
            /// The new name.
            name: Name,
        }
        /// It has moved to another address.
        TenantSlugChanged = 1 {
            /// The new slug.
            slug: Slug,
        }
        /// It was stopped, or the reason for that has changed.
        TenantFrozen = 1 {
            /// Why.
            reason: String,
        }
        /// It goes on.
        TenantUnfrozen = 1 {}
        /// A member became an owner.
        OwnershipGranted = 1 {
            /// Who.
            member_id: MemberId,
        }
        /// A member is an owner no longer.
        OwnershipEnded = 1 {
            /// Who.
            member_id: MemberId,
        }
    }
}

/// Why something asked of a tenant did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantReason {
    /// There is no such tenant.
    #[error("there is no such tenant")]
    Unknown,
    /// It is stopped.
    #[error("the tenant is frozen")]
    Frozen,
    /// Nobody would be left to own it.
    #[error("a tenant needs an owner; make somebody else one first")]
    LastOwner,
}

impl Refusal for TenantReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
            Self::Frozen => RefusalKind::Locked,
            Self::LastOwner => RefusalKind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "tenant_not_found",
            Self::Frozen => "tenant_frozen",
            Self::LastOwner => "last_owner",
        }
    }
}

aggregate!(Tenant = "tenant", TenantCommand -> TenantEvent or TenantReason);

impl Decide for Tenant {
    const SNAPSHOT_EVERY: u64 = 100;

    fn decide(&self, command: TenantCommand, _now: DateTime<Utc>) -> Result<Vec<TenantEvent>, TenantReason> {
        use TenantCommand::*;
        Ok(match (self, command) {
            (Self::Absent, Create(created)) => vec![created.into()],
            // An id is made for each founding: the same one again is the same founding again.
            (_, Create(_)) => vec![],
            (Self::Absent, _) => return Err(TenantReason::Unknown),

            (Self::Frozen(_, current), Freeze { reason }) if reason == *current => vec![],
            (_, Freeze { reason }) => vec![TenantFrozen { reason }.into()],
            (Self::Frozen(..), Unfreeze) => vec![TenantUnfrozen {}.into()],
            (Self::Active(_), Unfreeze) => vec![],
            // Nobody decides this in a frozen tenant, but an owner can be erased.
            (Self::Active(profile) | Self::Frozen(profile, _), EndOwnership { member_id }) => {
                return profile.end_ownership(member_id);
            }
            (Self::Frozen(..), _) => return Err(TenantReason::Frozen),

            (Self::Active(profile), Rename { name }) if name == profile.name => vec![],
            (Self::Active(_), Rename { name }) => vec![TenantRenamed { name }.into()],
            (Self::Active(profile), ChangeSlug { slug }) if slug == profile.slug => vec![],
            (Self::Active(_), ChangeSlug { slug }) => vec![TenantSlugChanged { slug }.into()],
            (Self::Active(profile), GrantOwnership { member_id }) if profile.owners.contains(&member_id) => {
                vec![]
            }
            (Self::Active(_), GrantOwnership { member_id }) => vec![OwnershipGranted { member_id }.into()],
        })
    }
}

impl Tenant {
    /// What is known of it, if there is one; a frozen one too.
    pub fn profile(&self) -> Option<&Profile> {
        match self {
            Self::Active(profile) | Self::Frozen(profile, _) => Some(profile),
            Self::Absent => None,
        }
    }

    /// Whether it is stopped.
    pub fn is_frozen(&self) -> bool {
        matches!(self, Self::Frozen(..))
    }

    fn evolve(&mut self, event: TenantEvent) {
        match event {
            TenantEvent::TenantCreated(created) => {
                let TenantCreated { tenant_id, name, slug, .. } = created;
                *self = Self::Active(Profile { tenant_id, name, slug, owners: BTreeSet::new() });
            }
            TenantEvent::TenantFrozen(frozen) => self.enter(|profile| Self::Frozen(profile, frozen.reason)),
            TenantEvent::TenantUnfrozen(_) => self.enter(Self::Active),
            TenantEvent::TenantRenamed(renamed) => self.amend(|profile| profile.name = renamed.name),
            TenantEvent::TenantSlugChanged(changed) => self.amend(|profile| profile.slug = changed.slug),
            TenantEvent::OwnershipGranted(granted) => self.amend(|profile| {
                profile.owners.insert(granted.member_id);
            }),
            TenantEvent::OwnershipEnded(ended) => self.amend(|profile| {
                profile.owners.remove(&ended.member_id);
            }),
        }
    }

    /// Goes to another state with the same profile.
    fn enter(&mut self, state: impl FnOnce(Profile) -> Self) {
        if let Self::Active(profile) | Self::Frozen(profile, _) = std::mem::take(self) {
            *self = state(profile);
        }
    }

    /// Changes the profile in whichever state.
    fn amend(&mut self, change: impl FnOnce(&mut Profile)) {
        if let Self::Active(profile) | Self::Frozen(profile, _) = self {
            change(profile);
        }
    }
}

impl Profile {
    fn end_ownership(&self, member_id: MemberId) -> Result<Vec<TenantEvent>, TenantReason> {
        match self.owners.contains(&member_id) {
            false => Ok(vec![]),
            true if self.is_last_owner(member_id) => Err(TenantReason::LastOwner),
            true => Ok(vec![OwnershipEnded { member_id }.into()]),
        }
    }

    /// Whether nobody would be left to own the tenant without this member.
    pub fn is_last_owner(&self, member_id: MemberId) -> bool {
        self.owners.len() == 1 && self.owners.contains(&member_id)
    }
}

#[cfg(test)]
#[path = "tenants_tests.rs"]
mod tests;
