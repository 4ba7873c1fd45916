//! Taking in tracked events.

use std::{collections::HashSet, sync::Arc};

use domain::{
    ctx::Ctx,
    ids::{MeterId, SubscriptionId},
    meters::{Meter, MeterCommand, MeterEvent},
    permission::Permission,
    plan::Period,
    subscriptions::{EventLimit, Subscription},
    tracked_events::{EventTracked, TrackedEvent, TrackedEventCommand},
};

use crate::{
    app::{App, Written},
    error::Error,
    work::{Work, stream},
};

/// What became of a batch of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intake {
    /// How many are new and kept.
    pub accepted: u64,
    /// How many were there before, or twice in the batch.
    pub duplicates: u64,
    /// The events, by index, that the plan does not cover.
    pub over_quota: Vec<usize>,
}

/// Takes in a batch, in order: what is new counts against the plan, what the plan does not cover is refused, and all of
/// it is one commit.
pub async fn track(ctx: &Ctx, app: &App, events: Arc<[EventTracked]>) -> Result<Written<Intake>, Error> {
    ctx.require(Permission::EventsWrite)?;
    let (subscription, meter) = (SubscriptionId::of(ctx.tenant), MeterId::of(ctx.tenant));
    let streams = [stream::<Subscription>(subscription), stream::<Meter>(meter)];
    let firsts = events.iter().map(|event| event.event_id.uuid()).collect();
    app.transact_with_firsts(ctx, streams, firsts, move |work| {
        let new = new_events(work, &events);
        let admitted = admit(work, subscription, meter, new.len() as u64)? as usize;
        for index in &new[..admitted] {
            let event = events[*index].clone();
            work.begin::<TrackedEvent>(event.event_id, TrackedEventCommand::Track(event))?;
        }
        // A twin of one that is refused is refused, too: nothing has been kept that it would repeat.
        let refused: HashSet<_> = new[admitted..].iter().map(|index| events[*index].event_id).collect();
        let is_refused = |index: &usize| refused.contains(&events[*index].event_id);
        let over_quota: Vec<usize> = (0..events.len()).filter(is_refused).collect();
        let duplicates = (events.len() - admitted - over_quota.len()) as u64;
        Ok(Intake { accepted: admitted as u64, duplicates, over_quota })
    })
    .await
}

/// The events, by index, that are neither in the journal nor before themselves in the batch.
fn new_events(work: &Work, events: &[EventTracked]) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(events.len());
    let mut is_new = |event: &EventTracked| !work.exists(event.event_id) && seen.insert(event.event_id);
    (0..events.len()).filter(|index| is_new(&events[*index])).collect()
}

/// Counts `requested` events against the plan; how many of them it covers.
fn admit(
    work: &mut Work,
    subscription: SubscriptionId,
    meter: MeterId,
    requested: u64,
) -> Result<u64, Error> {
    if requested == 0 {
        return Ok(0);
    }
    let now = work.now();
    let subscription = work.state::<Subscription>(subscription)?;
    let limit: EventLimit = subscription.event_limit();
    let anchor = subscription.contract().map_or(now, |contract| contract.anchor);
    let period = Period::containing(anchor, now);
    let counted = work.execute::<Meter>(meter, MeterCommand::Admit { requested, period, limit })?;
    let admitted = |event: &MeterEvent| match event {
        MeterEvent::UsageAdmitted(admitted) => admitted.count,
        MeterEvent::UsageRefused(_) => 0,
    };
    Ok(counted.iter().map(admitted).sum())
}
