//! The run: what is measured, in which order.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use domain::ids::TenantId;
use infrastructure::{
    database::{self, Database},
    embedded_postgres::{EmbeddedPostgres, EmbeddedPostgresSettings},
    growth::Growth,
    journal::PgJournal,
    vault::Vault,
};
use projections::{ALL, projector::Projector, rebuild::rebuild};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    beside::{Pace, load},
    journals::{create_workspaces, track},
    processor,
    report::{Took, line, per_second, quantiles, rate},
    round_trips::RoundTrips,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Tenants with a journal each.
    tenants: usize,
    /// Events of each, appended before the projector starts.
    backlog: usize,
    /// Tracked events of one tenant.
    tracked: u64,
    /// How long commands come beside the projector.
    beside: Duration,
}

/// What figures are taken from.
pub(crate) const FULL: Size =
    Size { tenants: 200, backlog: 50, tracked: 100_000, beside: Duration::from_secs(4) };
/// What shows that everything works.
pub(crate) const QUICK: Size =
    Size { tenants: 10, backlog: 5, tracked: 2_000, beside: Duration::from_millis(500) };

/// Measures everything, and prints it.
pub(crate) async fn run(size: Size) -> Result<(), AnyError> {
    let directory = tempfile::tempdir()?;
    let postgres = EmbeddedPostgres::start(EmbeddedPostgresSettings::new(directory.path())).await?;
    let options = postgres.connect_options();
    database::migrate(&options).await?;
    let bench = Bench::new(size, &options, postgres.directory().join("data")).await?;
    bench.visits(directory.path(), &options).await?;
    bench.many_tenants().await?;
    bench.one_big_tenant().await?;
    bench.beside().await?;
    bench.database.close().await;
    postgres.stop().await;
    Ok(())
}

struct Bench {
    size: Size,
    options: PgConnectOptions,
    /// The private PostgreSQL's.
    data: PathBuf,
    database: Database,
    growth: Growth,
    journal: Arc<PgJournal>,
    tenants: Arc<Vec<TenantId>>,
}

impl Bench {
    async fn new(size: Size, options: &PgConnectOptions, data: PathBuf) -> Result<Self, AnyError> {
        let database = Database::connect(options.clone(), 24, Vault::locked()).await?;
        let growth = Growth::default();
        let journal = Arc::new(PgJournal::new(database.clone(), growth.clone()));
        let tenants = Arc::new((0..size.tenants).map(|_| TenantId::random()).collect());
        Ok(Self { size, options: options.clone(), data, database, growth, journal, tenants })
    }

    /// One tenant after the other, each with one new event: what a visit takes, in time and in round trips.
    async fn visits(&self, directory: &Path, options: &PgConnectOptions) -> Result<(), AnyError> {
        let socket = options.get_socket().ok_or("the private PostgreSQL has a socket")?;
        let name = format!(".s.PGSQL.{}", options.get_port());
        let round_trips = RoundTrips::default();
        round_trips.relay(&directory.join(&name), &socket.join(&name))?;
        let relayed = Database::connect(options.clone().socket(directory), 4, Vault::locked()).await?;
        let counting = Projector::new(relayed.clone(), ALL, Growth::default());
        let projector = Projector::new(self.database.clone(), ALL, Growth::default());
        let mut durations = Vec::new();
        for tenant in self.tenants.iter() {
            create_workspaces(&*self.journal, *tenant, 1).await?;
            projector.catch_up(*tenant).await?;
            create_workspaces(&*self.journal, *tenant, 1).await?;
            let start = Instant::now();
            projector.catch_up(*tenant).await?;
            durations.push(start.elapsed());
        }
        line("visit of one new event", &quantiles(durations));
        let mut counts = Vec::new();
        for tenant in self.tenants.iter().take(5) {
            create_workspaces(&*self.journal, *tenant, 1).await?;
            // The pool tests a connection in the background after it is given back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let before = round_trips.count();
            counting.catch_up(*tenant).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            counts.push(round_trips.count() - before);
        }
        // The first ones also open connections and prepare statements.
        let count = counts.iter().min().ok_or("some visits")?;
        line("round trips of that, with those of the pool", &format!("{count}"));
        relayed.close().await;
        Ok(())
    }

    /// A backlog of many tenants.
    async fn many_tenants(&self) -> Result<(), AnyError> {
        for tenant in self.tenants.iter() {
            create_workspaces(&*self.journal, *tenant, self.size.backlog).await?;
        }
        let took = self.catch_up().await?;
        let events = (self.size.tenants * self.size.backlog) as u64;
        let what = format!("backlog of {} tenants with {} events", self.size.tenants, self.size.backlog);
        line(&what, &rate(events, took));
        Ok(())
    }

    /// A backlog of tracked events, and rebuilds of what they went into.
    async fn one_big_tenant(&self) -> Result<(), AnyError> {
        let tenant = TenantId::random();
        track(&*self.journal, tenant, self.size.tracked).await?;
        let took = self.catch_up().await?;
        line("backlog of one tenant's tracked events", &rate(self.size.tracked, took));
        for name in ["tracked_events", "usage", "billing", "audit"] {
            let projection = ALL.iter().find(|projection| projection.name() == name).ok_or(name)?;
            let stopwatch = self.stopwatch();
            rebuild(&self.database, *projection, tenant, |_| {}).await?;
            line(&format!("rebuild of {name} from them"), &rate(self.size.tracked, stopwatch()));
        }
        Ok(())
    }

    /// Commands without the projector, beside it, and at half of that pace.
    async fn beside(&self) -> Result<(), AnyError> {
        let time = self.size.beside;
        let alone = load(&self.journal, None, &self.tenants, Pace::Free, time).await?;
        line("commands without the projector", &per_second(alone.commands, time));
        self.catch_up().await?;
        let projector = Projector::new(self.database.clone(), ALL, self.growth.clone());
        let running = tokio::spawn(projector.run());
        let beside = load(&self.journal, Some(&self.database), &self.tenants, Pace::Free, time).await?;
        line("commands beside it", &per_second(beside.commands, time));
        line("  commit to visible", &quantiles(beside.visible_after));
        let pace = Pace::PerSecond(beside.commands as f64 / time.as_secs_f64() / 2.0);
        let half = load(&self.journal, Some(&self.database), &self.tenants, pace, time).await?;
        line("commands beside it at half that pace", &per_second(half.commands, time));
        line("  commit to visible", &quantiles(half.visible_after));
        running.abort();
        Ok(())
    }

    /// Runs a projector that nothing hints at until it has nothing to do; how long that took.
    async fn catch_up(&self) -> Result<Took, AnyError> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let stopwatch = self.stopwatch();
        let running = tokio::spawn(Projector::new(self.database.clone(), ALL, Growth::default()).run());
        loop {
            let behind: bool = sqlx::query_scalar(
                "SELECT EXISTS (
                     SELECT FROM journal_heads AS head LEFT JOIN projection_positions AS checkpoint USING (tenant_id)
                     GROUP BY head.tenant_id, head.position
                     HAVING count(checkpoint.position) < $1 OR min(checkpoint.position) < head.position)",
            )
            .bind(ALL.len() as i64)
            .fetch_one(&mut connection)
            .await?;
            if !behind {
                break;
            }
            if stopwatch().elapsed > Duration::from_secs(120) {
                return Err("the projector does not catch up".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.abort();
        Ok(stopwatch())
    }

    fn stopwatch(&self) -> impl Fn() -> Took + use<> {
        let (start, data) = (Instant::now(), self.data.clone());
        let before = processor::used(&data);
        move || Took { elapsed: start.elapsed(), processor: processor::used(&data).saturating_sub(before) }
    }
}
