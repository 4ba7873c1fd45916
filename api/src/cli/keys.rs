//! `annals keys`

use std::{collections::BTreeSet, io::Write, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand};
use infrastructure::{
    database::{self, Database},
    vault::{KeyFile, KeyFileLock, Keyring, Origin, Rotation, Vault, WrappedKeys, wrapped_keys},
};

use super::progress::{Unit, bar};
use crate::{annals::Postgres, config::Config, keys};

#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Option<KeysCommand>,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Say which sealing keys wrap how many of people's keys, and where they come from (the default).
    List,
    /// Replace the sealing key: wrap all of people's keys with a new one.
    ///
    /// Servers run on meanwhile. What was interrupted goes on when it is run again. Nothing else changes: tokens, API keys and
    /// the journals' signing key stay what they are.
    ///
    /// Without ANNALS_SEALING_KEYS and ANNALS_SECRET_KEY a new key is made in the file sealing.keys in the data directory,
    /// which all servers must share. Keys there that wrap nothing any more are forgotten at the end.
    ///
    /// With ANNALS_SEALING_KEYS it takes three steps: put a new key (openssl rand -base64 32) and a comma in front of the
    /// others and restart all servers with it; run this, with the same variable; take the others away.
    ///
    /// A backup of the database needs the sealing keys of its time to be readable.
    Rotate(RotateArgs),
}

#[derive(Args)]
struct RotateArgs {
    /// Forget no key of the file, because backups of the database from before are still to be readable.
    #[arg(long)]
    keep_older: bool,
}

pub(super) async fn run(config: Config, args: KeysArgs) -> anyhow::Result<()> {
    let postgres = Postgres::join(&config).await?;
    let result = async {
        database::migrate(postgres.options()).await?;
        let vault = Vault::new(keys::keyring(&config, &keys::master_key(&config)?)?);
        let database = Database::connect(postgres.options().clone(), 2, Arc::clone(&vault)).await?;
        let done = match args.command {
            None | Some(KeysCommand::List) => list(&database, vault.keyring()?).await,
            Some(KeysCommand::Rotate(args)) => rotate(&config, &args, &database, vault.keyring()?).await,
        };
        database.close().await;
        done
    }
    .await;
    postgres.stop().await;
    result
}

async fn list(database: &Database, keyring: &Keyring) -> anyhow::Result<()> {
    let wrapped = wrapped_keys(database).await?;
    let unused = keyring.names().filter(|name| wrapped.iter().all(|wrapped| wrapped.sealing_key != *name));
    let mut out = std::io::stdout().lock();
    for WrappedKeys { sealing_key, count, wraps } in &wrapped {
        let coming = if *wraps { " and all that come" } else { "" };
        writeln!(out, "{sealing_key}  wraps {count} keys{coming}; {}", place(keyring.origin(sealing_key)))?;
    }
    for name in unused {
        writeln!(out, "{name}  wraps nothing; {}", place(keyring.origin(&name)))?;
    }
    Ok(())
}

fn place(origin: Option<Origin>) -> &'static str {
    match origin {
        Some(Origin::Given) => "from ANNALS_SEALING_KEYS",
        Some(Origin::File) => "from sealing.keys",
        Some(Origin::Secret) => "of the secret key",
        None => "not to be found here: people whose keys it wraps can't be read",
    }
}

async fn rotate(
    config: &Config,
    args: &RotateArgs,
    database: &Database,
    keyring: &Keyring,
) -> anyhow::Result<()> {
    database.unlock().await.context("the secret key does not fit the database")?;
    let file = keys::key_file(config);
    // Held until the end, because another rotation would forget the key that this one makes.
    let lock = match new_keys(config)? {
        NewKeys::Given => None,
        NewKeys::File => Some(file.lock()?),
    };
    keyring.reload()?;
    let is_settled = is_settled(database, keyring).await?;
    match &lock {
        None if is_settled => return say_how_to_go_on(keyring),
        Some(lock) if is_settled => {
            lock.add()?;
            keyring.reload()?;
        }
        // It was begun, or nobody has wrapped with the newest key yet.
        _ => {}
    }
    let rotation = Rotation::begin(database).await?;
    let bar = bar(Some(rotation.left().await?), Unit::Keys);
    let count = rotation.finish(|keys| bar.inc(keys)).await?;
    bar.finish_and_clear();
    writeln!(std::io::stdout().lock(), "{count} keys wrapped anew; {} wraps all now", rotation.to())?;
    match &lock {
        Some(lock) => forget(lock, &file, rotation.to(), args),
        None => say_what_can_go(keyring, rotation.to()),
    }
}

/// Where new keys come from.
enum NewKeys {
    /// The configuration, which somebody has to change.
    Given,
    /// The file in the data directory, which gets them from us.
    File,
}

fn new_keys(config: &Config) -> anyhow::Result<NewKeys> {
    if config.sealing_keys.is_some() {
        return Ok(NewKeys::Given);
    }
    anyhow::ensure!(
        config.secret_key.is_none(),
        "ANNALS_SECRET_KEY is configured, so servers may not share a data directory, and each must be given the new key: \
         set ANNALS_SEALING_KEYS for all of them, to what `openssl rand -base64 32` prints, restart them, and run this again"
    );
    Ok(NewKeys::File)
}

/// Whether the newest key wraps everything, so that there is nothing left of an earlier rotation.
async fn is_settled(database: &Database, keyring: &Keyring) -> anyhow::Result<bool> {
    let newest = keyring.newest();
    Ok(wrapped_keys(database).await?.iter().all(|wrapped| wrapped.sealing_key == newest.name()))
}

fn forget(lock: &KeyFileLock, file: &KeyFile, to: &str, args: &RotateArgs) -> anyhow::Result<()> {
    if args.keep_older {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    for name in lock.keep_only(to)? {
        writeln!(out, "{name} is forgotten: {} has the new key alone", file.path().display())?;
    }
    Ok(())
}

fn say_what_can_go(keyring: &Keyring, to: &str) -> anyhow::Result<()> {
    let older: BTreeSet<_> = keyring.given().filter(|name| *name != to).collect();
    let mut out = std::io::stdout().lock();
    for name in older {
        writeln!(out, "{name} wraps nothing any more: it can be taken out of ANNALS_SEALING_KEYS")?;
    }
    Ok(())
}

fn say_how_to_go_on(keyring: &Keyring) -> anyhow::Result<()> {
    let newest = keyring.newest();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} wraps all already", newest.name())?;
    say_what_can_go(keyring, newest.name())?;
    writeln!(
        out,
        "To replace it, put what `openssl rand -base64 32` prints, and a comma, in front of ANNALS_SEALING_KEYS,"
    )?;
    writeln!(out, "restart all servers with it, and run this again.")?;
    Ok(())
}
