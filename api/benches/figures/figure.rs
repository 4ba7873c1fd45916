//! One row of the table of figures to reach.

use serde::Serialize;

use super::measure::quantiles::Quantiles;

/// A figure, what it is compared with, and how far it is to come.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// What is measured.
    pub(super) what: &'static str,
    /// What came out; nothing if it can't be measured here.
    pub(super) measured: Option<f64>,
    /// The unit of it.
    pub(super) unit: &'static str,
    /// What the peer reached in the same unit, if the goal is a ratio.
    pub(super) peer: Option<f64>,
    /// The goal.
    pub(super) goal: Goal,
    /// Of single requests.
    #[serde(flatten)]
    pub(super) latencies: Option<Quantiles>,
}

/// What is to be reached, and what is aimed at.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Goal {
    /// This many times what the peer reaches; more is better.
    TimesPeer {
        /// Must be.
        least: f64,
        /// Should be.
        aim: f64,
    },
    /// This much; less is better.
    Within {
        /// Must be.
        least: f64,
        /// Should be.
        aim: f64,
    },
}

impl Figure {
    /// How many times the peer's.
    pub(super) fn ratio(&self) -> Option<f64> {
        Some(self.measured? / self.peer?)
    }

    /// How it stands.
    pub(super) fn verdict(&self) -> &'static str {
        let Some(measured) = self.measured else { return "not measured" };
        let (least, aim) = match self.goal {
            Goal::TimesPeer { least, aim } => {
                let ratio = self.ratio().unwrap_or(0.0);
                (ratio >= least, ratio >= aim)
            }
            Goal::Within { least, aim } => (measured <= least, measured <= aim),
        };
        match (least, aim) {
            (_, true) => "aim reached",
            (true, false) => "reached",
            (false, false) => "short",
        }
    }
}
