//! An import of the events of another cqrs-es system.

use std::io::Write;

use anyhow::Context;
use chrono::Utc;
use domain::{ctx::Ctx, ids::TenantId};
use infrastructure::postgres_es::PostgresEs;

use super::{
    Mode,
    copy::{Copied, copy},
};
use crate::{
    annals::{Annals, Postgres},
    config::Config,
};

/// What to import, and where to.
pub(super) struct Foreign {
    /// The other system's database.
    pub(super) source: String,
    pub(super) tenant: TenantId,
    /// The types of aggregates; none: all.
    pub(super) aggregates: Vec<String>,
    pub(super) mode: Mode,
}

impl Foreign {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let Self { source, tenant, aggregates, mode } = self;
        let mut source = PostgresEs::connect(&source, &aggregates).await?;
        let postgres = Postgres::join(&config).await?;
        let result = async {
            let annals = Annals::start(config, &postgres).await?;
            let ctx = Ctx::system(tenant, Utc::now());
            let copied = copy(&ctx, &annals.app, &mut source, mode).await;
            annals.database.close().await;
            copied.with_context(|| format!("can't import into {tenant}"))
        }
        .await;
        postgres.stop().await;
        source.close().await.ok();
        report(&result?, mode)?;
        Ok(())
    }
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
