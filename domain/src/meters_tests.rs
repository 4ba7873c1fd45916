use cqrs_es::test::TestFramework;
use proptest::prelude::*;

use super::*;
use crate::aggregate::Now;

type Given = TestFramework<Meter>;

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn given() -> Given {
    Given::with(Now(time("2026-03-01T12:00:00Z")))
}

fn march() -> Period {
    Period { start: time("2026-03-01T00:00:00Z"), end: time("2026-04-01T00:00:00Z") }
}

fn april() -> Period {
    Period { start: time("2026-04-01T00:00:00Z"), end: time("2026-05-01T00:00:00Z") }
}

fn admit(requested: u64, period: Period, limit: EventLimit) -> MeterCommand {
    MeterCommand::Admit { requested, period, limit }
}

fn admitted(count: u64, period: Period) -> MeterEvent {
    UsageAdmitted { period, count }.into()
}

fn refused(count: u64, period: Period) -> MeterEvent {
    UsageRefused { period, count }.into()
}

fn after(events: Vec<MeterEvent>) -> Meter {
    let mut meter = Meter::default();
    events.into_iter().for_each(|event| meter.evolve(event));
    meter
}

const TEN: EventLimit = EventLimit::AtMost(10);

#[test]
fn a_new_meter_admits_what_there_is_room_for() {
    for (requested, limit, events) in [
        (0, TEN, vec![]),
        (10, TEN, vec![admitted(10, march())]),
        (11, TEN, vec![admitted(10, march()), refused(1, march())]),
        (3, EventLimit::AtMost(0), vec![refused(3, march())]),
        (u64::MAX, EventLimit::Unlimited, vec![admitted(u64::MAX, march())]),
    ] {
        given().given_no_previous_events().when(admit(requested, march(), limit)).then_expect_events(events);
    }
}

#[test]
fn what_was_admitted_before_takes_room_and_what_was_refused_does_not() {
    let given = || given().given(vec![admitted(7, march()), refused(5, march())]);
    given().when(admit(3, march(), TEN)).then_expect_events(vec![admitted(3, march())]);
    given().when(admit(5, march(), TEN)).then_expect_events(vec![admitted(3, march()), refused(2, march())]);
    given().when(admit(20, march(), EventLimit::Unlimited)).then_expect_events(vec![admitted(20, march())]);
    // A smaller plan than the one that the events came under.
    given().when(admit(1, march(), EventLimit::AtMost(5))).then_expect_events(vec![refused(1, march())]);
}

#[test]
fn a_later_period_starts_from_nothing() {
    given()
        .given(vec![admitted(10, march())])
        .when(admit(10, april(), TEN))
        .then_expect_events(vec![admitted(10, april())]);
    assert_eq!(
        after(vec![admitted(10, march()), refused(4, march()), refused(1, april())]),
        Meter::Counting { period: april(), admitted: 0, refused: 1 }
    );
}

#[test]
fn a_clock_that_goes_back_does_not_open_a_period_again() {
    given()
        .given(vec![admitted(1, march()), admitted(8, april())])
        .when(admit(5, march(), TEN))
        .then_expect_events(vec![admitted(2, april()), refused(3, april())]);
}

#[test]
fn counts_stop_at_the_largest_number() {
    assert_eq!(
        after(vec![admitted(u64::MAX, march()), admitted(1, march()), refused(2, march())]),
        Meter::Counting { period: march(), admitted: u64::MAX, refused: 2 }
    );
}

proptest! {
    #[test]
    fn a_period_takes_its_limit_and_refuses_nothing_before(
        limit in 0_u64..2_000,
        requests in prop::collection::vec(0_u64..500, 0..50),
    ) {
        let mut meter = Meter::default();
        let (mut taken, mut dropped) = (0, 0);
        for requested in requests {
            let command = admit(requested, march(), EventLimit::AtMost(limit));
            let (mut now_taken, mut now_dropped) = (0, 0);
            for event in meter.decide(command, march().start).unwrap() {
                match &event {
                    MeterEvent::UsageAdmitted(usage) => now_taken += usage.count,
                    MeterEvent::UsageRefused(usage) => now_dropped += usage.count,
                }
                meter.evolve(event);
            }
            taken += now_taken;
            dropped += now_dropped;
            prop_assert_eq!(now_taken + now_dropped, requested);
            prop_assert!(taken <= limit);
            prop_assert!(now_dropped == 0 || taken == limit, "refused {} with {} of {} taken", now_dropped, taken, limit);
        }
        if taken + dropped > 0 {
            prop_assert_eq!(meter, Meter::Counting { period: march(), admitted: taken, refused: dropped });
        }
    }
}
