use cqrs_es::test::TestFramework;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<Workspace>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn created() -> WorkspaceCreated {
    WorkspaceCreated { workspace_id: WorkspaceId::from(uuid::Uuid::from_u128(1)), name: name("Main") }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn rename(text: &str) -> WorkspaceCommand {
    WorkspaceCommand::Rename { name: name(text) }
}

#[test]
fn an_absent_workspace_can_only_be_created() {
    let given = || given().given_no_previous_events();
    given().when(WorkspaceCommand::Create(created())).then_expect_events(vec![created().into()]);
    given().when(rename("Other")).then_expect_error(WorkspaceReason::Unknown);
}

#[test]
fn creating_again_changes_nothing() {
    given()
        .given(vec![created().into()])
        .when(WorkspaceCommand::Create(created()))
        .then_expect_events(vec![]);
}

#[test]
fn a_name_changes_once() {
    let given = || given().given(vec![created().into()]);
    given().when(rename("Main")).then_expect_events(vec![]);
    let renamed = WorkspaceRenamed { name: name("Other") };
    given().when(rename("Other")).then_expect_events(vec![renamed.clone().into()]);
    given().and(vec![renamed.into()]).when(rename("Other")).then_expect_events(vec![]);
}
