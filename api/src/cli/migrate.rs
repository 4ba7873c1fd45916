//! `annals migrate`

use infrastructure::database;

use crate::{annals::Postgres, config::Config};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let postgres = Postgres::join(&config).await?;
    let migrated = database::migrate(postgres.options()).await;
    postgres.stop().await;
    tracing::info!("the schema is up to date");
    Ok(migrated?)
}
