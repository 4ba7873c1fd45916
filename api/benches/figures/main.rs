//! The figures that Annals is to reach, measured against what PostgreSQL and stock postgres-es do on the same machine,
//! in the same run: `cargo bench -p api --bench figures`.
//!
//! The server is the real binary, a process of its own with its private, durable PostgreSQL; all load comes over HTTP.
//! The peers use that same PostgreSQL. Load generator, server and PostgreSQL share the machine's cores, so only ratios
//! taken in one run mean something. Nothing here asserts a time; it fails when an answer is wrong.

// What is measured with.
mod database;
#[path = "../measure/mod.rs"]
mod measure;
mod server;
mod size;
mod usage;

// What is measured.
mod commands;
mod copy;
mod rebuild;
mod second;
mod stock;
mod tenants;
mod tracking;
mod visibility;

// What is said about it.
mod figure;
mod report;
mod run;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use self::{measure::runner::Runner, run::Part, size::Size};

/// Measures Annals beside raw COPY and stock postgres-es, in about two minutes.
#[derive(Parser)]
struct Args {
    /// A run of some seconds that shows that everything works; its figures mean little.
    #[arg(long)]
    quick: bool,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure only these parts. What rebuilding rebuilds is what tracking has tracked.
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
    #[command(flatten)]
    runner: Runner,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "this is a command line")]
async fn main() -> ExitCode {
    let args = Args::parse();
    if !args.runner.measures() {
        eprintln!("nothing is measured without --bench: cargo bench -p api --bench figures");
        return ExitCode::SUCCESS;
    }
    let size = if args.quick { Size::QUICK } else { Size::FULL };
    match run::run(&size, &args.parts, args.json.as_deref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}
