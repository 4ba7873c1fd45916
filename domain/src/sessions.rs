//! Session: a sign-in of a user on one device.
//!
//! ```text
//!                       ┌─────────┐
//!                       ▼         │ Refresh
//! Absent ── Start ──▶ Active ─────┘
//!                       ├── End ──────────────────────────▶ Ended
//!                       └── Refresh with a spent token ───▶ Ended
//! ```
//! A refresh token carries the session's generation, and each refresh makes a new one. A token that was spent before is
//! in two hands, of which one stole it, so its reuse ends the session (RFC 9700, section 4.14.2). Only the newest spent
//! one is excused for a moment: two tabs of one browser refresh at the same time.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::{SessionId, UserId},
};

/// For how many days a refresh token can be used.
pub const REFRESH_LIFETIME_DAYS: i64 = 30;

/// For how many seconds after a refresh the token that was spent for it is still excused.
pub const REFRESH_GRACE_SECONDS: i64 = 5;

/// A session's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Session {
    /// There is none.
    #[default]
    Absent,
    /// The user is signed in. It may have expired without anybody having said so.
    Active(Login),
    /// Signed out, or stopped because a spent refresh token came back.
    Ended,
}

/// What is known of an active session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// The session.
    pub session_id: SessionId,
    /// Who is signed in.
    pub user_id: UserId,
    /// Which refresh token is the valid one; 1 is the one given at the start.
    pub generation: u32,
    /// When that token was made.
    pub rotated_at: DateTime<Utc>,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
}

/// What can be asked of a session.
#[derive(Clone, Debug)]
pub enum SessionCommand {
    /// Sign in.
    Start(SessionStarted),
    /// Exchange a refresh token for the next one. No event and no refusal: the token was spent a moment ago, and the
    /// valid one is the successor to give. A spent token ends the session, which the caller sees from the state.
    Refresh {
        /// The generation that the token carries.
        generation: u32,
    },
    /// Sign out.
    End {
        /// Why.
        cause: SessionEnd,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// The user signed out of it.
    LoggedOut,
    /// The user signed out of all their sessions.
    LoggedOutEverywhere,
    /// A refresh token came back that had been spent.
    RefreshReused,
}

events! {
    /// What has happened to a session.
    SessionEvent {
        /// A user signed in.
        SessionStarted = 1 {
            /// The session.
            session_id: SessionId,
            /// Who signed in.
            user_id: UserId,
            /// When.
            started_at: DateTime<Utc>,
            /// Until when the first refresh token can be used.
            expires_at: DateTime<Utc>,
        }
        /// A refresh token was exchanged for the next one.
        SessionRefreshed = 1 {
            /// The generation of the new token.
            generation: u32,
            /// When.
            refreshed_at: DateTime<Utc>,
            /// Until when the new token can be used.
            expires_at: DateTime<Utc>,
        }
        /// It is over.
        SessionEnded = 1 {
            /// Why.
            cause: SessionEnd,
        }
    }
}

/// Why something asked of a session did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionReason {
    /// There is no such session, or it never gave such a token.
    #[error("there is no such session")]
    Unknown,
    /// Its time is over.
    #[error("the session has expired; sign in again")]
    Expired,
    /// It was ended.
    #[error("the session has ended; sign in again")]
    Ended,
}

impl Refusal for SessionReason {
    fn kind(&self) -> RefusalKind {
        RefusalKind::Unauthenticated
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "session_not_found",
            Self::Expired => "session_expired",
            Self::Ended => "session_ended",
        }
    }
}

aggregate!(Session = "session", SessionCommand -> SessionEvent or SessionReason);

impl Decide for Session {
    // A client that stays signed in refreshes every quarter of an hour.
    const SNAPSHOT_EVERY: u64 = 100;

    fn user(&self) -> Option<UserId> {
        match self {
            Self::Active(login) => Some(login.user_id),
            Self::Absent | Self::Ended => None,
        }
    }

    fn decide(
        &self,
        command: SessionCommand,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionEvent>, SessionReason> {
        use SessionCommand::*;
        Ok(match (self, command) {
            (Self::Absent, Start(started)) => vec![started.into()],
            // An id is made for each sign-in: the same one again is the same sign-in again.
            (_, Start(_)) => vec![],
            (Self::Absent, _) => return Err(SessionReason::Unknown),

            (Self::Active(_), Refresh { generation }) => self.login(now)?.refresh(generation, now)?,
            (Self::Ended, Refresh { .. }) => return Err(SessionReason::Ended),

            (Self::Active(_), End { cause }) => vec![SessionEnded { cause }.into()],
            (Self::Ended, End { .. }) => vec![],
        })
    }
}

impl Session {
    /// The sign-in, if it is good at `now`.
    pub fn login(&self, now: DateTime<Utc>) -> Result<&Login, SessionReason> {
        match self {
            Self::Active(login) if now < login.expires_at => Ok(login),
            Self::Active(_) => Err(SessionReason::Expired),
            Self::Absent => Err(SessionReason::Unknown),
            Self::Ended => Err(SessionReason::Ended),
        }
    }

    fn evolve(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::SessionStarted(started) => {
                let SessionStarted { session_id, user_id, started_at: rotated_at, expires_at } = started;
                *self = Self::Active(Login { session_id, user_id, generation: 1, rotated_at, expires_at });
            }
            SessionEvent::SessionRefreshed(refreshed) => {
                if let Self::Active(login) = self {
                    login.generation = refreshed.generation;
                    login.rotated_at = refreshed.refreshed_at;
                    login.expires_at = refreshed.expires_at;
                }
            }
            SessionEvent::SessionEnded(_) => *self = Self::Ended,
        }
    }
}

impl Login {
    /// What a refresh token of `generation` does at `now`.
    fn refresh(&self, generation: u32, now: DateTime<Utc>) -> Result<Vec<SessionEvent>, SessionReason> {
        if generation == 0 || generation > self.generation {
            return Err(SessionReason::Unknown);
        }
        if generation == self.generation {
            let expires_at = now + TimeDelta::days(REFRESH_LIFETIME_DAYS);
            return Ok(vec![
                SessionRefreshed { generation: generation + 1, refreshed_at: now, expires_at }.into(),
            ]);
        }
        let in_grace = now <= self.rotated_at + TimeDelta::seconds(REFRESH_GRACE_SECONDS);
        if generation + 1 == self.generation && in_grace {
            return Ok(vec![]);
        }
        Ok(vec![SessionEnded { cause: SessionEnd::RefreshReused }.into()])
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
