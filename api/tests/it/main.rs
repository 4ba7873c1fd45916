//! The whole of Annals over real HTTP: a server and a database for each test.
//!
//! They need the servers of `scripts/with-test-servers`; `make test` runs them with all other tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

// What tests stand on.
mod actors;
mod app;
mod client;
mod history;
mod mails;
mod place;
mod process;
mod tables;

// People, and what they belong to.
mod erasure;
mod invitations;
mod members;
mod sign_up;
mod tenants;

// What they send, and what is made of it.
mod api_keys;
mod import;
mod projections;
mod quotas;
mod readers;
mod restore;
mod tracking;
mod usage;

// What proves that it is what it was.
mod journal;

// What holds for every route.
mod access_matrix;
mod errors;
mod every_post_twice;
mod isolation;
mod once;
mod openapi;

// The binary, and how it is built.
mod architecture;
mod keys;
mod processes;
mod servers;
