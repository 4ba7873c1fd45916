//! Checking what is in the database.

use anyhow::Context;
use infrastructure::{
    database::Database,
    examiner::{examine_database, journals},
    notary::PublicKey,
    vault::Vault,
};

use super::{Verdict, VerifyArgs, key, since, tell};
use crate::{
    annals::Postgres,
    cli::progress::{Unit, bar},
    config::Config,
    keys::known_notary_key,
    telemetry::{self, Reader},
};

pub(super) async fn verify(args: VerifyArgs) -> anyhow::Result<Verdict> {
    let config = Config::load()?;
    telemetry::start(&config.log, Reader::Person)?;
    let key = match &args.key {
        Some(text) => key(text)?,
        None => known_notary_key(&config)?.public().clone(),
    };
    let postgres = Postgres::join(&config).await?;
    let verified = match Database::connect(postgres.options().clone(), 2, Vault::locked()).await {
        Ok(database) => {
            let verified = verify_journals(&database, &key, &args).await;
            database.close().await;
            verified
        }
        Err(error) => Err(error.into()),
    };
    postgres.stop().await;
    verified
}

async fn verify_journals(database: &Database, key: &PublicKey, args: &VerifyArgs) -> anyhow::Result<Verdict> {
    let since = since(args, key)?;
    let journals = journals(database, args.tenant).await.context("can't list the journals")?;
    if let (Some(tenant), true) = (args.tenant, journals.is_empty()) {
        anyhow::bail!("{tenant} has no journal");
    }
    if let Some(since) = &since {
        let is_there = journals.iter().any(|journal| journal.tenant == since.tenant);
        anyhow::ensure!(is_there, "the checkpoint given with --since is about {}", since.tenant);
    }
    let bar = bar(Some(journals.iter().map(|journal| journal.events).sum()), Unit::Events);
    let mut verdict = Verdict::Good;
    for journal in journals {
        let tenant = journal.tenant;
        let since = since.as_ref().filter(|since| since.tenant == tenant);
        let report = examine_database(database, key, tenant, since, |events| bar.inc(events)).await?;
        if bar.suspend(|| tell(&report))? == Verdict::Wrong {
            verdict = Verdict::Wrong;
        }
    }
    bar.finish_and_clear();
    Ok(verdict)
}
