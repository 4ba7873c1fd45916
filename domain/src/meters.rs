//! Meter: how many tracked events a tenant's billing period has taken, and how many it has refused.
//!
//! ```text
//! Absent ── Admit ──▶ Counting ─┐
//!                       ▲       │ Admit
//!                       └───────┘
//! ```
//! Nothing is refused while there is room, and no more is admitted than there is room for. A period that is later than
//! the current one starts from nothing. Periods never go back: if a clock does, the current one goes on counting.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    plan::Period,
    subscriptions::EventLimit,
};

/// A meter's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Meter {
    /// Nothing was ever counted.
    #[default]
    Absent,
    /// In a billing period.
    Counting {
        /// Which.
        period: Period,
        /// Events taken in it.
        admitted: u64,
        /// Events refused in it.
        refused: u64,
    },
}

/// What can be asked of a meter.
#[derive(Clone, Debug)]
pub enum MeterCommand {
    /// Take as many as there is room for, refuse the others.
    Admit {
        /// How many have come.
        requested: u64,
        /// The billing period of now.
        period: Period,
        /// How many a period takes.
        limit: EventLimit,
    },
}

events! {
    /// What has happened to a meter.
    MeterEvent {
        /// Events were taken.
        UsageAdmitted = 1 {
            /// In which billing period.
            period: Period,
            /// How many; never 0.
            count: u64,
        }
        /// Events were refused because the period was full.
        UsageRefused = 1 {
            /// In which billing period.
            period: Period,
            /// How many; never 0.
            count: u64,
        }
    }
}

/// Why something asked of a meter did not happen. It always does: refusing events is an answer, and an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeterReason {}

impl Refusal for MeterReason {
    fn kind(&self) -> RefusalKind {
        match *self {}
    }

    fn code(&self) -> &'static str {
        match *self {}
    }
}

aggregate!(Meter = "meter", MeterCommand -> MeterEvent or MeterReason);

impl Decide for Meter {
    const SNAPSHOT_EVERY: u64 = 100;

    fn decide(&self, command: MeterCommand, _now: DateTime<Utc>) -> Result<Vec<MeterEvent>, MeterReason> {
        let MeterCommand::Admit { requested, period, limit } = command;
        let (period, already) = match self {
            Self::Counting { period: current, admitted, .. } if period.start <= current.start => {
                (*current, *admitted)
            }
            Self::Absent | Self::Counting { .. } => (period, 0),
        };
        let admitted = match limit {
            EventLimit::Unlimited => requested,
            EventLimit::AtMost(most) => requested.min(most.saturating_sub(already)),
        };
        let refused = requested - admitted;
        let mut events = Vec::new();
        if admitted > 0 {
            events.push(UsageAdmitted { period, count: admitted }.into());
        }
        if refused > 0 {
            events.push(UsageRefused { period, count: refused }.into());
        }
        Ok(events)
    }
}

impl Meter {
    fn evolve(&mut self, event: MeterEvent) {
        let (period, admitted, refused) = match event {
            MeterEvent::UsageAdmitted(usage) => (usage.period, usage.count, 0),
            MeterEvent::UsageRefused(usage) => (usage.period, 0, usage.count),
        };
        match self {
            Self::Counting { period: current, admitted: taken, refused: dropped } if *current == period => {
                *taken = taken.saturating_add(admitted);
                *dropped = dropped.saturating_add(refused);
            }
            Self::Absent | Self::Counting { .. } => *self = Self::Counting { period, admitted, refused },
        }
    }
}

#[cfg(test)]
#[path = "meters_tests.rs"]
mod tests;
