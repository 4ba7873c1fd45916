//! Why a subscription says no.

use crate::aggregate::{Refusal, RefusalKind};

/// Why something asked of a subscription did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionReason {
    /// There is no such subscription.
    #[error("there is no such subscription")]
    Unknown,
    /// The trial's time is not over yet.
    #[error("the trial is not over yet")]
    TrialNotOver,
    /// The new plan has fewer seats than are taken.
    #[error("the plan has fewer seats than are taken; remove members first")]
    SeatsInUse,
    /// Every seat is taken.
    #[error("every seat of the plan is taken")]
    SeatLimitReached,
    /// Something is owed.
    #[error("a payment is due; settle it first")]
    PaymentDue,
    /// It is paused or canceled.
    #[error("the subscription is not active; resume it first")]
    Inactive,
    /// The state has no such arrow.
    #[error("the subscription's state does not allow this")]
    NotAllowed,
}

impl Refusal for SubscriptionReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
            Self::TrialNotOver
            | Self::SeatsInUse
            | Self::SeatLimitReached
            | Self::PaymentDue
            | Self::Inactive
            | Self::NotAllowed => RefusalKind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "subscription_not_found",
            Self::TrialNotOver => "trial_not_over",
            Self::SeatsInUse => "seats_in_use",
            Self::SeatLimitReached => "seat_limit_reached",
            Self::PaymentDue => "payment_due",
            Self::Inactive => "subscription_inactive",
            Self::NotAllowed => "transition_not_allowed",
        }
    }
}
