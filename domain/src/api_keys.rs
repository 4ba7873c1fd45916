//! API key: a credential that a project's data is sent with.
//!
//! ```text
//! Absent ── Issue ──▶ Active ── Revoke ──▶ Revoked
//!                     │    ▲
//!                     └────┘ Rotate
//! ```
//! The secret is random and shown once; what is kept is its SHA-256, which is enough because nobody guesses 128 random
//! bits or more, however fast they hash.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::{ApiKeyId, ProjectId, WorkspaceId},
    permission::Permissions,
    text::Name,
};

/// An API key's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum ApiKey {
    /// There is none.
    #[default]
    Absent,
    /// Good for its scopes.
    Active(Credential),
    /// Good for nothing, for good.
    Revoked,
}

/// What an active key is checked against, and what it is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// The key.
    pub api_key_id: ApiKeyId,
    /// The workspace of its project.
    pub workspace_id: WorkspaceId,
    /// The project that it is for.
    pub project_id: ProjectId,
    /// SHA-256 of the secret, in hexadecimal.
    pub secret_hash: String,
    /// What it may do.
    pub scopes: Permissions,
}

/// What can be asked of an API key.
#[derive(Clone, Debug)]
pub enum ApiKeyCommand {
    /// Make it.
    Issue(ApiKeyIssued),
    /// Give it another secret; the former is refused at once.
    Rotate {
        /// SHA-256 of the new secret, in hexadecimal.
        secret_hash: String,
        /// The new secret's last four characters.
        secret_hint: String,
    },
    /// Make it useless.
    Revoke,
}

events! {
    /// What has happened to an API key.
    ApiKeyEvent {
        /// It was made.
        ApiKeyIssued = 1 {
            /// The key.
            api_key_id: ApiKeyId,
            /// The workspace of its project.
            workspace_id: WorkspaceId,
            /// The project that it is for.
            project_id: ProjectId,
            /// What people call it.
            name: Name,
            /// What it may do.
            scopes: Permissions,
            /// SHA-256 of the secret, in hexadecimal.
            secret_hash: String,
            /// The secret's last four characters, to tell keys apart.
            secret_hint: String,
        }
        /// It has another secret.
        ApiKeyRotated = 1 {
            /// SHA-256 of the new secret, in hexadecimal.
            secret_hash: String,
            /// The new secret's last four characters.
            secret_hint: String,
        }
        /// It is useless from now on.
        ApiKeyRevoked = 1 {}
    }
}

/// Why something asked of an API key did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyReason {
    /// There is no such key.
    #[error("there is no such API key")]
    Unknown,
    /// It was revoked.
    #[error("the API key has been revoked; issue a new one")]
    Revoked,
}

impl Refusal for ApiKeyReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
            Self::Revoked => RefusalKind::Gone,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "api_key_not_found",
            Self::Revoked => "api_key_revoked",
        }
    }
}

aggregate!(ApiKey = "api_key", ApiKeyCommand -> ApiKeyEvent or ApiKeyReason);

impl Decide for ApiKey {
    const SNAPSHOT_EVERY: u64 = 100;

    fn decide(&self, command: ApiKeyCommand, _now: DateTime<Utc>) -> Result<Vec<ApiKeyEvent>, ApiKeyReason> {
        use ApiKeyCommand::*;
        Ok(match (self, command) {
            (Self::Absent, Issue(issued)) => vec![issued.into()],
            // An id is made for each key: the same one again is the same key again.
            (_, Issue(_)) => vec![],
            (Self::Absent, _) => return Err(ApiKeyReason::Unknown),

            (Self::Active(credential), Rotate { secret_hash, .. })
                if secret_hash == credential.secret_hash =>
            {
                vec![]
            }
            (Self::Active(_), Rotate { secret_hash, secret_hint }) => {
                vec![ApiKeyRotated { secret_hash, secret_hint }.into()]
            }
            (Self::Active(_), Revoke) => vec![ApiKeyRevoked {}.into()],

            (Self::Revoked, Revoke) => vec![],
            (Self::Revoked, Rotate { .. }) => return Err(ApiKeyReason::Revoked),
        })
    }
}

impl ApiKey {
    /// What the key is checked against, while it is good.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Active(credential) => Some(credential),
            Self::Absent | Self::Revoked => None,
        }
    }

    fn evolve(&mut self, event: ApiKeyEvent) {
        match event {
            ApiKeyEvent::ApiKeyIssued(issued) => {
                let ApiKeyIssued { api_key_id, workspace_id, project_id, secret_hash, scopes, .. } = issued;
                *self =
                    Self::Active(Credential { api_key_id, workspace_id, project_id, secret_hash, scopes });
            }
            ApiKeyEvent::ApiKeyRotated(rotated) => {
                if let Self::Active(credential) = self {
                    credential.secret_hash = rotated.secret_hash;
                }
            }
            ApiKeyEvent::ApiKeyRevoked(_) => *self = Self::Revoked,
        }
    }
}

#[cfg(test)]
#[path = "api_keys_tests.rs"]
mod tests;
