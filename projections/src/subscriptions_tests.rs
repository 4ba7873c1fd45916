use domain::{
    ids::MemberId,
    plan::Plan,
    subscriptions::{
        PaymentFailed, PaymentReceived, PlanChanged, SeatReleased, SeatTaken, SubscriptionCanceled,
        SubscriptionPaused, SubscriptionResumed, SubscriptionStarted, TrialEnded,
    },
};

use super::*;
use crate::story::{Story, rows, time};

fn started(trial_ends_at: Option<DateTime<Utc>>) -> (Story, SubscriptionId) {
    let mut story = Story::new();
    let subscription_id = SubscriptionId::of(story.tenant);
    let (terms, started_at) = (Plan::Free.terms(), time("2026-01-31T00:00:00Z"));
    story.tell(
        "subscription",
        subscription_id,
        SubscriptionStarted { subscription_id, terms, started_at, trial_ends_at },
    );
    (story, subscription_id)
}

fn row(story: &Story) -> SubscriptionRow {
    rows::<Subscriptions>(story).remove(&()).unwrap()
}

#[test]
fn the_state_follows_every_arrow() {
    let (mut story, id) = started(Some(time("2026-02-14T00:00:00Z")));
    let mut states = vec![row(&story).state];
    story.tell("subscription", id, TrialEnded {});
    states.push(row(&story).state);
    story.tell("subscription", id, PaymentFailed {});
    states.push(row(&story).state);
    story.tell("subscription", id, PaymentReceived {});
    states.push(row(&story).state);
    story.tell("subscription", id, SubscriptionPaused {});
    states.push(row(&story).state);
    story.tell("subscription", id, SubscriptionResumed {});
    states.push(row(&story).state);
    story.tell("subscription", id, SubscriptionCanceled {});
    states.push(row(&story).state);
    assert_eq!(states, ["trialing", "active", "past_due", "active", "paused", "active", "canceled"]);
    assert_eq!(row(&story).sequence, 7);
}

#[test]
fn a_start_without_a_trial_is_active_with_the_plan_s_terms() {
    let (story, _) = started(None);
    let row = row(&story);
    assert_eq!((row.state.as_str(), row.plan.as_str(), row.overage.as_str()), ("active", "free", "refused"));
    assert_eq!((row.events_per_month, row.seats, row.seats_taken), (100_000, 3, 0));
}

#[test]
fn seats_are_counted_and_a_new_plan_keeps_them() {
    let (mut story, id) = started(None);
    let (one, other) = (
        MemberId::of(story.tenant, domain::ids::UserId::random()),
        MemberId::of(story.tenant, domain::ids::UserId::random()),
    );
    story.tell("subscription", id, SeatTaken { member_id: one });
    story.tell("subscription", id, SeatTaken { member_id: other });
    story.tell("subscription", id, SeatReleased { member_id: one });
    story.tell("subscription", id, PlanChanged { terms: Plan::Pro.terms() });
    let row = row(&story);
    assert_eq!((row.plan.as_str(), row.overage.as_str(), row.seats_taken), ("pro", "billed", 1));
    assert_eq!(row.started_at, time("2026-01-31T00:00:00Z"));
}

#[test]
fn more_events_than_the_table_can_hold_are_the_most_it_can() {
    let (mut story, id) = started(None);
    let terms = Terms { events_per_month: u64::MAX, ..Plan::Enterprise.terms() };
    story.tell("subscription", id, PlanChanged { terms });
    assert_eq!(row(&story).events_per_month, i64::MAX as u64);
}
