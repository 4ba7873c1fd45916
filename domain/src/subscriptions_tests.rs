use chrono::TimeDelta;
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{aggregate::Now, plan::Plan};

type Given = TestFramework<Subscription>;

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn given() -> Given {
    Given::with(Now(now()))
}

fn started() -> SubscriptionStarted {
    SubscriptionStarted {
        subscription_id: SubscriptionId::from(Uuid::from_u128(1)),
        terms: Plan::Free.terms(),
        started_at: now() - TimeDelta::days(14),
        trial_ends_at: None,
    }
}

/// With a trial that is over at [`now`], to the microsecond.
fn trial() -> SubscriptionStarted {
    SubscriptionStarted { trial_ends_at: Some(now()), ..started() }
}

fn member(number: u128) -> MemberId {
    MemberId::from(Uuid::from_u128(number))
}

fn take(number: u128) -> SubscriptionCommand {
    SubscriptionCommand::TakeSeat { member_id: member(number) }
}

fn taken(number: u128) -> SubscriptionEvent {
    SeatTaken { member_id: member(number) }.into()
}

fn release(number: u128) -> SubscriptionCommand {
    SubscriptionCommand::ReleaseSeat { member_id: member(number) }
}

fn released(number: u128) -> SubscriptionEvent {
    SeatReleased { member_id: member(number) }.into()
}

fn change(plan: Plan) -> SubscriptionCommand {
    SubscriptionCommand::ChangePlan { terms: plan.terms() }
}

fn changed(plan: Plan) -> SubscriptionEvent {
    PlanChanged { terms: plan.terms() }.into()
}

/// What leads to each state but Absent, with its name.
fn states() -> [(&'static str, Vec<SubscriptionEvent>); 5] {
    let after = |event: SubscriptionEvent| vec![started().into(), event];
    [
        ("trialing", vec![trial().into()]),
        ("active", vec![started().into()]),
        ("past_due", after(PaymentFailed {}.into())),
        ("paused", after(SubscriptionPaused {}.into())),
        ("canceled", after(SubscriptionCanceled {}.into())),
    ]
}

fn state(name: &str) -> Vec<SubscriptionEvent> {
    states().into_iter().find_map(|(state, events)| (state == name).then_some(events)).unwrap()
}

fn after(events: Vec<SubscriptionEvent>) -> Subscription {
    let mut subscription = Subscription::default();
    events.into_iter().for_each(|event| subscription.evolve(event));
    subscription
}

#[test]
fn an_absent_subscription_can_only_be_started() {
    use SubscriptionCommand::*;
    for started in [started(), trial()] {
        given()
            .given_no_previous_events()
            .when(Start(started.clone()))
            .then_expect_events(vec![started.into()]);
    }
    for command in [
        EndTrial,
        change(Plan::Pro),
        Cancel,
        Resume,
        Pause,
        ReportPaymentFailed,
        ReportPayment,
        take(1),
        release(1),
    ] {
        given().given_no_previous_events().when(command).then_expect_error(SubscriptionReason::Unknown);
    }
}

#[test]
fn starting_again_changes_nothing() {
    for (_, events) in states() {
        given().given(events).when(SubscriptionCommand::Start(trial())).then_expect_events(vec![]);
    }
}

/// Every arrow between states, those that lead back, and those that are missing.
#[test]
fn every_transition_leads_where_the_diagram_says() {
    use SubscriptionCommand::*;
    use SubscriptionReason::NotAllowed;
    let ended = || SubscriptionEvent::from(TrialEnded {});
    let failed = || SubscriptionEvent::from(PaymentFailed {});
    let paid = || SubscriptionEvent::from(PaymentReceived {});
    let paused = || SubscriptionEvent::from(SubscriptionPaused {});
    let resumed = || SubscriptionEvent::from(SubscriptionResumed {});
    let canceled = || SubscriptionEvent::from(SubscriptionCanceled {});
    let stays = Ok::<_, SubscriptionReason>(None);

    let arrows = [
        ("trialing", EndTrial, Ok(Some((ended(), "active")))),
        ("trialing", ReportPaymentFailed, Ok(Some((failed(), "past_due")))),
        ("trialing", ReportPayment, Err(NotAllowed)),
        ("trialing", Pause, Ok(Some((paused(), "paused")))),
        ("trialing", Resume, Err(NotAllowed)),
        ("trialing", Cancel, Ok(Some((canceled(), "canceled")))),
        ("active", EndTrial, stays.clone()),
        ("active", ReportPaymentFailed, Ok(Some((failed(), "past_due")))),
        ("active", ReportPayment, stays.clone()),
        ("active", Pause, Ok(Some((paused(), "paused")))),
        ("active", Resume, stays.clone()),
        ("active", Cancel, Ok(Some((canceled(), "canceled")))),
        ("past_due", EndTrial, Err(NotAllowed)),
        ("past_due", ReportPaymentFailed, stays.clone()),
        ("past_due", ReportPayment, Ok(Some((paid(), "active")))),
        ("past_due", Pause, Ok(Some((paused(), "paused")))),
        ("past_due", Resume, Err(NotAllowed)),
        ("past_due", Cancel, Ok(Some((canceled(), "canceled")))),
        ("paused", EndTrial, Err(NotAllowed)),
        ("paused", ReportPaymentFailed, Err(NotAllowed)),
        ("paused", ReportPayment, Err(NotAllowed)),
        ("paused", Pause, stays.clone()),
        ("paused", Resume, Ok(Some((resumed(), "active")))),
        ("paused", Cancel, Ok(Some((canceled(), "canceled")))),
        ("canceled", EndTrial, Err(NotAllowed)),
        ("canceled", ReportPaymentFailed, Err(NotAllowed)),
        ("canceled", ReportPayment, Err(NotAllowed)),
        ("canceled", Pause, Err(NotAllowed)),
        ("canceled", Resume, Ok(Some((resumed(), "active")))),
        ("canceled", Cancel, stays),
    ];
    for (from, command, expected) in arrows {
        let arrow = format!("{from}, {command:?}");
        let result = given().given(state(from)).when(command).inspect_result();
        let events = expected.clone().map(|to| to.map(|(event, _)| event).into_iter().collect());
        assert_eq!(result, events, "{arrow}");
        if let Ok(Some((event, to))) = expected {
            let mut events = state(from);
            let contract = after(events.clone()).contract().cloned();
            events.push(event);
            assert_eq!(after(events.clone()).state_name(), to, "{arrow}");
            assert_eq!(after(events).contract(), contract.as_ref(), "{arrow}");
        }
    }
}

#[test]
fn a_trial_does_not_end_early() {
    let trial = SubscriptionStarted { trial_ends_at: Some(now() + TimeDelta::microseconds(1)), ..started() };
    given()
        .given(vec![trial.into()])
        .when(SubscriptionCommand::EndTrial)
        .then_expect_error(SubscriptionReason::TrialNotOver);
}

#[test]
fn plans_change_while_nothing_is_owed_or_stopped() {
    for (name, events) in states() {
        let given = || given().given(events.clone());
        for plan in [Plan::Free, Plan::Pro] {
            match name {
                "past_due" => given().when(change(plan)).then_expect_error(SubscriptionReason::PaymentDue),
                "paused" | "canceled" => {
                    given().when(change(plan)).then_expect_error(SubscriptionReason::Inactive);
                }
                _ if plan == Plan::Free => given().when(change(plan)).then_expect_events(vec![]),
                _ => given().when(change(plan)).then_expect_events(vec![changed(plan)]),
            }
        }
    }
}

#[test]
fn a_change_of_plan_ends_no_trial() {
    let subscription = after(vec![trial().into(), changed(Plan::Pro)]);
    assert_eq!(subscription.state_name(), "trialing");
    assert_eq!(subscription.contract().unwrap().terms, Plan::Pro.terms());
}

#[test]
fn a_plan_must_have_the_seats_that_are_taken() {
    let full = (1..=3).map(taken);
    let pro = || given().given(vec![started().into(), changed(Plan::Pro)]).and(full.clone().collect());
    pro().when(change(Plan::Free)).then_expect_events(vec![changed(Plan::Free)]);
    pro().and(vec![taken(4)]).when(change(Plan::Free)).then_expect_error(SubscriptionReason::SeatsInUse);
}

#[test]
fn seats_are_taken_up_to_the_limit() {
    for name in ["trialing", "active", "past_due"] {
        let given = || given().given(state(name));
        given().when(take(1)).then_expect_events(vec![taken(1)]);
        given().and(vec![taken(1), taken(2)]).when(take(3)).then_expect_events(vec![taken(3)]);
        let full = || given().and((1..=3).map(taken).collect());
        full().when(take(4)).then_expect_error(SubscriptionReason::SeatLimitReached);
        full().when(take(3)).then_expect_events(vec![]);
        full().and(vec![released(1)]).when(take(4)).then_expect_events(vec![taken(4)]);
    }
}

#[test]
fn no_seat_is_taken_of_what_is_stopped() {
    for stop in [SubscriptionEvent::from(SubscriptionPaused {}), SubscriptionCanceled {}.into()] {
        let given = || given().given(vec![started().into(), taken(1), stop.clone()]);
        given().when(take(2)).then_expect_error(SubscriptionReason::Inactive);
        given().when(take(1)).then_expect_events(vec![]);
    }
}

#[test]
fn seats_are_given_back_in_every_state() {
    for (_, mut events) in states() {
        given().given(events.clone()).when(release(1)).then_expect_events(vec![]);
        events.insert(1, taken(1));
        given().given(events).when(release(1)).then_expect_events(vec![released(1)]);
    }
}

#[test]
fn terms_and_state_limit_the_events() {
    let (free, none) = (EventLimit::AtMost(100_000), EventLimit::AtMost(0));
    assert_eq!(Subscription::default().event_limit(), none);
    for (name, events) in states() {
        let subscription = after(events.clone());
        let stopped = matches!(name, "paused" | "canceled");
        assert_eq!(subscription.state_name(), name);
        assert_eq!(subscription.event_limit(), if stopped { none } else { free }, "{name}");
        // A plan is changed while that is allowed, so right after the start.
        let mut billed = events;
        billed.insert(1, changed(Plan::Pro));
        let limit = if stopped { none } else { EventLimit::Unlimited };
        assert_eq!(after(billed).event_limit(), limit, "{name}");
    }
}

#[test]
fn the_anchor_is_the_start_and_stays() {
    let mut events = vec![trial().into(), TrialEnded {}.into(), changed(Plan::Pro)];
    events.extend([SubscriptionPaused {}.into(), SubscriptionResumed {}.into()]);
    let subscription = after(events);
    let anchor = started().started_at;
    let contract = Contract { terms: Plan::Pro.terms(), anchor, seats: BTreeSet::new() };
    assert_eq!(subscription, Subscription::Active(contract));
}
