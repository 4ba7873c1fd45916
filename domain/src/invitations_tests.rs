use cqrs_es::test::TestFramework;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<Invitation>;

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn given() -> Given {
    Given::with(Now(now()))
}

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn sent() -> InvitationSent {
    InvitationSent {
        invitation_id: InvitationId::from(uuid::Uuid::from_u128(1)),
        email: email("bob@example.com"),
        role: Role::Member,
        workspace_ids: vec![],
        invited_by: "Ada".to_owned(),
        expires_at: now() + TimeDelta::days(7),
    }
}

fn expired() -> InvitationSent {
    InvitationSent { expires_at: now(), ..sent() }
}

fn bob() -> UserId {
    UserId::from(uuid::Uuid::from_u128(2))
}

fn accept(address: &str, generation: u32) -> InvitationCommand {
    InvitationCommand::Accept { user_id: bob(), address: email(address), generation }
}

fn decline() -> InvitationCommand {
    InvitationCommand::Decline { address: email("bob@example.com"), generation: 1 }
}

#[test]
fn an_absent_invitation_can_only_be_sent() {
    given()
        .given_no_previous_events()
        .when(InvitationCommand::Send(sent()))
        .then_expect_events(vec![sent().into()]);
    for command in [
        accept("bob@example.com", 1),
        decline(),
        InvitationCommand::Revoke,
        InvitationCommand::Expire,
        InvitationCommand::Resend { valid_for: TimeDelta::days(1) },
    ] {
        given().given_no_previous_events().when(command).then_expect_error(InvitationReason::Unknown);
    }
}

#[test]
fn sending_again_changes_nothing() {
    given().given(vec![sent().into()]).when(InvitationCommand::Send(sent())).then_expect_events(vec![]);
}

#[test]
fn pending_is_accepted_by_the_invited_address_with_the_newest_link() {
    let given = || given().given(vec![sent().into()]);
    given()
        .when(accept("bob@example.com", 1))
        .then_expect_events(vec![InvitationAccepted { user_id: bob() }.into()]);
    given().when(accept("eve@example.com", 1)).then_expect_error(InvitationReason::ForOtherAddress);
    given().when(accept("bob@example.com", 2)).then_expect_error(InvitationReason::Unknown);
}

#[test]
fn a_resend_rotates_the_link_and_renews_the_expiry() {
    let resent = InvitationResent { generation: 2, expires_at: now() + TimeDelta::days(3) };
    let resend = InvitationCommand::Resend { valid_for: TimeDelta::days(3) };
    given().given(vec![expired().into()]).when(resend).then_expect_events(vec![resent.clone().into()]);
    let given = || given().given(vec![expired().into(), resent.clone().into()]);
    given().when(accept("bob@example.com", 1)).then_expect_error(InvitationReason::Unknown);
    given()
        .when(accept("bob@example.com", 2))
        .then_expect_events(vec![InvitationAccepted { user_id: bob() }.into()]);
}

#[test]
fn pending_is_declined_revoked_or_expires() {
    let pending = || given().given(vec![sent().into()]);
    pending().when(decline()).then_expect_events(vec![InvitationDeclined {}.into()]);
    pending().when(InvitationCommand::Revoke).then_expect_events(vec![InvitationRevoked {}.into()]);
    pending().when(InvitationCommand::Expire).then_expect_error(InvitationReason::NotExpired);
    let over = || given().given(vec![expired().into()]);
    over().when(InvitationCommand::Expire).then_expect_events(vec![InvitationExpired {}.into()]);
    over().when(accept("bob@example.com", 1)).then_expect_error(InvitationReason::Expired);
    over().when(decline()).then_expect_error(InvitationReason::Expired);
    over().when(InvitationCommand::Revoke).then_expect_events(vec![InvitationRevoked {}.into()]);
}

#[test]
fn what_is_closed_stays_closed() {
    let closed: [(InvitationEvent, InvitationReason); 4] = [
        (InvitationAccepted { user_id: bob() }.into(), InvitationReason::AlreadyAccepted),
        (InvitationDeclined {}.into(), InvitationReason::AlreadyDeclined),
        (InvitationRevoked {}.into(), InvitationReason::Revoked),
        (InvitationExpired {}.into(), InvitationReason::Expired),
    ];
    for (event, reason) in closed {
        let given = || given().given(vec![sent().into(), event.clone()]);
        given().when(accept("bob@example.com", 1)).then_expect_error(reason);
        given().when(InvitationCommand::Resend { valid_for: TimeDelta::days(1) }).then_expect_error(reason);
    }
}

#[test]
fn closing_twice_is_closing_once() {
    let repeats: [(InvitationEvent, InvitationCommand); 3] = [
        (InvitationDeclined {}.into(), decline()),
        (InvitationRevoked {}.into(), InvitationCommand::Revoke),
        (InvitationExpired {}.into(), InvitationCommand::Expire),
    ];
    for (event, command) in repeats {
        given().given(vec![sent().into(), event]).when(command).then_expect_events(vec![]);
    }
}
