//! What benchmarks measure with.

pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod event;
pub(crate) mod load;
pub(crate) mod procfs;
pub(crate) mod quantiles;
pub(crate) mod runner;
pub(crate) mod stopwatch;
