//! Project: a data partition of a workspace, with API keys and tracked events of its own.
//!
//! ```text
//! Absent ── Create ──▶ Active ─┐
//!                        ▲     │ Rename
//!                        └─────┘
//! ```
//! A project never moves to another workspace: its data rows carry both ids.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decide, Refusal, RefusalKind, aggregate, events},
    ids::{ProjectId, WorkspaceId},
    text::Name,
};

/// A project's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Project {
    /// There is none.
    #[default]
    Absent,
    /// In use.
    Active {
        /// The workspace that it belongs to.
        workspace_id: WorkspaceId,
        /// What it is called.
        name: Name,
    },
}

/// What can be asked of a project.
#[derive(Clone, Debug)]
pub enum ProjectCommand {
    /// Set it up.
    Create(ProjectCreated),
    /// Call it something else.
    Rename {
        /// The new name.
        name: Name,
    },
}

events! {
    /// What has happened to a project.
    ProjectEvent {
        /// It was set up.
        ProjectCreated = 1 {
            /// The project.
            project_id: ProjectId,
            /// The workspace that it belongs to.
            workspace_id: WorkspaceId,
            /// What it is called.
            name: Name,
        }
        /// It is called something else.
        ProjectRenamed = 1 {
            /// The new name.
            name: Name,
        }
    }
}

/// Why something asked of a project did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectReason {
    /// There is no such project.
    #[error("there is no such project")]
    Unknown,
}

impl Refusal for ProjectReason {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown => RefusalKind::NotFound,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "project_not_found",
        }
    }
}

aggregate!(Project = "project", ProjectCommand -> ProjectEvent or ProjectReason);

impl Decide for Project {
    const SNAPSHOT_EVERY: u64 = 100;

    fn decide(
        &self,
        command: ProjectCommand,
        _now: DateTime<Utc>,
    ) -> Result<Vec<ProjectEvent>, ProjectReason> {
        use ProjectCommand::*;
        Ok(match (self, command) {
            (Self::Absent, Create(created)) => vec![created.into()],
            // An id is made for each: the same one again is the same project again.
            (Self::Active { .. }, Create(_)) => vec![],
            (Self::Absent, Rename { .. }) => return Err(ProjectReason::Unknown),
            (Self::Active { name: current, .. }, Rename { name }) if name == *current => vec![],
            (Self::Active { .. }, Rename { name }) => vec![ProjectRenamed { name }.into()],
        })
    }
}

impl Project {
    fn evolve(&mut self, event: ProjectEvent) {
        match event {
            ProjectEvent::ProjectCreated(created) => {
                let ProjectCreated { workspace_id, name, .. } = created;
                *self = Self::Active { workspace_id, name };
            }
            ProjectEvent::ProjectRenamed(renamed) => {
                if let Self::Active { name, .. } = self {
                    *name = renamed.name;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "projects_tests.rs"]
mod tests;
