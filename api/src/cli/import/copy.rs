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
    /// Events that had been imported before.
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
    let (mut before, mut new) = (0, 0);
    let mut sections = Sections::default();
    let mut page = source.aggregates(None, AGGREGATES).await?;
    while let Some(last) = page.last().cloned() {
        for (end, imported) in page.iter().zip(imported(ctx, app, &page).await?) {
            before += imported;
            progress.advance(imported);
            let (name, there) = (format!("{} {}", end.aggregate_type, end.aggregate_id), end.sequence);
            let imported = i64::try_from(imported)?;
            ensure!(imported <= there, "{name} ends with event {there}, and {imported} have been imported");
            if mode == Mode::Count {
                new += (there - imported).unsigned_abs();
                continue;
            }
            for full in sections.add(end, imported) {
                new += commit(ctx, app, source, &full, &mut progress).await?;
            }
        }
        page = source.aggregates(Some(&last), AGGREGATES).await?;
    }
    new += commit(ctx, app, source, &sections.take(), &mut progress).await?;
    progress.finish();
    Ok(Copied { counts, before, new })
}

/// How many events of each have been imported.
async fn imported(ctx: &Ctx, app: &App, page: &[AggregateEnd]) -> anyhow::Result<Vec<u64>> {
    let id = |end: &AggregateEnd| ForeignAggregateId::of(ctx.tenant, &end.aggregate_type, &end.aggregate_id);
    let ids: Vec<_> = page.iter().map(id).collect();
    Ok(foreign_aggregates::sequences(ctx, app, &ids).await?)
}

/// Imports sections in one commit; how many events were new.
async fn commit(
    ctx: &Ctx,
    app: &App,
    source: &mut PostgresEs,
    sections: &[Section],
    progress: &mut Progress,
) -> anyhow::Result<u64> {
    let events = source.events(sections).await?;
    let new = foreign_aggregates::import(ctx, app, &events).await?.value;
    progress.advance(new);
    Ok(new)
}
