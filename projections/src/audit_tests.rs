use domain::{
    api_keys::ApiKeyIssued,
    ctx::Actor,
    foreign_aggregates::ForeignEventImported,
    ids::{ApiKeyId, ForeignAggregateId, InvitationId, MeterId, ProjectId, UserId, WorkspaceId},
    invitations::{InvitationAccepted, InvitationSent},
    permission::{Permissions, Role},
    plan::Period,
    raw_json::RawJson,
    users::{SignInRefusal, SignInRefused},
};

use serde_json::value::RawValue;

use super::*;
use crate::{
    story::{Story, name, rows, time},
    tracked_events::tests::track,
};

/// What the event at a position says, which must be found by the same.
fn entry(story: &Story, position: u64) -> AuditRow {
    let (entry, found_by) =
        (AuditRow::of(&story.events()[position as usize - 1]).unwrap(), &rows::<Audit>(story)[&position]);
    assert_eq!((&found_by.action, &found_by.actor_id), (&entry.action, &entry.actor.id));
    assert!(entry.targets.iter().map(|target| &target.id).eq(&found_by.target_ids));
    entry
}

#[test]
fn an_entry_tells_who_did_what_to_which_thing() {
    let mut story = Story::new();
    let (user, workspace, invitation_id) = (UserId::random(), WorkspaceId::random(), InvitationId::random());
    story.actor = Actor::User { id: user, name: "Ada".to_owned() };
    let sent = InvitationSent {
        invitation_id,
        email: "grace@example.com".parse().unwrap(),
        role: Role::Member,
        workspace_ids: vec![workspace],
        invited_by: "Ada".to_owned(),
        expires_at: time("2026-02-01T00:00:00Z"),
    };
    story.tell("invitation", invitation_id, sent);
    let entry = &entry(&story, 1);
    assert_eq!((entry.action.as_str(), entry.outcome.as_str()), ("invitation.sent", "success"));
    let actor = (entry.actor.kind.as_str(), entry.actor.id.clone(), entry.actor.name.as_deref());
    assert_eq!(actor, ("user", Some(user.to_string()), Some("Ada")));
    let targets: Vec<_> =
        entry.targets.iter().map(|target| (target.kind.as_str(), target.id.clone())).collect();
    assert_eq!(targets, [("invitation", invitation_id.to_string()), ("workspace", workspace.to_string())]);
    assert_eq!(entry.metadata["email"], "grace@example.com");
    assert_eq!((entry.context.request_id.as_str(), entry.leaf_hash.len()), ("req_test", 64));
}

#[test]
fn what_concerns_a_user_names_them() {
    let mut story = Story::new();
    let (user_id, invitation) = (UserId::random(), InvitationId::random());
    story.tell("invitation", invitation, InvitationAccepted { user_id });
    let targets = entry(&story, 1).targets;
    assert!(targets.iter().any(|target| target.kind == "user" && target.id == user_id.to_string()));
}

#[test]
fn counting_and_tracking_are_no_entries() {
    let mut story = Story::new();
    let now = time("2026-01-01T00:00:00Z");
    track(&mut story, ProjectId::random(), "Order Completed", "1997-02-01T10:00:00Z");
    let period = Period::containing(now, now);
    story.tell("meter", MeterId::of(story.tenant), UsageAdmitted { period, count: 1 });
    story.tell("meter", MeterId::of(story.tenant), UsageRefused { period, count: 1 });
    assert!(rows::<Audit>(&story).is_empty());
}

#[test]
fn a_refused_sign_in_is_a_failure_and_says_why() {
    let mut story = Story::new();
    story.actor = Actor::Anonymous;
    story.tell("user", UserId::random(), SignInRefused { cause: SignInRefusal::WrongPassword });
    let entry = &entry(&story, 1);
    assert_eq!((entry.outcome.as_str(), entry.actor.kind.as_str()), ("failure", "anonymous"));
    assert_eq!(entry.metadata["cause"], "wrong_password");
}

#[test]
fn an_imported_event_is_found_by_what_the_other_system_calls_it_and_not_looked_into() {
    let mut story = Story::new();
    let json = |text: &str| RawJson::verbatim(RawValue::from_string(text.to_owned()).unwrap());
    // Nothing that could be a row: a NUL, half a character, too large a number, too deep a nesting.
    let deep = "[".repeat(200) + &"]".repeat(200);
    let payload = format!(r#"{{"Paid": ["\u0000", "\ud800", 1e999, {deep}]}}"#);
    let imported = ForeignEventImported {
        aggregate_type: "order".to_owned(),
        aggregate_id: "A-1".to_owned(),
        sequence: 1,
        event_type: "TenantCreated".to_owned(),
        event_version: "1.0".to_owned(),
        payload: json(&payload),
        metadata: json("{}"),
    };
    let id = ForeignAggregateId::of(story.tenant, "order", "A-1");
    story.tell("foreign_aggregate", id, imported);
    let entry = &entry(&story, 1);
    assert_eq!(entry.action, "foreign_aggregate.event_imported");
    let targets: Vec<_> =
        entry.targets.iter().map(|target| (target.kind.as_str(), target.id.clone())).collect();
    assert_eq!(targets, [("foreign_aggregate", id.to_string()), ("aggregate", "A-1".to_owned())]);
    let metadata = serde_json::json!({
        "aggregate_type": "order", "aggregate_id": "A-1", "sequence": 1, "event_type": "TenantCreated",
        "event_version": "1.0",
    });
    assert_eq!(serde_json::Value::from(entry.metadata.clone()), metadata);
    for projection in crate::ALL.iter().filter(|projection| projection.name() != Audit::NAME) {
        assert!(!projection.concerns(story.events()), "{} looks into it", projection.name());
    }
}

#[test]
fn hashes_of_secrets_stay_in_the_journal() {
    let mut story = Story::new();
    let id = ApiKeyId::random();
    let issued = ApiKeyIssued {
        api_key_id: id,
        workspace_id: WorkspaceId::random(),
        project_id: ProjectId::random(),
        name: name("Server"),
        scopes: Permissions::default(),
        secret_hash: "do not show".to_owned(),
        secret_hint: "abcd".to_owned(),
    };
    story.tell("api_key", id, issued);
    let entry = &entry(&story, 1);
    assert!(!serde_json::to_string(entry).unwrap().contains("do not show"));
    assert_eq!(entry.metadata["secret_hint"], "abcd");
    assert_eq!(entry.targets.len(), 3);
}
