//! The command line of the one binary, `annals`.

mod admin;
mod demo;
mod export;
mod import;
mod keys;
mod migrate;
mod progress;
mod rebuild;
mod serve;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    config::Config,
    telemetry::{self, Reader},
    track,
};

/// An event-sourced backend for multi-tenant B2B SaaS: tenants, members, invitations, subscriptions, usage and audit
/// on one immutable journal per tenant.
///
/// Configuration comes from annals.toml in the working directory and from environment variables (.env.example lists
/// them); with none of it, everything runs out of the box in the directory ./annals-data.
#[derive(Parser)]
#[command(name = "annals", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and do the background work, in one process.
    Serve(serve::ServeArgs),
    /// Serve the API only; `annals worker` processes do the background work.
    Api,
    /// Do the background work only: feed projections, send mails.
    Worker,
    /// Bring the database's schema up to date, and exit.
    Migrate,
    /// Fold journals anew into read models.
    Rebuild(rebuild::RebuildArgs),
    // Import and Verify say what they are for themselves: a line here would take the place of their long help.
    Import(import::ImportArgs),
    /// Write a tenant's signed journal to a file.
    Export(export::ExportArgs),
    Verify(verify::VerifyArgs),
    /// Manage the installation's administrators.
    Admin(admin::AdminArgs),
    /// Show and replace the keys that people's keys are wrapped with.
    Keys(keys::KeysArgs),
    /// Send tracked events from a file in Segment's format.
    Track(track::TrackArgs),
    /// Print the OpenAPI document.
    Openapi,
}

impl Command {
    fn reader(&self) -> Reader {
        match self {
            Self::Serve(_) | Self::Api | Self::Worker => Reader::Machine,
            Self::Migrate
            | Self::Rebuild(_)
            | Self::Import(_)
            | Self::Export(_)
            | Self::Verify(_)
            | Self::Admin(_)
            | Self::Keys(_)
            | Self::Track(_)
            | Self::Openapi => Reader::Person,
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match command {
            Command::Track(args) => return Ok(track::run(args).await),
            Command::Verify(args) => return Ok(verify::run(args).await),
            Command::Openapi => serve::print_openapi()?,
            command => {
                let config = Config::load()?;
                telemetry::start(&config.log, command.reader())?;
                match command {
                    Command::Serve(args) => serve::serve(config, args).await?,
                    Command::Api => serve::api(config).await?,
                    Command::Worker => serve::worker(config).await?,
                    Command::Migrate => migrate::run(config).await?,
                    Command::Rebuild(args) => rebuild::run(config, args).await?,
                    Command::Import(args) => import::run(config, args).await?,
                    Command::Export(args) => export::run(config, args).await?,
                    Command::Admin(args) => admin::run(config, args).await?,
                    Command::Keys(args) => keys::run(config, args).await?,
                    Command::Track(_) | Command::Verify(_) | Command::Openapi => {}
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    });
    result.unwrap_or_else(|error| fail(&error))
}

#[expect(clippy::print_stderr, reason = "this is the command line's last word")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("annals: {error:#}");
    ExitCode::FAILURE
}
