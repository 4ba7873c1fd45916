//! What a subscription has agreed, and what is used of it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{PlanChanged, SeatReleased, SeatTaken, SubscriptionEvent, SubscriptionReason};
use crate::{
    ids::MemberId,
    plan::{Overage, Terms},
};

/// What was agreed, and what is used of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// The limits agreed.
    pub terms: Terms,
    /// When it began: the billing periods are counted from here.
    pub anchor: DateTime<Utc>,
    /// The members that have a seat.
    pub seats: BTreeSet<MemberId>,
}

/// How many tracked events a billing period takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventLimit {
    /// As many as come; those past the included ones are billed.
    Unlimited,
    /// No more than this.
    AtMost(u64),
}

impl Contract {
    pub(super) fn event_limit(&self) -> EventLimit {
        match self.terms.overage {
            Overage::Billed => EventLimit::Unlimited,
            Overage::Refused => EventLimit::AtMost(self.terms.events_per_month),
        }
    }

    pub(super) fn change(&self, terms: Terms) -> Result<Vec<SubscriptionEvent>, SubscriptionReason> {
        if terms == self.terms {
            return Ok(vec![]);
        }
        if self.seats.len() > terms.seats as usize {
            return Err(SubscriptionReason::SeatsInUse);
        }
        Ok(vec![PlanChanged { terms }.into()])
    }

    pub(super) fn take_seat(
        &self,
        member_id: MemberId,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionReason> {
        if self.seats.len() >= self.terms.seats as usize {
            return Err(SubscriptionReason::SeatLimitReached);
        }
        Ok(vec![SeatTaken { member_id }.into()])
    }

    pub(super) fn release_seat(&self, member_id: MemberId) -> Vec<SubscriptionEvent> {
        if self.seats.contains(&member_id) { vec![SeatReleased { member_id }.into()] } else { vec![] }
    }
}
