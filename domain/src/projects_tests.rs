use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<Project>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn created() -> ProjectCreated {
    ProjectCreated {
        project_id: ProjectId::from(Uuid::from_u128(1)),
        workspace_id: WorkspaceId::from(Uuid::from_u128(2)),
        name: name("Web"),
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn rename(text: &str) -> ProjectCommand {
    ProjectCommand::Rename { name: name(text) }
}

#[test]
fn an_absent_project_can_only_be_created() {
    let given = || given().given_no_previous_events();
    given().when(ProjectCommand::Create(created())).then_expect_events(vec![created().into()]);
    given().when(rename("App")).then_expect_error(ProjectReason::Unknown);
}

#[test]
fn creating_again_changes_nothing() {
    given().given(vec![created().into()]).when(ProjectCommand::Create(created())).then_expect_events(vec![]);
}

#[test]
fn a_name_changes_once_and_the_workspace_never() {
    let given = || given().given(vec![created().into()]);
    given().when(rename("Web")).then_expect_events(vec![]);
    let renamed = ProjectRenamed { name: name("App") };
    given().when(rename("App")).then_expect_events(vec![renamed.clone().into()]);
    given().and(vec![renamed.clone().into()]).when(rename("App")).then_expect_events(vec![]);

    let mut project = Project::default();
    project.evolve(created().into());
    project.evolve(renamed.into());
    assert_eq!(project, Project::Active { workspace_id: created().workspace_id, name: name("App") });
}
