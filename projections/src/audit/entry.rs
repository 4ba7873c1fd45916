//! One entry of the audit log, and how an event becomes it.

use chrono::{DateTime, Utc};
use domain::{
    aggregate::DecodeError,
    ctx::{Actor, Metadata, Traces},
    foreign_aggregates::ForeignEventImported,
    ids::{
        ApiKeyId, EventId, ForeignAggregateId, InvitationId, MemberId, MeterId, ProjectId, SessionId,
        SubscriptionId, TenantId, UserId, WorkspaceId,
    },
    recorded_event::{RecordedEvent, StreamId},
    users::SignInRefused,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::action::action;
use crate::{fold::FoldError, personal::Personal, tracked_events::indexed};

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditRow {
    /// Which one.
    #[schema(value_type = String, example = "evt_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: EventId,
    /// Its event's place in the journal.
    pub position: u64,
    /// What was done.
    #[schema(example = "invitation.sent")]
    pub action: String,
    /// When it was recorded.
    pub occurred_at: DateTime<Utc>,
    /// Who did it.
    pub actor: AuditActor,
    /// What it was done to: first the thing itself, then what else it concerns.
    pub targets: Vec<AuditTarget>,
    /// Where the request came from.
    pub context: AuditContext,
    /// `success` or `failure`.
    pub outcome: String,
    /// What else the event says, without anything that is secret.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// The event's leaf hash in hexadecimal, to find it in an exported journal.
    pub leaf_hash: String,
}

/// What an entry is found by.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundBy {
    /// What was done.
    pub action: String,
    /// When it was recorded.
    pub occurred_at: DateTime<Utc>,
    /// The user or API key that did it.
    pub actor_id: Option<String>,
    /// What it was done to.
    pub target_ids: Vec<String>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditActor {
    /// `user`, `api_key`, `system` or `anonymous`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user or API key.
    pub id: Option<String>,
    /// The user's name at the time.
    pub name: Option<String>,
}

/// What something was done to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditTarget {
    /// What kind of thing, such as `invitation`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one.
    pub id: String,
}

/// Where a request came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditContext {
    /// The client's address.
    pub ip: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The request.
    pub request_id: String,
    /// The session that it was made in.
    pub session_id: Option<String>,
    /// The actor's name, the address and what the client calls itself, while they are sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    traces: Option<String>,
}

impl FoundBy {
    /// What the entry of an event is found by.
    pub(super) fn of(event: &RecordedEvent) -> Result<Self, FoldError> {
        let actor = AuditActor::from(event.metadata()?.actor);
        let targets = targets(&event.stream, &payload(event)?);
        Ok(Self {
            action: indexed(&action(&event.event_type)),
            occurred_at: event.recorded_at,
            actor_id: actor.id,
            target_ids: targets.iter().map(|target| indexed(&target.id)).collect(),
        })
    }
}

impl AuditRow {
    /// The entry that an event makes.
    pub(super) fn of(event: &RecordedEvent) -> Result<Self, FoldError> {
        let Metadata { actor, request_id, session_id, traces } = event.metadata()?;
        let mut payload = payload(event)?;
        let targets = targets(&event.stream, &payload);
        payload.retain(|field, _| !is_secret(field));
        Ok(Self {
            id: EventId::at(event.tenant_id, event.position),
            position: event.position,
            action: action(&event.event_type),
            occurred_at: event.recorded_at,
            actor: actor.into(),
            targets,
            context: AuditContext {
                ip: None,
                user_agent: None,
                request_id,
                session_id: session_id.map(|id| id.to_string()),
                traces,
            },
            outcome: if event.is::<SignInRefused>() { "failure" } else { "success" }.to_owned(),
            metadata: payload,
            leaf_hash: event.leaf_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

impl Personal for AuditRow {
    fn texts(&mut self) -> Vec<&mut String> {
        let said = self.metadata.values_mut().filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        });
        said.chain(&mut self.context.traces).collect()
    }

    fn opened(&mut self) {
        let Some(traces) = self.context.traces.take() else { return };
        let traces = serde_json::from_str(&traces).unwrap_or_else(|_| Traces::erased());
        self.context.ip = traces.ip;
        self.context.user_agent = traces.user_agent;
        if self.actor.kind == "user" {
            self.actor.name = traces.name;
        }
    }
}

impl From<Actor> for AuditActor {
    fn from(actor: Actor) -> Self {
        let (kind, id, name) = match actor {
            Actor::User { id, name } => {
                ("user", Some(id.to_string()), Some(name).filter(|name| !name.is_empty()))
            }
            Actor::ApiKey { id } => ("api_key", Some(id.to_string()), None),
            Actor::System => ("system", None, None),
            Actor::Anonymous => ("anonymous", None, None),
        };
        Self { kind: kind.to_owned(), id, name }
    }
}

/// What an event says. What another system has written is in the journal only: it may hold JSON that no table takes.
fn payload(event: &RecordedEvent) -> Result<Map<String, Value>, FoldError> {
    let text = event.payload.get();
    let Some(imported) = event.fact::<ForeignEventImported>().transpose()? else {
        let payload = serde_json::from_str(text);
        return Ok(payload.map_err(|source| DecodeError::Payload { event_type: "an audited event", source })?);
    };
    let ForeignEventImported { aggregate_type, aggregate_id, sequence, event_type, event_version, .. } =
        imported;
    Ok([
        ("aggregate_type", aggregate_type.into()),
        ("aggregate_id", aggregate_id.into()),
        ("sequence", sequence.into()),
        ("event_type", event_type.into()),
        ("event_version", event_version.into()),
    ]
    .map(|(field, value): (&str, Value)| (field.to_owned(), value))
    .into_iter()
    .collect())
}

/// A hash of a secret says nothing to an auditor, and something to who wants to guess it.
fn is_secret(field: &str) -> bool {
    field.ends_with("_hash")
}

/// The stream, and what the payload's ids name.
fn targets(stream: &StreamId, payload: &Map<String, Value>) -> Vec<AuditTarget> {
    let mut targets = vec![stream_target(stream)];
    let mut add = |kind: &str, id: &Value| {
        if let Some(id) = id.as_str()
            && targets.iter().all(|target| target.id != id)
        {
            targets.push(AuditTarget { kind: kind.to_owned(), id: id.to_owned() });
        }
    };
    for (field, value) in payload {
        match (field.as_str(), value) {
            ("created_by", id) => add("user", id),
            ("workspace_ids", Value::Array(ids)) => ids.iter().for_each(|id| add("workspace", id)),
            (field, id) => {
                if let Some(kind) = field.strip_suffix("_id") {
                    add(kind, id);
                }
            }
        }
    }
    targets
}

fn stream_target(stream: &StreamId) -> AuditTarget {
    let StreamId { kind, id } = stream;
    let (kind, id) = match kind.as_str() {
        "user" => ("user", UserId::from(*id).to_string()),
        "session" => ("session", SessionId::from(*id).to_string()),
        "tenant" => ("tenant", TenantId::from(*id).to_string()),
        "workspace" => ("workspace", WorkspaceId::from(*id).to_string()),
        "project" => ("project", ProjectId::from(*id).to_string()),
        "api_key" => ("api_key", ApiKeyId::from(*id).to_string()),
        "membership" => ("member", MemberId::from(*id).to_string()),
        "invitation" => ("invitation", InvitationId::from(*id).to_string()),
        "subscription" => ("subscription", SubscriptionId::from(*id).to_string()),
        "meter" => ("meter", MeterId::from(*id).to_string()),
        "foreign_aggregate" => ("foreign_aggregate", ForeignAggregateId::from(*id).to_string()),
        other => (other, id.to_string()),
    };
    AuditTarget { kind: kind.to_owned(), id }
}
