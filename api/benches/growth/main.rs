//! What an append costs in a big installation, compared with a small one: `cargo bench -p api --bench growth`.
//!
//! Two installations, each the real binary on a durable PostgreSQL of its own, are filled by SQL and take the same load
//! over HTTP in turns, several times; the one whose turn it is not stands still. Filling the big one takes minutes and
//! about 15 GB. `--keep DIRECTORY` keeps both for the next run, which then begins at once; `--set NAME=VALUE` is a
//! setting of PostgreSQL to try. Read models are empty at first, so this is about the journal.
#![allow(clippy::unwrap_used, reason = "cluster.rs is shared with a test")]

// What is measured with: this takes part of what there is.
#[allow(dead_code, reason = "shared with a test, which uses all of it")]
#[path = "../../tests/failures/cluster.rs"]
mod cluster;
#[allow(dead_code, reason = "shared with another benchmark, which uses all of it")]
#[path = "../measure/mod.rs"]
mod measure;

// What is measured.
mod fill;
mod site;
mod turn;

// What is said about it.
mod report;

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;

use self::{
    fill::Extent,
    measure::runner::Runner,
    report::Report,
    site::{Parked, Site},
};

/// Compares the cost of appends at 10 M events and 10 k tenants with that at 100 k and 10.
#[derive(Parser)]
struct Args {
    /// A hundredth of the big installation, and short turns: it shows that everything works; its figures mean little.
    #[arg(long)]
    quick: bool,
    /// Keeps both installations in this directory, and begins with what is there.
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// A setting of PostgreSQL other than those of the private one, such as `max_wal_size=8GB`.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// How often each installation has its turn.
    #[arg(long, default_value_t = 3)]
    turns: usize,
    #[command(flatten)]
    runner: Runner,
    /// What `cargo bench` and test runners may add; there is nothing to choose.
    #[arg(hide = true)]
    _filter: Vec<String>,
}

const SMALL: Extent = Extent { tenants: 10, events_per_tenant: 10_000 };
const BIG: Extent = Extent { tenants: 10_000, events_per_tenant: 1_000 };
const QUICK: Extent = Extent { tenants: 1_000, events_per_tenant: 100 };

#[tokio::main]
#[expect(clippy::print_stderr, reason = "this is a command line")]
async fn main() -> ExitCode {
    let args = Args::parse();
    if !args.runner.measures() {
        eprintln!("nothing is measured without --bench: cargo bench -p api --bench growth");
        return ExitCode::SUCCESS;
    }
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    // On the disk that the checkout is on: in memory, where /tmp may be, a durable commit costs nothing. PostgreSQL
    // runs as another user if this is root, and has to pass through.
    let passable = Permissions::from_mode(0o711);
    let place = tempfile::Builder::new()
        .prefix("growth-")
        .permissions(passable.clone())
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let directory = match &args.keep {
        Some(kept) => {
            std::fs::create_dir_all(kept).with_context(|| format!("can't make {}", kept.display()))?;
            std::fs::set_permissions(kept, passable)?;
            kept.canonicalize()?
        }
        None => place.path().to_owned(),
    };
    let (big, seconds) = if args.quick { (QUICK, 1) } else { (BIG, 4) };
    let mut sites = Vec::new();
    for (name, extent) in [("small", SMALL), ("big", big)] {
        sites.push(Site::open(&directory.join(name), extent, &args.settings).await?.park());
    }
    let mut report = Report::new(sites.iter().map(Parked::extent).collect(), &args.settings);
    for _ in 0..args.turns {
        for (index, parked) in sites.iter_mut().enumerate() {
            let site = parked.unpark().await?;
            for turn in turn::take(site, Duration::from_secs(seconds)).await? {
                report.add(index, turn);
            }
            parked.freeze();
        }
    }
    for (index, parked) in sites.iter_mut().enumerate() {
        report.describe(index, parked.unpark().await?.describe().await?);
        parked.freeze();
    }
    report.print();
    Ok(())
}
