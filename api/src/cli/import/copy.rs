//! Copies what a tenant's journal does not have yet.
//!
//! How far the import has come is not written down anywhere but in the journal itself: the sequence of each stream.

use anyhow::ensure;
use application::{app::App, foreign_aggregates};
use domain::{ctx::Ctx, ids::ForeignAggregateId};
use infrastructure::postgres_es::{AggregateEnd, PostgresEs, Section, TypeCount};

use super::{Mode, progress::Progress, sections::Sections};

/// How many aggregates are looked up in the journal at a time.
const AGGREGATES: i64 = 200;

/// What there was, and what became of it.
pub(super) struct Copied {
    /// All that there is to import, by type.
    pub(super) counts: Vec<TypeCount>,
    /// Those of them that this import has found in the journal, whoever has brought them there.
    pub(super) before: u64,
    /// Events that were not, and have been imported now unless they were only counted.
    pub(super) new: u64,
}

pub(super) async fn copy(
    ctx: &Ctx,
    app: &App,
    source: &mut PostgresEs,
    mode: Mode,
) -> anyhow::Result<Copied> {
    foreign_aggregates::ready(ctx, app).await?;
    let counts = source.counts().await?;
    let mut progress = Progress::new(counts.iter().map(|count| count.events.unsigned_abs()).sum());
    let (mut all, mut new) = (0, 0);
    let mut sections = Sections::default();
    let mut page = source.aggregates(None, AGGREGATES).await?;
    while let Some(last) = page.last().cloned() {
        for (end, imported) in page.iter().zip(imported(ctx, app, &page).await?) {
            progress.advance(imported);
            let (name, there) = (format!("{} {}", end.aggregate_type, end.aggregate_id), end.sequence);
            let imported = i64::try_from(imported)?;
            ensure!(imported <= there, "{name} ends with event {there}, and {imported} have been imported");
            all += there.unsigned_abs();
            let mut end = end.clone();
            if mode == Mode::Count {
                new += (there - imported).unsigned_abs();
                // What follows the newest event that was imported is refused by nobody.
                end.sequence = imported;
            }
            for full in sections.add(&end, imported) {
                new += carry_out(ctx, app, source, &full, &mut progress, mode).await?;
            }
        }
        page = source.aggregates(Some(&last), AGGREGATES).await?;
    }
    new += carry_out(ctx, app, source, &sections.take(), &mut progress, mode).await?;
    progress.finish();
    // Another import may have brought some of them since it was looked how many there were.
    Ok(Copied { counts, before: all - new, new })
}

/// How many events of each have been imported.
async fn imported(ctx: &Ctx, app: &App, page: &[AggregateEnd]) -> anyhow::Result<Vec<u64>> {
    let id = |end: &AggregateEnd| ForeignAggregateId::of(ctx.tenant, &end.aggregate_type, &end.aggregate_id);
    let ids: Vec<_> = page.iter().map(id).collect();
    Ok(foreign_aggregates::sequences(ctx, app, &ids).await?)
}

/// Imports sections in one commit, or looks whether that would be refused; how many events were imported.
async fn carry_out(
    ctx: &Ctx,
    app: &App,
    source: &mut PostgresEs,
    sections: &[Section],
    progress: &mut Progress,
    mode: Mode,
) -> anyhow::Result<u64> {
    let events = source.events(sections).await?;
    if mode == Mode::Count {
        foreign_aggregates::rehearse(ctx, app, &events).await?;
        return Ok(0);
    }
    let new = foreign_aggregates::import(ctx, app, &events).await?.value;
    progress.advance(new);
    Ok(new)
}
