//! No quota and no number of seats was ever passed, not even for a moment, and both count what is there.

use std::collections::{BTreeSet, HashMap};

use cqrs_es::Aggregate;
use domain::{
    aggregate::Facts,
    ids::{MemberId, TenantId},
    memberships::Membership,
    meters::{Meter, UsageAdmitted},
    recorded_event::RecordedEvent,
    subscriptions::{EventLimit, SeatTaken, Subscription},
    tracked_events::EventTracked,
};
use uuid::Uuid;

use crate::journals::Journals;

pub(super) fn problems(journals: &Journals) -> Vec<String> {
    let companies = journals.events.iter().filter(|(tenant, _)| **tenant != TenantId::PLATFORM);
    companies.flat_map(|(tenant, events)| of_tenant(*tenant, events)).collect()
}

fn of_tenant(tenant: TenantId, events: &[RecordedEvent]) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut subscription, mut meter) = (Subscription::default(), Meter::default());
    let mut memberships: HashMap<Uuid, Membership> = HashMap::new();
    let (mut tracked, mut admitted) = (0, 0);
    for event in events {
        match event.stream.kind.as_str() {
            Subscription::TYPE => apply(&mut subscription, event),
            Meter::TYPE => apply(&mut meter, event),
            Membership::TYPE => apply(memberships.entry(event.stream.id).or_default(), event),
            _ => {}
        }
        let mut problem = |what: String| problems.push(format!("{tenant} at {}: {what}", event.position));
        if event.is::<EventTracked>() {
            tracked += 1;
        }
        if let Some(usage) = event.fact::<UsageAdmitted>() {
            admitted += usage.unwrap().count;
            if let (EventLimit::AtMost(most), Meter::Counting { admitted, .. }) =
                (subscription.event_limit(), &meter)
                && *admitted > most
            {
                problem(format!("{admitted} events were admitted of {most}"));
            }
        }
        if event.is::<SeatTaken>()
            && let Some(contract) = subscription.contract()
            && contract.seats.len() > contract.terms.seats as usize
        {
            problem(format!("{} seats are taken of {}", contract.seats.len(), contract.terms.seats));
        }
    }
    if tracked != admitted {
        problems.push(format!("{tenant}: {tracked} events are there, and {admitted} were counted"));
    }
    let members = |membership: &Membership| membership.member().map(|member| member.member_id);
    let members: BTreeSet<MemberId> = memberships.values().filter_map(members).collect();
    let seats = subscription.contract().map(|contract| contract.seats.clone()).unwrap_or_default();
    if members != seats {
        problems.push(format!("{tenant}: members are {members:?}, and seats have {seats:?}"));
    }
    problems
}

fn apply<A: Aggregate<Event: Facts>>(aggregate: &mut A, event: &RecordedEvent) {
    aggregate.apply(A::Event::decode(&event.event_type, event.event_version, &event.payload).unwrap());
}
