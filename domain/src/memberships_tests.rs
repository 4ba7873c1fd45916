use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<Membership>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn joined(role: Role) -> MemberJoined {
    MemberJoined {
        member_id: MemberId::from(Uuid::from_u128(1)),
        user_id: UserId::from(Uuid::from_u128(2)),
        email: "bob@example.com".parse().unwrap(),
        name: "Bob".parse().unwrap(),
        role,
        workspace_ids: vec![],
    }
}

fn change_role(role: Role) -> MembershipCommand {
    MembershipCommand::ChangeRole { role }
}

fn role_of(events: Vec<MembershipEvent>) -> Option<Role> {
    let mut membership = Membership::default();
    events.into_iter().for_each(|event| membership.evolve(event));
    membership.member().map(|member| member.role)
}

fn endings() -> [(MembershipCommand, MembershipEvent); 3] {
    [
        (MembershipCommand::Remove, MemberRemoved {}.into()),
        (MembershipCommand::Leave, MemberLeft {}.into()),
        (MembershipCommand::Erase, MemberErased {}.into()),
    ]
}

#[test]
fn who_was_never_a_member_can_only_join() {
    let given = || given().given_no_previous_events();
    let join = MembershipCommand::Join(joined(Role::Member));
    given().when(join).then_expect_events(vec![joined(Role::Member).into()]);
    for command in [
        change_role(Role::Admin),
        MembershipCommand::Remove,
        MembershipCommand::Leave,
        MembershipCommand::Erase,
    ] {
        given().when(command).then_expect_error(MembershipReason::Unknown);
    }
}

#[test]
fn a_member_does_not_join_again() {
    for role in [Role::Member, Role::Owner] {
        given()
            .given(vec![joined(Role::Member).into()])
            .when(MembershipCommand::Join(joined(role)))
            .then_expect_error(MembershipReason::AlreadyMember);
    }
}

#[test]
fn a_role_changes_once() {
    let given = || given().given(vec![joined(Role::Member).into()]);
    given().when(change_role(Role::Member)).then_expect_events(vec![]);
    let changed = || MembershipEvent::from(MemberRoleChanged { role: Role::Admin });
    given().when(change_role(Role::Admin)).then_expect_events(vec![changed()]);
    given().and(vec![changed()]).when(change_role(Role::Admin)).then_expect_events(vec![]);
    assert_eq!(role_of(vec![joined(Role::Member).into(), changed()]), Some(Role::Admin));
}

#[test]
fn a_member_is_removed_or_leaves() {
    for (command, event) in endings() {
        given()
            .given(vec![joined(Role::Member).into()])
            .when(command)
            .then_expect_events(vec![event.clone()]);
        assert_eq!(role_of(vec![joined(Role::Member).into(), event]), None);
    }
}

#[test]
fn who_is_gone_stays_gone_until_they_join_again() {
    for (_, event) in endings() {
        let given = || given().given(vec![joined(Role::Owner).into(), event.clone()]);
        given().when(MembershipCommand::Remove).then_expect_events(vec![]);
        given().when(MembershipCommand::Leave).then_expect_events(vec![]);
        given().when(change_role(Role::Admin)).then_expect_error(MembershipReason::Unknown);
        given()
            .when(MembershipCommand::Join(joined(Role::Auditor)))
            .then_expect_events(vec![joined(Role::Auditor).into()]);
        // What they were before does not come back with them.
        let back = vec![joined(Role::Owner).into(), event.clone(), joined(Role::Auditor).into()];
        assert_eq!(role_of(back), Some(Role::Auditor));
    }
}
