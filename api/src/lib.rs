//! The HTTP surface of Annals and its composition root.
//!
//! In reading order:

// How the parts are put together, and the commands that do it.
pub mod annals;
pub mod cli;
pub mod config;
pub mod keys;
pub mod routes;
pub mod telemetry;
pub mod work;

// What every route stands on: extractors, answers, problems, the document, the server.
pub mod http;

// Who calls, how often, and whether for the first time.
pub mod caller;
pub mod limited;
pub mod once;

// The features. First people, and how they sign in.
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
pub mod usage;

// What an auditor reads.
pub mod audit;
pub mod journal;

// The installation.
pub mod administration;
pub mod health;

// The client.
pub mod track;
