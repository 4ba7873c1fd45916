//! What projecting costs, with every projection on: `cargo bench -p projections`.
//!
//! The database is a private, durable PostgreSQL made for the run; it shares the machine's cores with the projector, so
//! figures of two runs compare on one machine only, and those of
//! the clock only if it has nothing else to do. Nothing here asserts a time; it fails when something is not
//! projected. `--quick` shows in seconds that everything works.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command line")]

mod beside;
mod journals;
mod processor;
mod report;
mod round_trips;
mod run;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // What runs tests also asks what there is to run; only `cargo bench` says this.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing is measured without --bench: cargo bench -p projections");
        return ExitCode::SUCCESS;
    }
    let size = if arguments.iter().any(|argument| argument == "--quick") { run::QUICK } else { run::FULL };
    match run::run(size).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("projecting: {error:?}");
            ExitCode::FAILURE
        }
    }
}
