//! `annals rebuild`

use std::{io::IsTerminal, time::Duration};

use clap::Args;
use domain::ids::TenantId;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use infrastructure::{
    database::{self, Database},
    vault::Vault,
};
use projections::{
    ALL,
    fold::Projection,
    rebuild::{Extent, extents, rebuild},
};

use crate::{annals::Postgres, config::Config};

#[derive(Args)]
pub(super) struct RebuildArgs {
    /// Only this projection; by default all that can be rebuilt.
    #[arg(long)]
    projection: Option<String>,
    /// Only this tenant (ten_…); by default all, the platform included.
    #[arg(long)]
    tenant: Option<TenantId>,
}

/// Replays journals into read models. A server may run meanwhile: its readers see the old rows until the new ones are
/// complete.
pub(super) async fn run(config: Config, args: RebuildArgs) -> anyhow::Result<()> {
    let projections = chosen(args.projection.as_deref())?;
    let postgres = Postgres::join(&config).await?;
    let result = async {
        database::migrate(postgres.options()).await?;
        let database = Database::connect(postgres.options().clone(), 2, Vault::locked()).await?;
        let extents = extents(&database, args.tenant).await?;
        if let (Some(tenant), true) = (args.tenant, extents.is_empty()) {
            anyhow::bail!("{tenant} has no journal");
        }
        let rebuilt = replay(&database, &projections, &extents).await;
        database.close().await;
        rebuilt
    }
    .await;
    postgres.stop().await;
    result
}

fn chosen(name: Option<&str>) -> anyhow::Result<Vec<&'static dyn Projection>> {
    let Some(name) = name else {
        return Ok(ALL.iter().copied().filter(|projection| projection.is_rebuildable()).collect());
    };
    let names = || ALL.iter().map(|projection| projection.name()).collect::<Vec<_>>().join(", ");
    let found = ALL.iter().copied().find(|projection| projection.name() == name);
    let found =
        found.ok_or_else(|| anyhow::anyhow!("there is no projection {name}; there are {}", names()))?;
    anyhow::ensure!(found.is_rebuildable(), "{name} can't be rebuilt: what it did can't be undone");
    Ok(vec![found])
}

async fn replay(
    database: &Database,
    projections: &[&'static dyn Projection],
    extents: &[Extent],
) -> anyhow::Result<()> {
    let events: u64 = extents.iter().map(|extent| extent.events).sum();
    let bar = progress_bar(events * projections.len() as u64);
    for projection in projections {
        bar.set_message(projection.name());
        for extent in extents {
            rebuild(database, *projection, extent.tenant, |events| bar.inc(events)).await?;
        }
        if bar.is_hidden() {
            tracing::info!(projection = projection.name(), journals = extents.len(), events, "rebuilt");
        }
    }
    bar.finish_with_message("done");
    Ok(())
}

fn progress_bar(events: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(events), target);
    if let Ok(style) = ProgressStyle::with_template(
        "{msg:16} {wide_bar} {human_pos}/{human_len} events  {per_sec}  {eta} left",
    ) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
