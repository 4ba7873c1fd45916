//! Workspace: an organizational unit of a tenant, which contains projects.
//!
//! ```text
//! Absent ── Create ──▶ Active ─┐
//!                        ▲     │ Rename
//!                        └─────┘
//! ```

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::WorkspaceId,
    text::Name,
};

/// A workspace's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Workspace {
    /// There is none.
    #[default]
    Absent,
    /// In use.
    Active {
        /// What it is called.
        name: Name,
    },
}

/// What can be asked of a workspace.
#[derive(Clone, Debug)]
pub enum WorkspaceCommand {
    /// Set it up.
    Create(WorkspaceCreated),
    /// Call it something else.
    Rename {
        /// The new name.
        name: Name,
    },
}

events! {
    /// What has happened to a workspace.
    WorkspaceEvent {
        /// It was set up.
        WorkspaceCreated = 1 {
            /// The workspace.
            workspace_id: WorkspaceId,
            /// What it is called.
            name: Name,
        }
        /// It is called something else.
        WorkspaceRenamed = 1 {
            /// The new name.
            name: Name,
        }
    }
}

/// Why something asked of a workspace did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkspaceReason {
    /// There is no such workspace.
    #[error("there is no such workspace")]
    Unknown,
}

impl Refusal for WorkspaceReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "workspace_not_found",
        }
    }
}

aggregate!(Workspace = "workspace", WorkspaceCommand -> WorkspaceEvent or WorkspaceReason);

impl Decide for Workspace {
    const SNAPSHOT_EVERY: u64 = 100;

    fn decide(
        &self,
        command: WorkspaceCommand,
        _now: DateTime<Utc>,
    ) -> Result<Vec<WorkspaceEvent>, WorkspaceReason> {
        use WorkspaceCommand::*;
        Ok(match (self, command) {
            (Self::Absent, Create(created)) => vec![created.into()],
            // An id is made for each: the same one again is the same workspace again.
            (Self::Active { .. }, Create(_)) => vec![],
            (Self::Absent, Rename { .. }) => return Err(WorkspaceReason::Unknown),
            (Self::Active { name: current }, Rename { name }) if name == *current => vec![],
            (Self::Active { .. }, Rename { name }) => vec![WorkspaceRenamed { name }.into()],
        })
    }
}

impl Workspace {
    fn evolve(&mut self, event: WorkspaceEvent) {
        *self = match event {
            WorkspaceEvent::WorkspaceCreated(created) => Self::Active { name: created.name },
            WorkspaceEvent::WorkspaceRenamed(renamed) => Self::Active { name: renamed.name },
        };
    }
}

#[cfg(test)]
#[path = "workspaces_tests.rs"]
mod tests;
