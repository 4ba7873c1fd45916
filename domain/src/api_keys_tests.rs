use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{aggregate::Now, permission::Permission};

type Given = TestFramework<ApiKey>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn issued() -> ApiKeyIssued {
    ApiKeyIssued {
        api_key_id: ApiKeyId::from(Uuid::from_u128(1)),
        workspace_id: WorkspaceId::from(Uuid::from_u128(2)),
        project_id: ProjectId::from(Uuid::from_u128(3)),
        name: "Server".parse().unwrap(),
        scopes: [Permission::EventsWrite].into_iter().collect(),
        secret_hash: "aa".repeat(32),
        secret_hint: "x1y2".to_owned(),
    }
}

fn rotated() -> ApiKeyEvent {
    ApiKeyRotated { secret_hash: "bb".repeat(32), secret_hint: "z3w4".to_owned() }.into()
}

fn rotate() -> ApiKeyCommand {
    ApiKeyCommand::Rotate { secret_hash: "bb".repeat(32), secret_hint: "z3w4".to_owned() }
}

fn revoked() -> ApiKeyEvent {
    ApiKeyRevoked {}.into()
}

fn after(events: Vec<ApiKeyEvent>) -> ApiKey {
    let mut api_key = ApiKey::default();
    events.into_iter().for_each(|event| api_key.evolve(event));
    api_key
}

#[test]
fn an_absent_key_can_only_be_issued() {
    let given = || given().given_no_previous_events();
    given().when(ApiKeyCommand::Issue(issued())).then_expect_events(vec![issued().into()]);
    for command in [rotate(), ApiKeyCommand::Revoke] {
        given().when(command).then_expect_error(ApiKeyReason::Unknown);
    }
    assert_eq!(ApiKey::default().credential(), None);
}

#[test]
fn issuing_again_changes_nothing_and_revives_nothing() {
    for events in [vec![issued().into()], vec![issued().into(), revoked()]] {
        given().given(events).when(ApiKeyCommand::Issue(issued())).then_expect_events(vec![]);
    }
}

#[test]
fn rotating_replaces_the_secret_once_and_nothing_else() {
    given().given(vec![issued().into()]).when(rotate()).then_expect_events(vec![rotated()]);
    given().given(vec![issued().into(), rotated()]).when(rotate()).then_expect_events(vec![]);
    let first = after(vec![issued().into()]);
    let second = after(vec![issued().into(), rotated()]);
    let expected = Credential { secret_hash: "bb".repeat(32), ..first.credential().unwrap().clone() };
    assert_eq!(second.credential(), Some(&expected));
}

#[test]
fn a_revoked_key_stays_revoked() {
    given().given(vec![issued().into()]).when(ApiKeyCommand::Revoke).then_expect_events(vec![revoked()]);
    let given = || given().given(vec![issued().into(), revoked()]);
    given().when(ApiKeyCommand::Revoke).then_expect_events(vec![]);
    given().when(rotate()).then_expect_error(ApiKeyReason::Revoked);
    assert_eq!(after(vec![issued().into(), revoked()]).credential(), None);
}
