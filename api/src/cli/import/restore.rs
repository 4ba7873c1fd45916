//! An import of a journal that was exported.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use domain::{ctx::Ctx, ids::TenantId};
use indicatif::ProgressBar;
use infrastructure::{
    export::EventLine,
    growth_channel,
    journal::stored::StoredEvent,
    notary::{Notary, edge::Edge, proofs},
    vault::transfer::{self, TakenIn, take_in_secrets},
};
use projections::{
    ALL, checkpoint,
    projector::Projector,
    restore::{Found, Restorer},
};

use super::{
    Mode,
    people::{self, People},
    survey::{BUFFER, Survey, survey},
};
use crate::{
    annals::{Annals, Postgres},
    cli::{
        progress::{Unit, bar},
        verify,
    },
    config::Config,
    journal::hex,
};

/// How many events one commit takes.
const EVENTS: usize = 1_000;

/// What to restore.
pub(super) struct Restore {
    /// The export.
    pub(super) file: PathBuf,
    /// The key that it is signed with, or a file that holds it.
    pub(super) key: String,
    /// The file with the keys of the people whom it names.
    pub(super) people: Option<PathBuf>,
    pub(super) mode: Mode,
}

/// What became of an export's events.
#[derive(Default)]
struct Restored {
    /// Events that were here before.
    before: u64,
    /// Events that were not.
    new: u64,
    /// Where the journal ended here before.
    end: u64,
}

impl Restore {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let key = verify::key(&self.key)?;
        let mut file =
            File::open(&self.file).with_context(|| format!("can't read {}", self.file.display()))?;
        let survey = survey(&file, &self.file, &key)?;
        let people = self.people.as_deref().map(|path| people::read(path, &survey)).transpose()?;
        file.rewind()?;
        let postgres = Postgres::join(&config).await?;
        let result = async {
            let annals = Annals::start(config, &postgres).await?;
            let tenant = survey.tenant;
            let restored = restore(&annals, &survey, &file, people.as_ref(), self.mode).await;
            annals.database.close().await;
            restored.with_context(|| format!("can't restore {tenant}"))
        }
        .await;
        postgres.stop().await;
        result
    }
}

async fn restore(
    annals: &Annals,
    survey: &Survey,
    file: &File,
    people: Option<&People>,
    mode: Mode,
) -> anyhow::Result<()> {
    let (database, tenant) = (&annals.database, survey.tenant);
    let restorer = Restorer::new(database.clone(), tenant);
    require_free(annals, survey).await?;
    // Nothing is changed before it is known that the journal here is the file's.
    let (before, end) = (compare(&restorer, file, survey).await?, restorer.end().await?);
    let mut restored = Restored { before, new: survey.events - before, end };
    if mode == Mode::Count {
        return Ok(tell(survey, &restored, mode)?);
    }
    let taken = match people {
        Some(People { keys, secrets }) => {
            let taken = transfer::take_in(database, tenant, keys, &survey.named).await?;
            take_in_secrets(database, tenant, secrets).await?;
            taken
        }
        None => TakenIn::default(),
    };
    restored.new = append(&restorer, file, survey, before).await?;
    growth_channel::publish_once(database, tenant).await;
    catch_up(annals, tenant, survey.events.max(end)).await?;
    sign(annals, survey).await?;
    tell(survey, &restored, mode)?;
    tell_people(annals, survey, people.is_some().then_some(taken)).await
}

/// Goes on only if nobody else holds here what the tenant is to hold.
async fn require_free(annals: &Annals, survey: &Survey) -> anyhow::Result<()> {
    for (kind, value) in &survey.holdings {
        let holder = annals.app.journal.holder(survey.tenant, *kind, value).await?;
        if let Some(holder) = holder.filter(|holder| *holder != survey.tenant.uuid()) {
            let (holder, kind) = (TenantId::from(holder), kind.as_str());
            bail!("the {kind} {value:?} belongs to {holder} here; change it there, and run this again");
        }
    }
    Ok(())
}

/// How many of the file's events are here, which are its first ones.
async fn compare(restorer: &Restorer, file: &File, survey: &Survey) -> anyhow::Result<u64> {
    let bar = bar(Some(survey.events.min(restorer.end().await?)), Unit::Events);
    bar.set_message("comparing");
    let (mut events, mut same) = (Events::of(file)?, 0);
    loop {
        let page = events.page(EVENTS)?;
        match restorer.compare(&page).await? {
            Found::Same(count) => {
                same += count as u64;
                bar.inc(count as u64);
                if count < page.len() || page.is_empty() {
                    bar.finish_and_clear();
                    return Ok(same);
                }
            }
            Found::Different(position) => {
                bail!("the journal here is another one: the event at position {position} differs")
            }
        }
    }
}

/// Appends the events after the first `before` ones; tells how many.
async fn append(restorer: &Restorer, file: &File, survey: &Survey, before: u64) -> anyhow::Result<u64> {
    let bar = bar(Some(survey.events), Unit::Events);
    bar.set_message("restoring");
    let (mut events, mut edge, mut new) = (Events::of(file)?, Edge::default(), 0);
    loop {
        let page = events.page(EVENTS)?;
        for event in &page {
            ensure!(event.computed_leaf_hash() == event.leaf_hash, "the file has changed meanwhile");
            edge.push(event.leaf_hash);
        }
        let first = page.iter().position(|event| event.position > before).unwrap_or(page.len());
        let is_last = edge.size() >= survey.events;
        if is_last {
            ensure!(edge.root() == survey.root, "the file has changed meanwhile");
            restorer.finish(&page[first..]).await?;
        } else {
            ensure!(!page.is_empty(), "the file has changed meanwhile");
            restorer.append(&page[first..]).await?;
        }
        new += (page.len() - first) as u64;
        bar.inc(page.len() as u64);
        if is_last {
            bar.finish_and_clear();
            return Ok(new);
        }
    }
}

/// Lets the read models take in all of it, together with a server if one runs.
async fn catch_up(annals: &Annals, tenant: TenantId, end: u64) -> anyhow::Result<()> {
    let projector = Projector::new(annals.database.clone(), ALL, annals.growth.clone());
    let bar = bar(Some(end), Unit::Events);
    bar.set_message("projecting");
    let look = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            show_progress(annals, tenant, &bar).await;
        }
    };
    let caught_up = tokio::select! {
        caught_up = projector.catch_up(tenant) => caught_up,
        () = look => Ok(()),
    };
    bar.finish_and_clear();
    Ok(caught_up?)
}

async fn show_progress(annals: &Annals, tenant: TenantId, bar: &ProgressBar) {
    let names = ALL.iter().map(|projection| projection.name());
    if let Ok(position) = checkpoint::furthest_behind(&annals.database, tenant, names).await {
        bar.set_position(position);
    }
}

/// Signs the journal with this installation's key, and compares the root with the file's.
async fn sign(annals: &Annals, survey: &Survey) -> anyhow::Result<()> {
    Notary::new(annals.database.clone(), annals.notary_key.clone()).catch_up(survey.tenant).await?;
    let tree = proofs::newest(&Ctx::system(survey.tenant, Utc::now()), &annals.database, 0).await?;
    let signed = annals.notary_key.public().open(&tree.checkpoint)?;
    // A longer journal's first events were compared one by one.
    ensure!(
        signed.size > survey.events || signed.root == survey.root,
        "the root of the journal here is {}, and the file's is {}",
        hex(&signed.root),
        hex(&survey.root)
    );
    Ok(())
}

fn tell(survey: &Survey, restored: &Restored, mode: Mode) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let (tenant, before, new) = (survey.tenant, restored.before, restored.new);
    match mode {
        Mode::Import => writeln!(out, "{tenant}: {new} events imported, {before} were here before")?,
        Mode::Count => writeln!(out, "{tenant}: {new} events to import, {before} are here")?,
    }
    if restored.end > survey.events {
        writeln!(out, "the journal here is longer than the file: it has {} events", restored.end)?;
    }
    writeln!(out, "root {} at {} events", hex(&survey.root), survey.events)
}

async fn tell_people(annals: &Annals, survey: &Survey, taken: Option<TakenIn>) -> anyhow::Result<()> {
    let unknown = transfer::unknown(&annals.database, &survey.named).await?;
    let mut out = std::io::stdout().lock();
    if let Some(TakenIn { new, known, erased }) = taken {
        writeln!(out, "people: {new} keys imported, {known} were here before, {erased} are erased")?;
    }
    if unknown > 0 {
        let help = "what is recorded about them reads [erased]; import again with --people to read it";
        writeln!(out, "{unknown} people have no key here: {help}")?;
    }
    Ok(())
}

/// The events of an export, which was verified.
struct Events<'f> {
    lines: std::io::Lines<BufReader<&'f File>>,
}

impl<'f> Events<'f> {
    fn of(mut file: &'f File) -> anyhow::Result<Self> {
        file.rewind()?;
        let mut lines = BufReader::with_capacity(BUFFER, file).lines();
        lines.next().context("the file has changed meanwhile")??;
        Ok(Self { lines })
    }

    /// The next ones, at most `count`.
    fn page(&mut self, count: usize) -> anyhow::Result<Vec<StoredEvent>> {
        let mut events = Vec::new();
        for line in &mut self.lines {
            let line = line?;
            if line.starts_with(r#"{"checkpoint""#) {
                continue;
            }
            events.push(serde_json::from_str::<EventLine>(&line)?.into_event()?);
            if events.len() == count {
                break;
            }
        }
        Ok(events)
    }
}
