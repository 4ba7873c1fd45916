use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<Tenant>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn created() -> TenantCreated {
    TenantCreated {
        tenant_id: TenantId::from(Uuid::from_u128(1)),
        name: name("Acme"),
        slug: slug("acme"),
        created_by: UserId::from(Uuid::from_u128(2)),
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn member(number: u128) -> MemberId {
    MemberId::from(Uuid::from_u128(number))
}

fn granted(number: u128) -> TenantEvent {
    OwnershipGranted { member_id: member(number) }.into()
}

fn ended(number: u128) -> TenantEvent {
    OwnershipEnded { member_id: member(number) }.into()
}

fn frozen(reason: &str) -> TenantEvent {
    TenantFrozen { reason: reason.to_owned() }.into()
}

fn grant(number: u128) -> TenantCommand {
    TenantCommand::GrantOwnership { member_id: member(number) }
}

fn end(number: u128) -> TenantCommand {
    TenantCommand::EndOwnership { member_id: member(number) }
}

fn freeze(reason: &str) -> TenantCommand {
    TenantCommand::Freeze { reason: reason.to_owned() }
}

fn rename(text: &str) -> TenantCommand {
    TenantCommand::Rename { name: name(text) }
}

fn change_slug(text: &str) -> TenantCommand {
    TenantCommand::ChangeSlug { slug: slug(text) }
}

fn after(events: Vec<TenantEvent>) -> Tenant {
    let mut tenant = Tenant::default();
    events.into_iter().for_each(|event| tenant.evolve(event));
    tenant
}

#[test]
fn an_absent_tenant_can_only_be_created() {
    let given = || given().given_no_previous_events();
    given().when(TenantCommand::Create(created())).then_expect_events(vec![created().into()]);
    for command in
        [rename("Ajax"), change_slug("ajax"), freeze("unpaid"), TenantCommand::Unfreeze, grant(1), end(1)]
    {
        given().when(command).then_expect_error(TenantReason::Unknown);
    }
    assert_eq!(Tenant::default().profile(), None);
}

#[test]
fn creating_again_changes_nothing() {
    for events in [vec![created().into()], vec![created().into(), frozen("unpaid")]] {
        given().given(events).when(TenantCommand::Create(created())).then_expect_events(vec![]);
    }
}

#[test]
fn a_name_changes_once() {
    let given = || given().given(vec![created().into()]);
    given().when(rename("Acme")).then_expect_events(vec![]);
    let renamed = TenantRenamed { name: name("Ajax") };
    given().when(rename("Ajax")).then_expect_events(vec![renamed.clone().into()]);
    given().and(vec![renamed.into()]).when(rename("Ajax")).then_expect_events(vec![]);
}

#[test]
fn a_slug_changes_once() {
    let given = || given().given(vec![created().into()]);
    given().when(change_slug("acme")).then_expect_events(vec![]);
    let changed = TenantSlugChanged { slug: slug("ajax") };
    given().when(change_slug("ajax")).then_expect_events(vec![changed.clone().into()]);
    given().and(vec![changed.into()]).when(change_slug("ajax")).then_expect_events(vec![]);
}

#[test]
fn ownership_is_granted_once() {
    given().given(vec![created().into()]).when(grant(1)).then_expect_events(vec![granted(1)]);
    given().given(vec![created().into(), granted(1)]).when(grant(1)).then_expect_events(vec![]);
}

#[test]
fn the_last_owner_stays() {
    let one = || given().given(vec![created().into(), granted(1)]);
    one().when(end(1)).then_expect_error(TenantReason::LastOwner);
    one().when(end(2)).then_expect_events(vec![]);
    let two = || one().and(vec![granted(2)]);
    two().when(end(1)).then_expect_events(vec![ended(1)]);
    two().and(vec![ended(1)]).when(end(1)).then_expect_events(vec![]);
    two().and(vec![ended(1)]).when(end(2)).then_expect_error(TenantReason::LastOwner);
}

#[test]
fn nothing_of_a_frozen_tenant_changes() {
    let given = || given().given(vec![created().into(), granted(1), granted(2), frozen("unpaid")]);
    for command in [rename("Ajax"), change_slug("ajax"), grant(3)] {
        given().when(command).then_expect_error(TenantReason::Frozen);
    }
}

#[test]
fn an_owner_may_go_from_a_frozen_tenant_but_not_the_last_one() {
    let given = || given().given(vec![created().into(), granted(1), granted(2), frozen("unpaid")]);
    given().when(end(1)).then_expect_events(vec![ended(1)]);
    given().when(end(3)).then_expect_events(vec![]);
    given().and(vec![ended(1)]).when(end(2)).then_expect_error(TenantReason::LastOwner);
}

#[test]
fn freezing_again_changes_the_reason_at_most() {
    given().given(vec![created().into()]).when(freeze("unpaid")).then_expect_events(vec![frozen("unpaid")]);
    let given = || given().given(vec![created().into(), frozen("unpaid")]);
    given().when(freeze("unpaid")).then_expect_events(vec![]);
    given().when(freeze("abuse")).then_expect_events(vec![frozen("abuse")]);
    assert_eq!(
        after(vec![created().into(), frozen("unpaid"), frozen("abuse")]),
        Tenant::Frozen(after(vec![created().into()]).profile().unwrap().clone(), "abuse".to_owned())
    );
}

#[test]
fn unfreezing_brings_back_all_that_was() {
    let unfrozen = || TenantEvent::from(TenantUnfrozen {});
    given().given(vec![created().into()]).when(TenantCommand::Unfreeze).then_expect_events(vec![]);
    given()
        .given(vec![created().into(), frozen("unpaid")])
        .when(TenantCommand::Unfreeze)
        .then_expect_events(vec![unfrozen()]);
    let before = after(vec![created().into(), granted(1)]);
    let during = after(vec![created().into(), granted(1), frozen("unpaid")]);
    let thawed = after(vec![created().into(), granted(1), frozen("unpaid"), unfrozen()]);
    assert_eq!(thawed, before);
    assert_eq!(during.profile(), before.profile());
    assert!(during.is_frozen() && !before.is_frozen() && !Tenant::Absent.is_frozen());
}
