use cqrs_es::test::TestFramework;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<User>;

fn given() -> Given {
    Given::with(Now("2026-03-01T12:00:00Z".parse().unwrap()))
}

fn registered() -> UserRegistered {
    UserRegistered {
        user_id: UserId::from(uuid::Uuid::from_u128(1)),
        email: "ada@example.com".parse().unwrap(),
        name: "Ada".parse().unwrap(),
    }
}

fn refused(cause: SignInRefusal) -> UserEvent {
    SignInRefused { cause }.into()
}

fn every_cause() -> [SignInRefusal; 2] {
    [SignInRefusal::WrongPassword, SignInRefusal::NotVerified]
}

fn after(events: Vec<UserEvent>) -> User {
    let mut user = User::default();
    events.into_iter().for_each(|event| user.evolve(event));
    user
}

fn verify(generation: u32) -> UserCommand {
    UserCommand::Verify { generation, password: VerifiedPassword::Unchanged }
}

#[test]
fn who_verifies_an_address_that_was_registered_twice_chooses_its_password() {
    let contested = || given().given(vec![registered().into(), RegistrationRepeated {}.into()]);
    contested().when(verify(1)).then_expect_error(UserReason::PasswordNeeded);
    contested()
        .when(UserCommand::Verify { generation: 1, password: VerifiedPassword::Chosen })
        .then_expect_events(vec![EmailVerified {}.into()]);
    contested()
        .when(UserCommand::Verify { generation: 2, password: VerifiedPassword::Chosen })
        .then_expect_error(UserReason::LinkOutdated);
}

#[test]
fn an_absent_user_can_only_register() {
    given()
        .given_no_previous_events()
        .when(UserCommand::Register(registered()))
        .then_expect_events(vec![registered().into()]);
    for command in [
        UserCommand::RepeatRegistration,
        UserCommand::RequestVerification,
        verify(1),
        UserCommand::RefuseSignIn { cause: SignInRefusal::WrongPassword },
        UserCommand::GrantAdministrator,
    ] {
        given().given_no_previous_events().when(command).then_expect_error(UserReason::Unknown);
    }
    assert_eq!(User::default().account(), None);
}

#[test]
fn a_new_account_is_unverified_and_ordinary() {
    let UserRegistered { user_id, email, name } = registered();
    let account = Account {
        user_id,
        email,
        name,
        verified: false,
        generation: 1,
        registrations: 1,
        administrator: false,
    };
    assert_eq!(after(vec![registered().into()]).account(), Some(&account));
}

#[test]
fn registering_again_changes_nothing() {
    given()
        .given(vec![registered().into()])
        .when(UserCommand::Register(registered()))
        .then_expect_events(vec![]);
}

#[test]
fn each_registration_with_a_known_address_is_recorded() {
    given()
        .given(vec![registered().into(), RegistrationRepeated {}.into()])
        .when(UserCommand::RepeatRegistration)
        .then_expect_events(vec![RegistrationRepeated {}.into()]);
}

#[test]
fn the_link_of_the_first_mail_verifies() {
    let given = || given().given(vec![registered().into()]);
    given().when(verify(1)).then_expect_events(vec![EmailVerified {}.into()]);
    for generation in [0, 2] {
        given().when(verify(generation)).then_expect_error(UserReason::LinkOutdated);
    }
}

#[test]
fn another_mail_makes_the_links_before_it_invalid() {
    let second = VerificationRequested { generation: 2 };
    given()
        .given(vec![registered().into()])
        .when(UserCommand::RequestVerification)
        .then_expect_events(vec![second.clone().into()]);
    let given = || given().given(vec![registered().into(), second.clone().into()]);
    given().when(verify(1)).then_expect_error(UserReason::LinkOutdated);
    given().when(verify(2)).then_expect_events(vec![EmailVerified {}.into()]);
    given()
        .when(UserCommand::RequestVerification)
        .then_expect_events(vec![VerificationRequested { generation: 3 }.into()]);
}

#[test]
fn a_verified_address_needs_no_mail_and_no_link() {
    let given = || given().given(vec![registered().into(), EmailVerified {}.into()]);
    given().when(UserCommand::RequestVerification).then_expect_events(vec![]);
    for generation in [1, 7] {
        given().when(verify(generation)).then_expect_events(vec![]);
    }
}

#[test]
fn each_refused_sign_in_is_recorded() {
    for cause in every_cause() {
        given()
            .given(vec![registered().into(), refused(cause)])
            .when(UserCommand::RefuseSignIn { cause })
            .then_expect_events(vec![refused(cause)]);
    }
}

#[test]
fn what_is_only_recorded_changes_no_account() {
    let verified = || vec![registered().into(), EmailVerified {}.into()];
    let mut noisy = verified();
    noisy.push(RegistrationRepeated {}.into());
    noisy.extend(every_cause().map(refused));
    assert_eq!(after(noisy), after(verified()));
}

#[test]
fn administrators_are_made_once_verified_or_not() {
    let granted = || UserEvent::from(AdministratorGranted {});
    for before in [vec![registered().into()], vec![registered().into(), EmailVerified {}.into()]] {
        given()
            .given(before.clone())
            .when(UserCommand::GrantAdministrator)
            .then_expect_events(vec![granted()]);
        given()
            .given(before)
            .and(vec![granted()])
            .when(UserCommand::GrantAdministrator)
            .then_expect_events(vec![]);
    }
    assert!(after(vec![registered().into(), granted()]).account().unwrap().administrator);
}

#[test]
fn causes_have_the_names_of_the_api() {
    let names = serde_json::to_string(&every_cause()).unwrap();
    assert_eq!(names, r#"["wrong_password","not_verified"]"#);
}

fn erase() -> UserCommand {
    UserCommand::RequestErasure { reason: None }
}

fn requested() -> UserEvent {
    ErasureRequested { reason: None }.into()
}

#[test]
fn a_user_is_erased_in_two_steps() {
    let active = || given().given(vec![registered().into()]);
    active().when(UserCommand::CompleteErasure).then_expect_error(UserReason::ErasureNotRequested);
    active().when(erase()).then_expect_events(vec![requested()]);
    let erasing = || active().and(vec![requested()]);
    erasing().when(erase()).then_expect_events(vec![]);
    erasing().when(UserCommand::CompleteErasure).then_expect_events(vec![SubjectErased {}.into()]);
    let erased = || erasing().and(vec![SubjectErased {}.into()]);
    erased().when(erase()).then_expect_events(vec![]);
    erased().when(UserCommand::CompleteErasure).then_expect_events(vec![]);
}

#[test]
fn who_is_erased_or_about_to_be_is_nobody() {
    let erasing = vec![registered().into(), requested()];
    let erased = [erasing.clone(), vec![SubjectErased {}.into()]].concat();
    assert_eq!(after(erasing.clone()).account(), None);
    assert_eq!(after(erasing.clone()).erasing().unwrap().email, registered().email);
    assert_eq!(after(erased.clone()), User::Erased);
    for events in [erasing, erased] {
        let given = || given().given(events.clone());
        for command in [UserCommand::Register(registered()), UserCommand::RepeatRegistration] {
            given().when(command).then_expect_events(vec![]);
        }
        for command in
            [UserCommand::RequestVerification, UserCommand::RefuseSignIn { cause: every_cause()[0] }]
        {
            given().when(command).then_expect_events(vec![]);
        }
        for command in [verify(1), UserCommand::GrantAdministrator] {
            given().when(command).then_expect_error(UserReason::Unknown);
        }
    }
}
