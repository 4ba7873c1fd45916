//! Invitation: an e-mail address is asked to join a tenant.
//!
//! ```text
//! Absent ── Send ──▶ Pending ── Accept ──▶ Accepted
//!                    │  ▲ └── Decline ──▶ Declined
//!                    │  └─ Resend        └ Revoke ──▶ Revoked, Expire ──▶ Expired
//! ```
//! The token in the mail carries the invitation's generation; a resend makes a new generation, so an older mail's link
//! no longer works.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::{InvitationId, UserId, WorkspaceId},
    permission::Role,
    personal::About,
    text::Email,
};

/// An invitation's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Invitation {
    /// There is none.
    #[default]
    Absent,
    /// Sent, and neither answered nor withdrawn. It may have expired without anybody having said so yet.
    Pending(Offer),
    /// The invited person has joined.
    Accepted,
    /// The invited person has said no.
    Declined,
    /// Its time was over.
    Expired,
    /// The tenant has withdrawn it.
    Revoked,
}

/// What a pending invitation offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Who is invited.
    pub email: Email,
    /// The role that they would have.
    pub role: Role,
    /// The workspaces that they would work in; empty: all.
    pub workspace_ids: Vec<WorkspaceId>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// Which of the mails sent holds the valid link.
    pub generation: u32,
}

/// What can be asked of an invitation.
#[derive(Clone, Debug)]
pub enum InvitationCommand {
    /// Invite an address.
    Send(InvitationSent),
    /// Send another mail, which makes the links of earlier ones invalid, with a new expiry.
    Resend {
        /// How long the new link is good for.
        valid_for: TimeDelta,
    },
    /// Join: `address` is the accepting user's verified address.
    Accept {
        /// Who accepts.
        user_id: UserId,
        /// Their verified address.
        address: Email,
        /// The generation that the link carries.
        generation: u32,
    },
    /// Say no.
    Decline {
        /// The declining user's verified address.
        address: Email,
        /// The generation that the link carries.
        generation: u32,
    },
    /// Withdraw it.
    Revoke,
    /// Close it because its time is over.
    Expire,
}

events! {
    /// What has happened to an invitation.
    InvitationEvent {
        /// An address was invited.
        InvitationSent = 1 {
            /// The invitation.
            invitation_id: InvitationId,
            /// Who is invited.
            email: Email [About::Address],
            /// The role offered.
            role: Role,
            /// The workspaces offered; empty: all.
            workspace_ids: Vec<WorkspaceId>,
            /// Who invites, by name.
            invited_by: String [About::Actor],
            /// Until when it can be accepted.
            expires_at: DateTime<Utc>,
        }
        /// Another mail was asked for; earlier links are invalid.
        InvitationResent = 1 {
            /// The generation of the new link.
            generation: u32,
            /// Until when it can be accepted now.
            expires_at: DateTime<Utc>,
        }
        /// The invited person joined.
        InvitationAccepted = 1 {
            /// Who.
            user_id: UserId,
        }
        /// The invited person said no.
        InvitationDeclined = 1 {}
        /// The tenant withdrew it.
        InvitationRevoked = 1 {}
        /// Its time was over.
        InvitationExpired = 1 {}
    }
}

/// Why something asked of an invitation did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationReason {
    /// There is no such invitation, or the link is from an older mail.
    #[error("there is no such invitation")]
    Unknown,
    /// Its time is over.
    #[error("the invitation has expired; ask for a new one")]
    Expired,
    /// It was accepted before.
    #[error("the invitation has been accepted already")]
    AlreadyAccepted,
    /// It was declined before.
    #[error("the invitation has been declined")]
    AlreadyDeclined,
    /// It was withdrawn.
    #[error("the invitation has been revoked")]
    Revoked,
    /// It is for somebody else.
    #[error("the invitation is for another e-mail address")]
    ForOtherAddress,
    /// Its time is not over yet.
    #[error("the invitation has not expired yet")]
    NotExpired,
}

impl Refusal for InvitationReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
            Self::ForOtherAddress => RefusalKind::Forbidden,
            Self::Expired
            | Self::AlreadyAccepted
            | Self::AlreadyDeclined
            | Self::Revoked
            | Self::NotExpired => RefusalKind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "invitation_not_found",
            Self::Expired => "invitation_expired",
            Self::AlreadyAccepted => "invitation_accepted",
            Self::AlreadyDeclined => "invitation_declined",
            Self::Revoked => "invitation_revoked",
            Self::ForOtherAddress => "invitation_for_other_address",
            Self::NotExpired => "invitation_not_expired",
        }
    }
}

aggregate!(Invitation = "invitation", InvitationCommand -> InvitationEvent or InvitationReason);

// Never a snapshot: who invites is in the first event only, where the mail looks for it.
impl Decide for Invitation {
    const READS_PERSONAL: bool = true;

    fn decide(
        &self,
        command: InvitationCommand,
        now: DateTime<Utc>,
    ) -> Result<Vec<InvitationEvent>, InvitationReason> {
        use InvitationCommand::*;
        Ok(match (self, command) {
            (Self::Absent, Send(sent)) => vec![sent.into()],
            // An id is made for each sending: the same one again is the same sending again.
            (_, Send(_)) => vec![],
            (Self::Absent, _) => return Err(InvitationReason::Unknown),

            (Self::Pending(offer), Resend { valid_for }) => {
                vec![
                    InvitationResent { generation: offer.generation + 1, expires_at: now + valid_for }.into(),
                ]
            }
            (Self::Pending(offer), Accept { user_id, address, generation }) => {
                offer.answerable(&address, generation, now)?;
                vec![InvitationAccepted { user_id }.into()]
            }
            (Self::Pending(offer), Decline { address, generation }) => {
                offer.answerable(&address, generation, now)?;
                vec![InvitationDeclined {}.into()]
            }
            (Self::Pending(_), Revoke) => vec![InvitationRevoked {}.into()],
            (Self::Pending(offer), Expire) if offer.expires_at <= now => vec![InvitationExpired {}.into()],
            (Self::Pending(_), Expire) => return Err(InvitationReason::NotExpired),

            (Self::Declined, Decline { .. }) | (Self::Revoked, Revoke) | (Self::Expired, Expire) => vec![],
            (Self::Accepted, _) => return Err(InvitationReason::AlreadyAccepted),
            (Self::Declined, _) => return Err(InvitationReason::AlreadyDeclined),
            (Self::Revoked, _) => return Err(InvitationReason::Revoked),
            (Self::Expired, _) => return Err(InvitationReason::Expired),
        })
    }
}

impl Invitation {
    /// The offer, while it is open at `now`.
    pub fn open(&self, now: DateTime<Utc>) -> Result<&Offer, InvitationReason> {
        match self {
            Self::Pending(offer) if now < offer.expires_at => Ok(offer),
            Self::Pending(_) | Self::Expired => Err(InvitationReason::Expired),
            Self::Absent => Err(InvitationReason::Unknown),
            Self::Accepted => Err(InvitationReason::AlreadyAccepted),
            Self::Declined => Err(InvitationReason::AlreadyDeclined),
            Self::Revoked => Err(InvitationReason::Revoked),
        }
    }

    fn evolve(&mut self, event: InvitationEvent) {
        match event {
            InvitationEvent::InvitationSent(sent) => {
                let InvitationSent { email, role, workspace_ids, expires_at, .. } = sent;
                *self = Self::Pending(Offer { email, role, workspace_ids, expires_at, generation: 1 });
            }
            InvitationEvent::InvitationResent(resent) => {
                if let Self::Pending(offer) = self {
                    offer.generation = resent.generation;
                    offer.expires_at = resent.expires_at;
                }
            }
            InvitationEvent::InvitationAccepted(_) => *self = Self::Accepted,
            InvitationEvent::InvitationDeclined(_) => *self = Self::Declined,
            InvitationEvent::InvitationRevoked(_) => *self = Self::Revoked,
            InvitationEvent::InvitationExpired(_) => *self = Self::Expired,
        }
    }
}

impl Offer {
    /// Whether the holder of `address` may answer with a link of `generation` at `now`.
    fn answerable(
        &self,
        address: &Email,
        generation: u32,
        now: DateTime<Utc>,
    ) -> Result<(), InvitationReason> {
        if generation != self.generation {
            return Err(InvitationReason::Unknown);
        }
        if *address != self.email {
            return Err(InvitationReason::ForOtherAddress);
        }
        if self.expires_at <= now {
            return Err(InvitationReason::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "invitations_tests.rs"]
mod tests;
