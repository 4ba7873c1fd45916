//! Tracked event: what a customer's own product has reported, in Segment's words
//! (<https://segment.com/docs/connections/spec/>).
//!
//! ```text
//! Absent ── Track ──▶ Tracked
//! ```
//! Each is a stream of its own, whose id is derived from its project and message id: the same message again meets the
//! event that it made the first time, and changes nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::{EventId, ProjectId, WorkspaceId},
    raw_json::RawJson,
};

/// A tracked event's state. What was reported is in the journal only: no decision looks at it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum TrackedEvent {
    /// The message has not come.
    #[default]
    Absent,
    /// The message has come.
    Tracked,
}

/// What kind of report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackedKind {
    /// Somebody did something.
    Track,
    /// Who somebody is.
    Identify,
    /// Somebody saw a page.
    Page,
    /// Somebody saw a screen of an app.
    Screen,
    /// Somebody belongs to a group.
    Group,
    /// Somebody has another id.
    Alias,
}

impl TrackedKind {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Identify => "identify",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }
}

/// What can be asked of a tracked event.
#[derive(Clone, Debug)]
pub enum TrackedEventCommand {
    /// Keep it.
    Track(EventTracked),
}

events! {
    /// What has happened to a tracked event.
    TrackedEventEvent {
        /// A message has come.
        EventTracked = 1 {
            /// The event, derived from project and message id.
            event_id: EventId,
            /// The workspace of the project.
            workspace_id: WorkspaceId,
            /// The project that it was sent to.
            project_id: ProjectId,
            /// What the sender calls the message; unique in the project.
            message_id: String,
            /// What kind of report it is.
            #[serde(rename = "type")]
            kind: TrackedKind,
            /// The name of what was done, or of the page or screen.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            event: Option<String>,
            /// The person, by the sender's id.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            user_id: Option<String>,
            /// The person, by an id from before they were known.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            anonymous_id: Option<String>,
            /// The group, by the sender's id.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            group_id: Option<String>,
            /// The person's former id.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            previous_id: Option<String>,
            /// When it happened, corrected by the sender's clock skew.
            timestamp: DateTime<Utc>,
            /// What is known of the deed.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            properties: Option<RawJson>,
            /// What is known of the person or group.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            traits: Option<RawJson>,
            /// What is known of the sender: library, device, page.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            context: Option<RawJson>,
        }
    }
}

impl EventTracked {
    /// What usage is grouped by: the name of what was done, for the other kinds the kind.
    pub fn usage_name(&self) -> &str {
        match (self.kind, &self.event) {
            (TrackedKind::Track, Some(event)) => event,
            (kind, _) => kind.as_str(),
        }
    }
}

/// Why something asked of a tracked event did not happen. It always does: quotas are the meter's, and what breaks a
/// rule never gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackedEventReason {}

impl Refusal for TrackedEventReason {
    fn kind(&self) -> RefusalKind {
        match *self {}
    }

    fn code(&self) -> &'static str {
        match *self {}
    }
}

aggregate!(TrackedEvent = "tracked_event", TrackedEventCommand -> TrackedEventEvent or TrackedEventReason);

impl Decide for TrackedEvent {
    fn decide(
        &self,
        command: TrackedEventCommand,
        _now: DateTime<Utc>,
    ) -> Result<Vec<TrackedEventEvent>, TrackedEventReason> {
        let TrackedEventCommand::Track(tracked) = command;
        Ok(match self {
            Self::Absent => vec![tracked.into()],
            Self::Tracked => vec![],
        })
    }
}

impl TrackedEvent {
    fn evolve(&mut self, event: TrackedEventEvent) {
        match event {
            TrackedEventEvent::EventTracked(_) => *self = Self::Tracked,
        }
    }
}

#[cfg(test)]
#[path = "tracked_events_tests.rs"]
mod tests;
