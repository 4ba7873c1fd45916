//! `annals admin`

use application::users;
use chrono::Utc;
use clap::{Args, Subcommand};
use domain::{ctx::Ctx, ids::TenantId, text::Email};

use crate::{
    annals::{Annals, Postgres},
    config::Config,
};

#[derive(Args)]
pub(super) struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Make a registered user an administrator of the installation.
    Create {
        /// The address that the user has registered with.
        #[arg(long)]
        email: Email,
    },
}

pub(super) async fn run(config: Config, args: AdminArgs) -> anyhow::Result<()> {
    let AdminCommand::Create { email } = args.command;
    let postgres = Postgres::join(&config).await?;
    let annals = Annals::start(config, &postgres).await?;
    let ctx = Ctx::system(TenantId::PLATFORM, Utc::now());
    let granted = users::grant_administrator(&ctx, &annals.app, &email).await;
    annals.database.close().await;
    postgres.stop().await;
    let user = granted.map_err(|error| anyhow::anyhow!("{email}: {error}; register this address first"))?;
    tracing::info!(%user, "is an administrator now");
    Ok(())
}
