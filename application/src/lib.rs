//! The use cases of Annals: check permission, decide, append. And the ports that they need.
//!
//! In reading order:

// What a use case stands on.
mod admission;
pub mod app;
pub mod claim;
pub mod error;
pub mod expected;
pub mod journal;
pub mod loaded;
pub mod once;
pub mod recording;
pub mod tokens;
pub mod work;

// Other ports.
pub mod limits;
pub mod mail;
pub mod passwords;

// The use cases: people.
pub mod erasure;
pub mod sessions;
pub mod users;

// A tenant and what it consists of.
pub mod api_keys;
pub mod invitations;
pub mod members;
pub mod projects;
pub mod tenants;
pub mod workspaces;

// What it pays for, and what it uses.
pub mod subscriptions;
pub mod tracked_events;

// What it brings along from another cqrs-es system.
pub mod foreign_aggregates;

// The platform.
pub mod administration;
