use domain::{
    api_keys::{ApiKeyIssued, ApiKeyRevoked, ApiKeyRotated},
    permission::Permissions,
};

use super::*;
use crate::{
    story::{Story, name, rows},
    tracked_events::tests::track,
};

fn issue(story: &mut Story) -> ApiKeyId {
    let id = ApiKeyId::random();
    let issued = ApiKeyIssued {
        api_key_id: id,
        workspace_id: WorkspaceId::random(),
        project_id: ProjectId::random(),
        name: name("Server"),
        scopes: Permissions::from_iter([Permission::EventsWrite]),
        secret_hash: "hash".to_owned(),
        secret_hint: "abcd".to_owned(),
    };
    story.tell("api_key", id, issued);
    id
}

#[test]
fn a_key_shows_its_newest_hint_its_scopes_and_its_end() {
    let mut story = Story::new();
    let id = issue(&mut story);
    assert_eq!(rows::<ApiKeys>(&story)[&id].state, "active");
    let (secret_hash, secret_hint) = ("other".to_owned(), "efgh".to_owned());
    story.tell("api_key", id, ApiKeyRotated { secret_hash, secret_hint });
    story.tell("api_key", id, ApiKeyRevoked {});
    let row = &rows::<ApiKeys>(&story)[&id];
    assert_eq!((row.secret_hint.as_str(), row.state.as_str(), row.sequence), ("efgh", "revoked", 3));
    assert_eq!(row.scopes, ["events.write"]);
}

#[test]
fn an_event_that_a_key_sent_is_a_use_of_it_and_no_edit() {
    let mut story = Story::new();
    let id = issue(&mut story);
    assert_eq!(rows::<ApiKeys>(&story)[&id].last_used_at, None);
    story.actor = Actor::ApiKey { id };
    track(&mut story, ProjectId::random(), "Order Completed", "1997-02-01T10:00:00Z");
    let row = &rows::<ApiKeys>(&story)[&id];
    assert_eq!((row.last_used_at, row.sequence), (Some(story.events()[1].recorded_at), 1));
}

#[test]
fn an_event_from_elsewhere_makes_no_row() {
    let mut story = Story::new();
    track(&mut story, ProjectId::random(), "Order Completed", "1997-02-01T10:00:00Z");
    story.actor = Actor::ApiKey { id: ApiKeyId::random() };
    track(&mut story, ProjectId::random(), "Order Completed", "1997-02-01T10:00:00Z");
    assert!(rows::<ApiKeys>(&story).is_empty());
}
