//! The domain of Annals: what can happen, and who decides it. Pure: nothing here does I/O or reads a clock.
//!
//! In reading order:

// The language: values, who acts, what is recorded.
pub mod ctx;
pub mod ids;
pub mod invalid;
pub mod permission;
pub mod personal;
pub mod plan;
pub mod raw_json;
pub mod recorded_event;
pub mod text;

// How an aggregate is written.
pub mod aggregate;
pub mod upcast;

// The aggregates, one file each. First people, and how they sign in.
pub mod sessions;
pub mod users;

// A tenant, and what it consists of.
pub mod projects;
pub mod tenants;
pub mod workspaces;

// Who may do what in it.
pub mod api_keys;
pub mod invitations;
pub mod memberships;

// What it pays for, and what it uses.
pub mod meters;
pub mod subscriptions;
pub mod tracked_events;

// What it brings along from another cqrs-es system.
pub mod foreign_aggregates;

#[cfg(test)]
mod golden;
