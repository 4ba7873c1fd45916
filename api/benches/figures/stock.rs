//! The peer of commands: the stock postgres-es repository, called in this process, without HTTP, tenants, users or
//! permissions.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::anyhow;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx_of_postgres_es::{Executor, PgPool, postgres::PgPoolOptions};
use tokio::task::JoinSet;

use super::{
    database::Postgres,
    measure::{
        quantiles::Latencies,
        stopwatch::{Done, Stopwatch},
    },
};

/// How many aggregates are in use at a time.
const AGGREGATES: usize = 200;
/// How many commands an aggregate gets before a new one takes its place. Loading gets slower with every event, and
/// Annals' side of the comparison has short streams, too.
const LIFE: usize = 10;

/// The table of the crate's `db/init.sql`; snapshots are not used.
const SCHEMA: &str = "
    CREATE TABLE events (
        aggregate_type text                         NOT NULL,
        aggregate_id   text                         NOT NULL,
        sequence       bigint CHECK (sequence >= 0) NOT NULL,
        event_type     text                         NOT NULL,
        event_version  text                         NOT NULL,
        payload        json                         NOT NULL,
        metadata       json                         NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    )";

/// Stock postgres-es in a database of its own, in the same PostgreSQL.
pub(super) struct Stock {
    cqrs: Arc<PostgresCqrs<Workspace>>,
    /// So that no run meets another's aggregates.
    runs: AtomicU64,
}

impl Stock {
    /// For up to `tasks` tasks, each with a connection.
    pub(super) async fn new(postgres: &Postgres, tasks: usize) -> anyhow::Result<Self> {
        PgPool::connect(postgres.url()).await?.execute("CREATE DATABASE stock").await?;
        let options =
            postgres.url().parse::<sqlx_of_postgres_es::postgres::PgConnectOptions>()?.database("stock");
        let connections = tasks as u32;
        let pool = PgPoolOptions::new().max_connections(connections).min_connections(connections);
        let pool = pool.connect_with(options).await?;
        pool.execute(SCHEMA).await?;
        Ok(Self { cqrs: Arc::new(postgres_cqrs(pool, vec![], ())), runs: AtomicU64::new(0) })
    }

    /// Commands of one event each from `tasks` tasks, until there were `commands` of them or the time is over.
    pub(super) async fn run(&self, tasks: usize, commands: usize, time: Duration) -> anyhow::Result<Done> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let mut running = JoinSet::new();
        let (stopwatch, start) = (Stopwatch::start(), Instant::now());
        for task in 0..tasks {
            let cqrs = Arc::clone(&self.cqrs);
            running.spawn(async move {
                let mut latencies = Latencies::default();
                // Each task has aggregates of its own: a conflict would only be an error.
                let own: Vec<usize> = (task..AGGREGATES).step_by(tasks).collect();
                for number in 0..commands / tasks {
                    let (round, aggregate) = (number / own.len(), own[number % own.len()]);
                    let sent = Instant::now();
                    if sent - start >= time {
                        break;
                    }
                    let id = format!("workspace-{run}-{aggregate}-{}", round / LIFE);
                    let command = WorkspaceCommand { name: "Load".to_owned() };
                    cqrs.execute(&id, command).await.map_err(|error| anyhow!("postgres-es: {error}"))?;
                    latencies.push(sent.elapsed());
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Latencies::default();
        while let Some(task) = running.join_next().await {
            latencies.append(task??);
        }
        Ok(stopwatch.stop(latencies.len() as u64, latencies))
    }
}

/// The smallest aggregate that decides anything.
#[derive(Default, Serialize, Deserialize)]
struct Workspace {
    named: u64,
}

struct WorkspaceCommand {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct WorkspaceNamed {
    name: String,
}

#[derive(Debug)]
enum Never {}

impl Aggregate for Workspace {
    const TYPE: &'static str = "workspace";
    type Command = WorkspaceCommand;
    type Event = WorkspaceNamed;
    type Error = Never;
    type Services = ();

    async fn handle(
        &mut self,
        command: WorkspaceCommand,
        _: &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Never> {
        sink.write(WorkspaceNamed { name: command.name }, self).await;
        Ok(())
    }

    fn apply(&mut self, _: WorkspaceNamed) {
        self.named += 1;
    }
}

impl DomainEvent for WorkspaceNamed {
    fn event_type(&self) -> String {
        "WorkspaceNamed".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}
