//! Subscription: what a tenant has agreed to pay for, and the seats that it has taken of it.
//!
//! ```text
//! Absent ── Start ──▶ Trialing ── EndTrial ──▶ Active
//!           │                                   ▲
//!           └────────── without a trial ────────┘
//!
//! Trialing, Active ── ReportPaymentFailed ──▶ PastDue ── ReportPayment ──▶ Active
//! Trialing, Active, PastDue ── Pause ──▶ Paused ── Resume ──▶ Active
//! Trialing, Active, PastDue, Paused ── Cancel ──▶ Canceled ── Resume ──▶ Active
//! ```
//! Plans change in Trialing and Active; seats are taken in every state but Paused and Canceled, and given back in all.
//! The anchor is the start and stays: billing periods are counted from it through pauses and plans.

mod contract;
mod reason;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, aggregate, events},
    ids::{MemberId, SubscriptionId},
    plan::Terms,
};

pub use self::{
    contract::{Contract, EventLimit},
    reason::SubscriptionReason,
};

/// A subscription's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Subscription {
    /// There is none.
    #[default]
    Absent,
    /// Tried for free until the moment given. That may be over without anybody having said so yet.
    Trialing(Contract, DateTime<Utc>),
    /// In force.
    Active(Contract),
    /// In force, but a payment has failed.
    PastDue(Contract),
    /// Stopped for a while.
    Paused(Contract),
    /// Given up.
    Canceled(Contract),
}

/// What can be asked of a subscription.
#[derive(Clone, Debug)]
pub enum SubscriptionCommand {
    /// Subscribe.
    Start(SubscriptionStarted),
    /// Go on from the trial, once its time is over.
    EndTrial,
    /// Agree to other terms. A trial goes on.
    ChangePlan {
        /// The new terms.
        terms: Terms,
    },
    /// Give it up.
    Cancel,
    /// Take it up again.
    Resume,
    /// Stop it for a while.
    Pause,
    /// A payment has failed.
    ReportPaymentFailed,
    /// What was owed is paid.
    ReportPayment,
    /// Give a member a seat.
    TakeSeat {
        /// Who.
        member_id: MemberId,
    },
    /// Take a member's seat back.
    ReleaseSeat {
        /// Who.
        member_id: MemberId,
    },
}

events! {
    /// What has happened to a subscription.
    SubscriptionEvent {
        /// The tenant subscribed.
        SubscriptionStarted = 1 {
            /// The subscription.
            subscription_id: SubscriptionId,
            /// The limits agreed.
            terms: Terms,
            /// When it began: the billing periods are counted from here.
            started_at: DateTime<Utc>,
            /// Until when it is tried for free; none: no trial.
            trial_ends_at: Option<DateTime<Utc>>,
        }
        /// The trial is over.
        TrialEnded = 1 {}
        /// Other terms were agreed.
        PlanChanged = 1 {
            /// The new terms.
            terms: Terms,
        }
        /// It was given up.
        SubscriptionCanceled = 1 {}
        /// It was taken up again.
        SubscriptionResumed = 1 {}
        /// It was stopped for a while.
        SubscriptionPaused = 1 {}
        /// A payment has failed.
        PaymentFailed = 1 {}
        /// What was owed is paid.
        PaymentReceived = 1 {}
        /// A member has a seat.
        SeatTaken = 1 {
            /// Who.
            member_id: MemberId,
        }
        /// A member has no seat any more.
        SeatReleased = 1 {
            /// Who.
            member_id: MemberId,
        }
    }
}

aggregate!(Subscription = "subscription", SubscriptionCommand -> SubscriptionEvent or SubscriptionReason);

impl Decide for Subscription {
    const SNAPSHOT_EVERY: u64 = 100;

    fn decide(
        &self,
        command: SubscriptionCommand,
        now: DateTime<Utc>,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionReason> {
        use SubscriptionCommand::*;
        let Some(contract) = self.contract() else {
            return match command {
                Start(started) => Ok(vec![started.into()]),
                _ => Err(SubscriptionReason::Unknown),
            };
        };
        Ok(match (self, command) {
            // A tenant has one subscription: subscribing again is changing the plan or resuming.
            (_, Start(_)) => vec![],

            (Self::Trialing(_, until), EndTrial) if now < *until => {
                return Err(SubscriptionReason::TrialNotOver);
            }
            (Self::Trialing(..), EndTrial) => vec![TrialEnded {}.into()],
            (Self::Trialing(..) | Self::Active(_), ReportPaymentFailed) => vec![PaymentFailed {}.into()],
            (Self::PastDue(_), ReportPayment) => vec![PaymentReceived {}.into()],
            (Self::Trialing(..) | Self::Active(_) | Self::PastDue(_), Pause) => {
                vec![SubscriptionPaused {}.into()]
            }
            (Self::Paused(_) | Self::Canceled(_), Resume) => vec![SubscriptionResumed {}.into()],
            (Self::Canceled(_), Cancel) => vec![],
            (_, Cancel) => vec![SubscriptionCanceled {}.into()],

            (Self::PastDue(_), ChangePlan { .. }) => return Err(SubscriptionReason::PaymentDue),
            (Self::Paused(_) | Self::Canceled(_), ChangePlan { .. }) => {
                return Err(SubscriptionReason::Inactive);
            }
            (_, ChangePlan { terms }) => contract.change(terms)?,

            (_, TakeSeat { member_id }) if contract.seats.contains(&member_id) => vec![],
            (Self::Paused(_) | Self::Canceled(_), TakeSeat { .. }) => {
                return Err(SubscriptionReason::Inactive);
            }
            (_, TakeSeat { member_id }) => contract.take_seat(member_id)?,
            (_, ReleaseSeat { member_id }) => contract.release_seat(member_id),

            (Self::Active(_), EndTrial | ReportPayment | Resume)
            | (Self::PastDue(_), ReportPaymentFailed)
            | (Self::Paused(_), Pause) => vec![],
            (_, EndTrial | ReportPaymentFailed | ReportPayment | Pause | Resume) => {
                return Err(SubscriptionReason::NotAllowed);
            }
        })
    }
}

impl Subscription {
    /// What was agreed, if there is a subscription; a canceled one too.
    pub fn contract(&self) -> Option<&Contract> {
        match self {
            Self::Absent => None,
            Self::Trialing(contract, _)
            | Self::Active(contract)
            | Self::PastDue(contract)
            | Self::Paused(contract)
            | Self::Canceled(contract) => Some(contract),
        }
    }

    /// The state's name in the API.
    pub fn state_name(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Trialing(..) => "trialing",
            Self::Active(_) => "active",
            Self::PastDue(_) => "past_due",
            Self::Paused(_) => "paused",
            Self::Canceled(_) => "canceled",
        }
    }

    /// How many tracked events a billing period takes as things stand.
    pub fn event_limit(&self) -> EventLimit {
        match self {
            Self::Trialing(contract, _) | Self::Active(contract) | Self::PastDue(contract) => {
                contract.event_limit()
            }
            Self::Absent | Self::Paused(_) | Self::Canceled(_) => EventLimit::AtMost(0),
        }
    }

    fn evolve(&mut self, event: SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionStarted(started) => {
                let SubscriptionStarted { terms, started_at: anchor, trial_ends_at, .. } = started;
                let contract = Contract { terms, anchor, seats: BTreeSet::new() };
                *self = match trial_ends_at {
                    Some(until) => Self::Trialing(contract, until),
                    None => Self::Active(contract),
                };
            }
            SubscriptionEvent::TrialEnded(_)
            | SubscriptionEvent::SubscriptionResumed(_)
            | SubscriptionEvent::PaymentReceived(_) => self.enter(Self::Active),
            SubscriptionEvent::PaymentFailed(_) => self.enter(Self::PastDue),
            SubscriptionEvent::SubscriptionPaused(_) => self.enter(Self::Paused),
            SubscriptionEvent::SubscriptionCanceled(_) => self.enter(Self::Canceled),
            SubscriptionEvent::PlanChanged(changed) => self.amend(|contract| contract.terms = changed.terms),
            SubscriptionEvent::SeatTaken(taken) => self.amend(|contract| {
                contract.seats.insert(taken.member_id);
            }),
            SubscriptionEvent::SeatReleased(released) => self.amend(|contract| {
                contract.seats.remove(&released.member_id);
            }),
        }
    }

    /// Goes to another state with the same contract.
    fn enter(&mut self, state: fn(Contract) -> Self) {
        if let Some(contract) = self.contract() {
            *self = state(contract.clone());
        }
    }

    /// Changes the contract in whichever state.
    fn amend(&mut self, change: impl FnOnce(&mut Contract)) {
        match self {
            Self::Absent => {}
            Self::Trialing(contract, _)
            | Self::Active(contract)
            | Self::PastDue(contract)
            | Self::Paused(contract)
            | Self::Canceled(contract) => change(contract),
        }
    }
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
