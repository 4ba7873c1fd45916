//! Membership: a user belongs to a tenant, with a role.
//!
//! ```text
//!                        ┌────┐
//!                        ▼    │ ChangeRole
//! Absent ── Join ──▶ Active ──┘
//!                     │  ▲
//! Remove, Leave, Erase ▼  │ Join
//!                     Ended
//! ```
//! A membership does not know the others of its tenant, so it lets anybody go. The last owner is kept by the tenant's
//! `EndOwnership`, which is decided in the same commit.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::{MemberId, UserId, WorkspaceId},
    permission::Role,
    personal::About,
    text::{Email, Name},
};

/// A membership's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Membership {
    /// The user was never a member.
    #[default]
    Absent,
    /// The user is a member.
    Active(Member),
    /// The user was a member, and may become one again.
    Ended,
}

/// What is known of a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The membership.
    pub member_id: MemberId,
    /// Whose.
    pub user_id: UserId,
    /// What they may do.
    pub role: Role,
}

/// What can be asked of a membership.
#[derive(Clone, Debug)]
pub enum MembershipCommand {
    /// Become a member.
    Join(MemberJoined),
    /// Give them another role.
    ChangeRole {
        /// The new role.
        role: Role,
    },
    /// Send them away.
    Remove,
    /// Go.
    Leave,
    /// End it because the user is erased.
    Erase,
}

events! {
    /// What has happened to a membership.
    MembershipEvent {
        /// A user became a member.
        MemberJoined = 1 {
            /// The membership.
            member_id: MemberId,
            /// Who.
            user_id: UserId,
            /// Their address at the time.
            email: Email [About::User("user_id")],
            /// Their name at the time.
            name: Name [About::User("user_id")],
            /// What they may do.
            role: Role,
            /// The workspaces that they may see; empty: all.
            workspace_ids: Vec<WorkspaceId>,
        }
        /// They have another role.
        MemberRoleChanged = 1 {
            /// The new role.
            role: Role,
        }
        /// They were sent away.
        MemberRemoved = 1 {}
        /// They went.
        MemberLeft = 1 {}
        /// Their account was erased, and the membership with it.
        MemberErased = 1 {}
    }
}

/// Why something asked of a membership did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipReason {
    /// There is no such member, or no longer.
    #[error("there is no such member")]
    Unknown,
    /// The user is a member already.
    #[error("the user is a member already")]
    AlreadyMember,
}

impl Refusal for MembershipReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
            Self::AlreadyMember => RefusalKind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "member_not_found",
            Self::AlreadyMember => "already_member",
        }
    }
}

aggregate!(Membership = "membership", MembershipCommand -> MembershipEvent or MembershipReason);

impl Decide for Membership {
    const SNAPSHOT_EVERY: u64 = 100;
    const SNAPSHOT_VERSION: u16 = 2;

    fn decide(
        &self,
        command: MembershipCommand,
        _now: DateTime<Utc>,
    ) -> Result<Vec<MembershipEvent>, MembershipReason> {
        use MembershipCommand::*;
        Ok(match (self, command) {
            (Self::Absent | Self::Ended, Join(joined)) => vec![joined.into()],
            // The id is derived from tenant and user, so this can be a second way in, with another role: no repetition.
            (Self::Active(_), Join(_)) => return Err(MembershipReason::AlreadyMember),
            (Self::Absent, _) => return Err(MembershipReason::Unknown),

            (Self::Active(member), ChangeRole { role }) if role == member.role => vec![],
            (Self::Active(_), ChangeRole { role }) => vec![MemberRoleChanged { role }.into()],
            (Self::Active(_), Remove) => vec![MemberRemoved {}.into()],
            (Self::Active(_), Leave) => vec![MemberLeft {}.into()],
            (Self::Active(_), Erase) => vec![MemberErased {}.into()],

            (Self::Ended, Remove | Leave | Erase) => vec![],
            (Self::Ended, ChangeRole { .. }) => return Err(MembershipReason::Unknown),
        })
    }
}

impl Membership {
    /// The member, while they are one.
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Active(member) => Some(member),
            Self::Absent | Self::Ended => None,
        }
    }

    fn evolve(&mut self, event: MembershipEvent) {
        match event {
            MembershipEvent::MemberJoined(joined) => {
                let MemberJoined { member_id, user_id, role, .. } = joined;
                *self = Self::Active(Member { member_id, user_id, role });
            }
            MembershipEvent::MemberRoleChanged(changed) => {
                if let Self::Active(member) = self {
                    member.role = changed.role;
                }
            }
            MembershipEvent::MemberRemoved(_)
            | MembershipEvent::MemberLeft(_)
            | MembershipEvent::MemberErased(_) => *self = Self::Ended,
        }
    }
}

#[cfg(test)]
#[path = "memberships_tests.rs"]
mod tests;
