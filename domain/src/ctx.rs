//! On whose behalf something happens.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Refusal, RefusalKind},
    ids::{ApiKeyId, MemberId, RequestId, SessionId, TenantId, UserId},
    permission::{Permission, Permissions},
    personal::ERASED,
};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// Nobody that has signed in: a registration, a sign-in.
    Anonymous,
    /// A signed-in person.
    User {
        /// Who.
        id: UserId,
        /// Their name at the time. In the journal it is sealed, elsewhere.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
    },
    /// A program with an API key.
    ApiKey {
        /// Which key.
        id: ApiKeyId,
    },
    /// Annals itself, or its operator on the command line.
    System,
}

/// Where a request came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The request's id, as the client sent it or as it was made.
    pub request_id: String,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The session that the request was made in.
    pub session_id: Option<SessionId>,
}

impl Origin {
    /// The origin of what Annals does by itself.
    pub fn internal() -> Self {
        Self { request_id: RequestId::random().to_string(), ip: None, user_agent: None, session_id: None }
    }
}

/// What the journal keeps beside each event: who caused it, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who acted. A user's name is in the traces.
    pub actor: Actor,
    /// The request's id.
    pub request_id: String,
    /// The session that the request was made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// [`Traces`] as JSON, sealed for the person who left them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<String>,
}

/// What a request says about the person who made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// The name of the user who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl Traces {
    /// What is left when they are erased.
    pub fn erased() -> Self {
        let erased = || Some(ERASED.to_owned());
        Self { name: erased(), ip: erased(), user_agent: erased() }
    }
}

/// What lets an actor act in a tenant. It is checked again in the commit of what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nothing of the tenant's: the platform acts, or somebody who is about to become a member.
    Outside,
    /// A membership.
    Member(MemberId),
    /// An API key, with the secret that it had at a sequence.
    Key {
        /// Which key.
        key: ApiKeyId,
        /// The sequence of its stream.
        sequence: u64,
    },
}

/// What was known of the session that a request came in. A commit checks that nothing has happened to it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The session.
    pub session: SessionId,
    /// The sequence of its newest event.
    pub sequence: u64,
}

/// The context that every use case and query gets first: for which tenant, on whose behalf, with which permissions,
/// when.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// The tenant that is acted on.
    pub tenant: TenantId,
    /// Who acts.
    pub actor: Actor,
    /// What the actor may do in the tenant.
    pub permissions: Permissions,
    /// What lets the actor in.
    pub admission: Admission,
    /// The session that the actor acts in, if it is one.
    pub witness: Option<Witness>,
    /// Where the request came from.
    pub origin: Origin,
    /// When: the one clock reading of a request.
    pub now: DateTime<Utc>,
}

impl Ctx {
    /// The context of what Annals does by itself in `tenant`.
    pub fn system(tenant: TenantId, now: DateTime<Utc>) -> Self {
        let (permissions, admission) = (Permissions::all(), Admission::Outside);
        Self {
            tenant,
            actor: Actor::System,
            permissions,
            admission,
            witness: None,
            origin: Origin::internal(),
            now,
        }
    }

    /// The same actor and request in the platform's journal, where users and sessions live. It carries no permissions.
    pub fn on_platform(&self) -> Self {
        let (permissions, admission) = (Permissions::default(), Admission::Outside);
        Self { tenant: TenantId::PLATFORM, permissions, admission, ..self.clone() }
    }

    /// Goes on only if the actor has `permission`.
    pub fn require(&self, permission: Permission) -> Result<(), Forbidden> {
        if self.permissions.allow(permission) { Ok(()) } else { Err(Forbidden { missing: permission }) }
    }

    /// The user who acts, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self.actor {
            Actor::User { id, .. } => Some(id),
            Actor::Anonymous | Actor::ApiKey { .. } | Actor::System => None,
        }
    }

    /// What the journal keeps of this context, and what it keeps sealed. A program's requests leave no traces: where it
    /// runs says nothing about a person.
    pub fn metadata(&self) -> (Metadata, Option<Traces>) {
        let Origin { request_id, ip, user_agent, session_id } = self.origin.clone();
        let mut traces = Traces { name: None, ip: ip.map(|ip| ip.to_string()), user_agent };
        let actor = match self.actor.clone() {
            Actor::User { id, name } => {
                traces.name = Some(name);
                Actor::User { id, name: String::new() }
            }
            program @ Actor::ApiKey { .. } => {
                traces = Traces::default();
                program
            }
            nobody @ (Actor::Anonymous | Actor::System) => nobody,
        };
        let traces = (traces != Traces::default()).then_some(traces);
        (Metadata { actor, request_id, session_id, traces: None }, traces)
    }
}

/// The actor lacks a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this takes the permission {}", missing.as_str())]
pub struct Forbidden {
    /// The permission that it takes.
    pub missing: Permission,
}

impl Refusal for Forbidden {
    fn kind(&self) -> RefusalKind {
        RefusalKind::Forbidden
    }

    fn code(&self) -> &'static str {
        "missing_permission"
    }
}
