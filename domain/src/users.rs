//! User: a person, known to the platform by e-mail address.
//!
//! ```text
//! Absent ── Register ──▶ Active (unverified) ── Verify ──▶ Active (verified)
//!                        │          ▲               in both: RepeatRegistration, RefuseSignIn,
//!                        └──────────┘               GrantAdministrator
//!                    RequestVerification
//!
//! Active ── RequestErasure ──▶ Erasing ── CompleteErasure ──▶ Erased
//! ```
//! Who is being erased can't do anything any more, while their memberships and invitations are ended; then their keys are
//! destroyed. Both are over for good: the address may register anew, as somebody else.
//!
//! The link in a verification mail carries a generation; asking for another mail makes a new one, so that an older
//! mail's link no longer works. The password is not here: its hash is replaceable, and the journal is not.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::UserId,
    personal::About,
    text::{Email, Name},
};

/// A user's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum User {
    /// There is none.
    #[default]
    Absent,
    /// Registered.
    Active(Account),
    /// To be erased; what is known of them is still needed for that.
    Erasing(Account),
    /// Erased: nothing is known of them.
    Erased,
}

/// What is known of a registered user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user_id: UserId,
    /// Their address.
    pub email: Email,
    /// What they call themselves.
    pub name: Name,
    /// Whether they have shown that the address is theirs.
    pub verified: bool,
    /// Which of the verification mails sent holds the valid link; 1 is the one sent at registration.
    pub generation: u32,
    /// How often somebody has registered with the address before it was verified. More than once: by different people,
    /// perhaps, so that whoever opens the mail's link has to choose the password.
    pub registrations: u32,
    /// Whether they administer the installation.
    pub administrator: bool,
}

/// What can be asked of a user.
#[derive(Clone, Debug)]
pub enum UserCommand {
    /// Open an account.
    Register(UserRegistered),
    /// Somebody registers with the address of this account: its owner is told by mail, the caller learns nothing.
    RepeatRegistration,
    /// Send another verification mail, which makes the links of earlier ones invalid.
    RequestVerification,
    /// Show that the address is theirs.
    Verify {
        /// The generation that the link carries.
        generation: u32,
        /// What becomes of the account's password.
        password: VerifiedPassword,
    },
    /// Record that somebody was not let in.
    RefuseSignIn {
        /// Why not.
        cause: SignInRefusal,
    },
    /// Let them administer the installation.
    GrantAdministrator,
    /// Forget them: from now on they are nobody.
    RequestErasure {
        /// Why, if it was not they who asked.
        reason: Option<String>,
    },
    /// Everything that they had is ended: destroy what is known of them.
    CompleteErasure,
}

/// What becomes of a password when the address is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedPassword {
    /// It stays the one that was chosen at registration.
    Unchanged,
    /// Who opened the mail's link has chosen one.
    Chosen,
}

/// Why a sign-in was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInRefusal {
    /// The password was wrong.
    WrongPassword,
    /// The password was right, but the address is not verified.
    NotVerified,
}

events! {
    /// What has happened to a user.
    UserEvent {
        /// An account was opened.
        UserRegistered = 1 {
            /// The user.
            user_id: UserId,
            /// Their address, not yet verified.
            email: Email [About::User("user_id")],
            /// What they call themselves.
            name: Name [About::User("user_id")],
        }
        /// Somebody registered with the address of an account that exists.
        RegistrationRepeated = 1 {}
        /// Another verification mail was asked for; earlier links are invalid.
        VerificationRequested = 1 {
            /// The generation of the new link.
            generation: u32,
        }
        /// The address was shown to be theirs.
        EmailVerified = 1 {}
        /// Somebody was not let in.
        SignInRefused = 1 {
            /// Why not.
            cause: SignInRefusal,
        }
        /// They may administer the installation.
        AdministratorGranted = 1 {}
        /// They are to be forgotten.
        ErasureRequested = 1 {
            /// Why, if it was not they who asked.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            reason: Option<String>,
        }
        /// They are forgotten: what was recorded about them can't be read any more.
        SubjectErased = 1 {}
    }
}

/// Why something asked of a user did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserReason {
    /// There is no such user.
    #[error("there is no such user")]
    Unknown,
    /// The address was registered more than once, so nobody knows whose password the account has.
    #[error("the address was registered more than once; choose the account's password along with the token")]
    PasswordNeeded,
    /// Nobody has asked to erase them.
    #[error("the user is not being erased")]
    ErasureNotRequested,
    /// The link is from an older mail.
    #[error("the link is outdated; use the one in the newest mail")]
    LinkOutdated,
}

impl Refusal for UserReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
            Self::PasswordNeeded => RefusalKind::Invalid,
            Self::ErasureNotRequested => RefusalKind::Conflict,
            Self::LinkOutdated => RefusalKind::Gone,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "user_not_found",
            Self::PasswordNeeded => "password_needed",
            Self::ErasureNotRequested => "erasure_not_requested",
            Self::LinkOutdated => "verification_link_outdated",
        }
    }
}

aggregate!(User = "user", UserCommand -> UserEvent or UserReason);

impl Decide for User {
    // Failed sign-ins make the stream long.
    const SNAPSHOT_EVERY: u64 = 100;
    const SNAPSHOT_VERSION: u16 = 2;
    const IS_PERSON: bool = true;
    const READS_PERSONAL: bool = true;

    fn user(&self) -> Option<UserId> {
        match self {
            Self::Active(account) | Self::Erasing(account) => Some(account.user_id),
            Self::Absent | Self::Erased => None,
        }
    }

    fn decide(&self, command: UserCommand, _now: DateTime<Utc>) -> Result<Vec<UserEvent>, UserReason> {
        use UserCommand::*;
        Ok(match (self, command) {
            (Self::Absent, Register(registered)) => vec![registered.into()],
            // An id is made for each registration: the same one again is the same registration again.
            (Self::Active(_), Register(_)) => vec![],
            (Self::Absent, _) => return Err(UserReason::Unknown),

            (Self::Active(_), RepeatRegistration) => vec![RegistrationRepeated {}.into()],
            (Self::Active(account), RequestVerification | Verify { .. }) if account.verified => vec![],
            (Self::Active(account), RequestVerification) => {
                vec![VerificationRequested { generation: account.generation + 1 }.into()]
            }
            (Self::Active(account), Verify { generation, .. }) if generation != account.generation => {
                return Err(UserReason::LinkOutdated);
            }
            (Self::Active(account), Verify { password: VerifiedPassword::Unchanged, .. })
                if account.registrations > 1 =>
            {
                return Err(UserReason::PasswordNeeded);
            }
            (Self::Active(_), Verify { .. }) => vec![EmailVerified {}.into()],
            (Self::Active(_), RefuseSignIn { cause }) => vec![SignInRefused { cause }.into()],
            (Self::Active(account), GrantAdministrator) if account.administrator => vec![],
            (Self::Active(_), GrantAdministrator) => vec![AdministratorGranted {}.into()],

            (Self::Active(_), RequestErasure { reason }) => vec![ErasureRequested { reason }.into()],
            (Self::Active(_), CompleteErasure) => return Err(UserReason::ErasureNotRequested),
            (Self::Erasing(_), CompleteErasure) => vec![SubjectErased {}.into()],
            (Self::Erased, CompleteErasure) | (Self::Erasing(_) | Self::Erased, RequestErasure { .. }) => {
                vec![]
            }
            // Whoever tries these is told nothing.
            (
                Self::Erasing(_) | Self::Erased,
                Register(_) | RepeatRegistration | RequestVerification | RefuseSignIn { .. },
            ) => vec![],
            (Self::Erasing(_) | Self::Erased, Verify { .. } | GrantAdministrator) => {
                return Err(UserReason::Unknown);
            }
        })
    }
}

impl User {
    /// The account, if there is one.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Active(account) => Some(account),
            Self::Absent | Self::Erasing(_) | Self::Erased => None,
        }
    }

    /// What is still known of a user who is being erased.
    pub fn erasing(&self) -> Option<&Account> {
        match self {
            Self::Erasing(account) => Some(account),
            Self::Absent | Self::Active(_) | Self::Erased => None,
        }
    }

    fn evolve(&mut self, event: UserEvent) {
        match (self, event) {
            (user, UserEvent::UserRegistered(registered)) => {
                let UserRegistered { user_id, email, name } = registered;
                *user = Self::Active(Account {
                    user_id,
                    email,
                    name,
                    verified: false,
                    generation: 1,
                    registrations: 1,
                    administrator: false,
                });
            }
            (Self::Active(account), UserEvent::VerificationRequested(requested)) => {
                account.generation = requested.generation;
            }
            (Self::Active(account), UserEvent::EmailVerified(_)) => account.verified = true,
            (Self::Active(account), UserEvent::AdministratorGranted(_)) => account.administrator = true,
            (Self::Active(account), UserEvent::RegistrationRepeated(_)) if !account.verified => {
                account.registrations += 1;
            }
            (Self::Active(_), UserEvent::RegistrationRepeated(_) | UserEvent::SignInRefused(_)) => {}
            (user @ Self::Active(_), UserEvent::ErasureRequested(_)) => {
                if let Self::Active(account) = std::mem::take(user) {
                    *user = Self::Erasing(account);
                }
            }
            (user @ (Self::Active(_) | Self::Erasing(_)), UserEvent::SubjectErased(_)) => {
                *user = Self::Erased;
            }
            (Self::Absent | Self::Erasing(_) | Self::Erased, _) => {}
        }
    }
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
