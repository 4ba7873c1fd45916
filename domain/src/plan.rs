//! Plans, and the billing periods that their limits count in.

use chrono::{DateTime, Months, Utc};
use serde::{Deserialize, Serialize};

/// What a tenant can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// To try it: stops hard at its limit.
    Free,
    /// For a company at work: usage past the limit is billed.
    Pro,
    /// Agreed one by one, by the platform's administrators.
    Enterprise,
}

impl Plan {
    /// All plans, the smallest first.
    pub const ALL: &[Self] = &[Self::Free, Self::Pro, Self::Enterprise];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// What the plan includes when nothing else was agreed.
    pub fn terms(self) -> Terms {
        let (events_per_month, seats, overage) = match self {
            Self::Free => (100_000, 3, Overage::Refused),
            Self::Pro => (5_000_000, 25, Overage::Billed),
            Self::Enterprise => (100_000_000, 1_000, Overage::Billed),
        };
        Terms { plan: self, events_per_month, seats, overage }
    }
}

/// What happens past the events that a plan includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overage {
    /// Further events are refused until the next period.
    Refused,
    /// Further events are taken and billed.
    Billed,
}

/// The limits that a subscription was agreed with. Events carry them whole, so that a bill can be computed again
/// after the plans have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The plan's name.
    pub plan: Plan,
    /// Tracked events that a billing period includes.
    pub events_per_month: u64,
    /// Members that the tenant may have.
    pub seats: u32,
    /// What happens past the included events.
    pub overage: Overage,
}

/// One month of a subscription: `start` inclusive, `end` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first moment of the period.
    pub start: DateTime<Utc>,
    /// The first moment after it.
    pub end: DateTime<Utc>,
}

impl Period {
    /// The period of a subscription that began at `anchor` which contains `at`. A month that lacks the anchor's day
    /// ends its period on its last day. Before the anchor it is the first period.
    pub fn containing(anchor: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        let months =
            |count: u32| anchor.checked_add_months(Months::new(count)).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let days = at.signed_duration_since(anchor).num_days().max(0);
        // No month is longer than 31 days, so this never overshoots; a few steps make up for the shorter ones.
        let mut index = u32::try_from(days / 31).unwrap_or(u32::MAX);
        while months(index + 1) <= at {
            index += 1;
        }
        Self { start: months(index), end: months(index + 1) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_period_ends_on_the_last_day_of_a_shorter_month() {
        let anchor = time("2024-01-31T10:00:00Z");
        let february = Period::containing(anchor, time("2024-02-29T10:00:00Z"));
        assert_eq!(february.start, time("2024-02-29T10:00:00Z"));
        assert_eq!(february.end, time("2024-03-31T10:00:00Z"));
        assert_eq!(Period::containing(anchor, time("2024-02-29T09:59:59Z")).start, anchor);
    }

    proptest! {
        #[test]
        fn periods_tile_the_time_after_the_anchor(anchor in 0_i64..4_000_000_000, after in 0_i64..2_000_000_000) {
            let anchor = DateTime::from_timestamp(anchor, 0).unwrap();
            let at = anchor + chrono::TimeDelta::seconds(after);
            let period = Period::containing(anchor, at);
            prop_assert!(period.start <= at && at < period.end);
            prop_assert_eq!(Period::containing(anchor, period.end).start, period.end);
        }
    }
}
