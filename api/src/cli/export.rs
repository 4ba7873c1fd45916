//! `annals export`

use std::{
    ffi::OsString,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::Utc;
use clap::Args;
use domain::{ctx::Ctx, ids::TenantId};
use futures_util::{StreamExt, TryStreamExt};
use infrastructure::{
    examiner::journals,
    export::Export,
    notary::{Notary, proofs},
};

use super::progress::{Unit, bar};
use crate::{
    annals::{Annals, Postgres},
    config::Config,
};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Whose journal (ten_…).
    #[arg(long)]
    tenant: TenantId,
    /// The file to write; by default the standard output. It appears when it is complete.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Writes a journal with the checkpoint that covers all of it, signed anew if need be. A server may run meanwhile.
pub(super) async fn run(config: Config, args: ExportArgs) -> anyhow::Result<()> {
    let postgres = Postgres::join(&config).await?;
    let exported = match Annals::start(config, &postgres).await {
        Ok(annals) => {
            let exported = export(&annals, args).await;
            annals.database.close().await;
            exported
        }
        Err(error) => Err(error),
    };
    postgres.stop().await;
    exported
}

async fn export(annals: &Annals, args: ExportArgs) -> anyhow::Result<()> {
    let (database, tenant) = (&annals.database, args.tenant);
    anyhow::ensure!(!journals(database, Some(tenant)).await?.is_empty(), "{tenant} has no journal");
    Notary::new(database.clone(), annals.notary_key.clone()).catch_up(tenant).await?;
    let tree = proofs::newest(&Ctx::system(tenant, Utc::now()), database, 0).await?;
    let (size, key) = (tree.size, annals.notary_key.public().clone());
    let export = Export { database: database.clone(), key, tenant, tree };
    match &args.output {
        None => write(export, size, std::io::stdout().lock()).await?,
        Some(path) => {
            let unfinished = unfinished(path);
            let can_t = || format!("can't write {}", path.display());
            let file = File::create(&unfinished).with_context(can_t)?;
            write(export, size, &file).await?;
            file.sync_all().with_context(can_t)?;
            std::fs::rename(&unfinished, path).with_context(can_t)?;
        }
    }
    tracing::info!(%tenant, events = size, "exported");
    Ok(())
}

async fn write(export: Export, events: u64, output: impl Write) -> anyhow::Result<()> {
    let (mut output, bar) = (BufWriter::new(output), bar(Some(events), Unit::Events));
    let mut lines = export.lines().boxed();
    while let Some(lines) = lines.try_next().await? {
        output.write_all(&lines.text)?;
        bar.inc(lines.events);
    }
    output.flush()?;
    bar.finish_and_clear();
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".part");
    name.into()
}
