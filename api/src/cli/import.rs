//! `annals import`

mod copy;
mod progress;
mod sections;

use std::io::Write;

use anyhow::Context;
use chrono::Utc;
use clap::Args;
use domain::{ctx::Ctx, ids::TenantId};
use infrastructure::postgres_es::PostgresEs;

use self::copy::{Copied, Mode, copy};
use crate::{
    annals::{Annals, Postgres},
    config::Config,
};

/// Brings the events of another cqrs-es system into a tenant's journal.
///
/// They are kept as they are, payload and metadata byte for byte, and nobody here looks into them: each of its aggregates
/// becomes a stream in which event n is its event n. A database of postgres-es has no order beyond that, so aggregates are
/// imported by type and id, each from its first event to its last. A server may run meanwhile. What was interrupted goes
/// on where it was; what has grown is imported from where it had ended.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ImportArgs {
    /// A database as the crate postgres-es makes it: postgres://user:password@host/database. It is only read. The
    /// environment is the better place for a password, which everybody on the machine sees in a command.
    #[arg(long, value_name = "URL", env = "ANNALS_IMPORT_URL", hide_env_values = true)]
    from_postgres_es: String,
    /// The tenant (ten_…) whose journal they go to.
    #[arg(long)]
    tenant: TenantId,
    /// Only aggregates of this type; can be given several times. By default all.
    #[arg(long = "aggregate", value_name = "TYPE")]
    aggregates: Vec<String>,
    /// Say what there is to import, or why it would be refused, and import nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(config: Config, args: ImportArgs) -> anyhow::Result<()> {
    let mode = if args.dry_run { Mode::Count } else { Mode::Import };
    let mut source = PostgresEs::connect(&args.from_postgres_es, &args.aggregates).await?;
    let postgres = Postgres::join(&config).await?;
    let result = async {
        let annals = Annals::start(config, &postgres).await?;
        let ctx = Ctx::system(args.tenant, Utc::now());
        let copied = copy(&ctx, &annals.app, &mut source, mode).await;
        annals.database.close().await;
        copied.with_context(|| format!("can't import into {}", args.tenant))
    }
    .await;
    postgres.stop().await;
    source.close().await.ok();
    report(&result?, mode)?;
    Ok(())
}

fn report(copied: &Copied, mode: Mode) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for count in &copied.counts {
        let (aggregate_type, aggregates, events) = (&count.aggregate_type, count.aggregates, count.events);
        writeln!(out, "{aggregate_type}: {events} events of {aggregates} aggregates")?;
    }
    let (before, new) = (copied.before, copied.new);
    match mode {
        Mode::Import => writeln!(out, "{new} events imported, {before} had been imported before"),
        Mode::Count => writeln!(out, "{new} events to import, {before} have been imported"),
    }
}
