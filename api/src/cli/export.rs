//! `annals export`

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
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
    vault::{
        Named,
        transfer::{FORMAT, PeopleHeader, PersonLine, SecretLine, VERSION, people, secrets},
    },
};

use super::progress::{Unit, bar};
use crate::{
    annals::{Annals, Postgres},
    config::Config,
    journal::hex,
};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Whose journal (ten_…).
    #[arg(long)]
    tenant: TenantId,
    /// The file to write; by default the standard output. It appears when it is complete.
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Also write the keys of the people whom the journal names, and with the platform's the hashes of their passwords: what
    /// an import needs besides the journal, sealed with a key that is derived from this installation's secret key. Who is
    /// erased has none. Readable by its owner only, and not to be kept for longer than it is needed: who is erased later
    /// is still in it.
    #[arg(long, value_name = "PEOPLE_FILE")]
    people: Option<PathBuf>,
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
    let root = key.open(&tree.checkpoint)?.root;
    let export = Export { database: database.clone(), key, tenant, tree };
    let named = match &args.output {
        None => write(export, size, std::io::stdout().lock()).await?,
        Some(path) => {
            let unfinished = Unfinished::create(path, OpenOptions::new())?;
            let named = write(export, size, &unfinished.file).await?;
            unfinished.complete(path)?;
            named
        }
    };
    if let Some(path) = &args.people {
        let header = PeopleHeader {
            format: FORMAT.to_owned(),
            version: VERSION,
            tenant,
            events: size,
            root: hex(&root),
        };
        let (people, secrets) = (people(database, tenant, &named).await?, secrets(database, tenant).await?);
        write_people(path, &header, &people, &secrets)?;
    }
    tracing::info!(%tenant, events = size, "exported");
    Ok(())
}

/// Writes the lines of an export; tells whom they name.
async fn write(export: Export, events: u64, output: impl Write) -> anyhow::Result<Named> {
    let (mut output, bar) = (BufWriter::new(output), bar(Some(events), Unit::Events));
    let mut named = Named::default();
    let mut lines = export.lines().boxed();
    while let Some(lines) = lines.try_next().await? {
        output.write_all(&lines.text)?;
        bar.inc(lines.events);
        named.extend(lines.named);
    }
    output.flush()?;
    bar.finish_and_clear();
    Ok(named)
}

fn write_people(
    path: &Path,
    header: &PeopleHeader,
    people: &[PersonLine],
    secrets: &[SecretLine],
) -> anyhow::Result<()> {
    let mut private = OpenOptions::new();
    private.mode(0o600);
    let unfinished = Unfinished::create(path, private)?;
    let mut output = BufWriter::new(&unfinished.file);
    writeln!(output, "{}", serde_json::to_string(header)?)?;
    for person in people {
        writeln!(output, "{}", serde_json::to_string(person)?)?;
    }
    for secret in secrets {
        writeln!(output, "{}", serde_json::to_string(secret)?)?;
    }
    output.flush()?;
    drop(output);
    unfinished.complete(path)
}

/// A file that appears under its name when it is complete.
struct Unfinished {
    file: File,
    name: PathBuf,
}

impl Unfinished {
    fn create(path: &Path, mut options: OpenOptions) -> anyhow::Result<Self> {
        let mut name = OsString::from(path);
        name.push(".part");
        // What an interrupted one has left may be readable by others.
        let _ = fs::remove_file(&name);
        let file = options.write(true).create_new(true).open(&name);
        Ok(Self { file: file.with_context(|| can_t_write(path))?, name: name.into() })
    }

    fn complete(self, path: &Path) -> anyhow::Result<()> {
        self.file.sync_all().with_context(|| can_t_write(path))?;
        fs::rename(&self.name, path).with_context(|| can_t_write(path))
    }
}

fn can_t_write(path: &Path) -> String {
    format!("can't write {}", path.display())
}
