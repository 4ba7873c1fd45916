use cqrs_es::test::TestFramework;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<Session>;

fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

fn given_at(now: DateTime<Utc>) -> Given {
    Given::with(Now(now))
}

fn started() -> SessionStarted {
    SessionStarted {
        session_id: SessionId::from(uuid::Uuid::from_u128(1)),
        user_id: UserId::from(uuid::Uuid::from_u128(2)),
        started_at: start(),
        expires_at: start() + TimeDelta::days(REFRESH_LIFETIME_DAYS),
    }
}

fn refreshed(generation: u32, refreshed_at: DateTime<Utc>) -> SessionEvent {
    let expires_at = refreshed_at + TimeDelta::days(30);
    SessionRefreshed { generation, refreshed_at, expires_at }.into()
}

fn ended(cause: SessionEnd) -> SessionEvent {
    SessionEnded { cause }.into()
}

fn refresh(generation: u32) -> SessionCommand {
    SessionCommand::Refresh { generation }
}

const LOG_OUT: SessionCommand = SessionCommand::End { cause: SessionEnd::LoggedOut };

fn session(events: Vec<SessionEvent>) -> Session {
    let mut session = Session::default();
    events.into_iter().for_each(|event| session.evolve(event));
    session
}

#[test]
fn an_absent_session_can_only_start() {
    let given = || given_at(start()).given_no_previous_events();
    given().when(SessionCommand::Start(started())).then_expect_events(vec![started().into()]);
    given().when(refresh(1)).then_expect_error(SessionReason::Unknown);
    given().when(LOG_OUT).then_expect_error(SessionReason::Unknown);
}

#[test]
fn starting_again_changes_nothing() {
    for events in [vec![started().into()], vec![started().into(), ended(SessionEnd::LoggedOut)]] {
        given_at(start()).given(events).when(SessionCommand::Start(started())).then_expect_events(vec![]);
    }
}

#[test]
fn the_newest_token_is_exchanged_for_the_next() {
    given_at(after(900))
        .given(vec![started().into()])
        .when(refresh(1))
        .then_expect_events(vec![refreshed(2, after(900))]);
    given_at(after(1800))
        .given(vec![started().into(), refreshed(2, after(900))])
        .when(refresh(2))
        .then_expect_events(vec![refreshed(3, after(1800))]);
}

#[test]
fn the_token_just_spent_is_excused_for_the_grace_only() {
    let events = || vec![started().into(), refreshed(2, after(900))];
    for (now, expected) in [
        (after(900), vec![]),
        (after(900 + REFRESH_GRACE_SECONDS), vec![]),
        (after(901 + REFRESH_GRACE_SECONDS), vec![ended(SessionEnd::RefreshReused)]),
    ] {
        given_at(now).given(events()).when(refresh(1)).then_expect_events(expected);
    }
}

#[test]
fn a_token_spent_before_the_last_is_never_excused() {
    given_at(after(901))
        .given(vec![started().into(), refreshed(2, after(900)), refreshed(3, after(901))])
        .when(refresh(1))
        .then_expect_events(vec![ended(SessionEnd::RefreshReused)]);
}

#[test]
fn a_token_that_was_never_given_is_unknown() {
    for generation in [0, 2, u32::MAX] {
        given_at(start())
            .given(vec![started().into()])
            .when(refresh(generation))
            .then_expect_error(SessionReason::Unknown);
    }
}

#[test]
fn an_expired_session_is_not_refreshed_but_can_be_ended() {
    let given = || given_at(started().expires_at).given(vec![started().into()]);
    given().when(refresh(1)).then_expect_error(SessionReason::Expired);
    given().when(LOG_OUT).then_expect_events(vec![ended(SessionEnd::LoggedOut)]);
}

#[test]
fn a_refresh_renews_the_expiry() {
    let now = started().expires_at;
    given_at(now)
        .given(vec![started().into(), refreshed(2, after(900))])
        .when(refresh(2))
        .then_expect_events(vec![refreshed(3, now)]);
}

#[test]
fn ending_keeps_the_cause_and_happens_once() {
    for cause in [SessionEnd::LoggedOut, SessionEnd::LoggedOutEverywhere, SessionEnd::RefreshReused] {
        given_at(start())
            .given(vec![started().into()])
            .when(SessionCommand::End { cause })
            .then_expect_events(vec![ended(cause)]);
        let given = || given_at(start()).given(vec![started().into(), ended(cause)]);
        given().when(LOG_OUT).then_expect_events(vec![]);
        given().when(refresh(1)).then_expect_error(SessionReason::Ended);
    }
}

#[test]
fn a_login_is_good_until_it_expires_or_ends() {
    let expires_at = started().expires_at;
    let active = session(vec![started().into()]);
    assert_eq!(active.login(expires_at - TimeDelta::microseconds(1)).unwrap().user_id, started().user_id);
    assert_eq!(active.login(expires_at), Err(SessionReason::Expired));
    let over = session(vec![started().into(), ended(SessionEnd::RefreshReused)]);
    assert_eq!(over.login(start()), Err(SessionReason::Ended));
    assert_eq!(Session::default().login(start()), Err(SessionReason::Unknown));
}

#[test]
fn ends_have_the_names_of_the_api() {
    let ends = [SessionEnd::LoggedOut, SessionEnd::LoggedOutEverywhere, SessionEnd::RefreshReused];
    let names = serde_json::to_string(&ends).unwrap();
    assert_eq!(names, r#"["logged_out","logged_out_everywhere","refresh_reused"]"#);
}
