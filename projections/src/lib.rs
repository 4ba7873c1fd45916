//! Annals' read models. In reading order:

// How a projection is written, fed and rebuilt.
mod causes;
pub mod checkpoint;
pub mod entity;
mod entity_table;
pub mod fold;
mod groups;
mod left_alone;
pub mod page;
mod personal;
mod poll;
pub mod projector;
pub mod rebuild;
pub mod restore;
mod turns;
mod visit;

// The projections, one file each: fold, table, queries. First a tenant, and what it consists of.
pub mod projects;
pub mod tenants;
pub mod workspaces;

// Who may do what in it.
pub mod api_keys;
pub mod invitations;
pub mod members;

// What it pays for, and what it uses.
pub mod billing;
pub mod subscriptions;
pub mod tracked_events;
pub mod usage;

// Who did what, and what follows from it outside the journal.
pub mod audit;
pub mod reactions;

// What administrators see of all this.
pub mod jobs;
pub mod lag;
pub mod rebuild_job;
pub mod status;

#[cfg(test)]
mod story;

use fold::Projection;

/// Every projection. What is not in this list is not projected.
pub static ALL: &[&dyn Projection] = &[
    &tenants::Tenants,
    &workspaces::Workspaces,
    &projects::Projects,
    &members::Members,
    &invitations::Invitations,
    &api_keys::ApiKeys,
    &subscriptions::Subscriptions,
    &billing::Billing,
    &usage::Usage,
    &tracked_events::TrackedEvents,
    &audit::Audit,
    &reactions::Reactions,
];
