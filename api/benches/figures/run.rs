//! The run: what is measured, in which order.

use std::{fs, path::Path, thread, time::Instant};

use anyhow::ensure;
use clap::ValueEnum;
use domain::ids::TenantId;

use super::{
    commands::{Amount, run_commands},
    copy::{Rows, copy_in, copy_out},
    database::Postgres,
    figure::{Figure, Goal},
    measure::{event::BATCH, procfs::Memory, stopwatch::Done},
    rebuild::rebuild,
    report::{Measurement, Report},
    second::Second,
    server::Server,
    size::Size,
    stock::Stock,
    tenants::found,
    tracking::{repeat, track, track_at},
    usage::Usage,
    visibility::probe,
};

/// How many batches are sent before anything is measured.
const WARM_UP_BATCHES: usize = 20;
/// How many tenants the probes of visibility go to.
const PROBED: usize = 10;
/// How many connections commands come over while it is probed what is visible.
const HALF_THE_LOAD: usize = 16;
/// How many connections commands to one or two processes come over.
const TO_PROCESSES: usize = 16;

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    Tracking,
    Rebuilding,
    Commands,
    Processes,
}

/// Measures `parts`, or everything if none is named, and prints it.
pub(super) async fn run(size: &Size, parts: &[Part], json: Option<&Path>) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let postgres = Postgres::new(server.postgres_url()?);
    let machine = format!("{}, {}", machine(), postgres.describe().await?);
    let ready =
        format!("The server was ready {:.1} s after its first start.", server.ready_after.as_secs_f64());
    let bearer = server.sign_in().await?;
    let mut run =
        Run { size, server, bearer, postgres, figures: vec![], measurements: vec![], notes: vec![ready] };
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    if wanted(Part::Tracking) {
        run.tracking().await?;
    }
    if wanted(Part::Rebuilding) {
        run.rebuilding().await?;
    }
    if wanted(Part::Commands) {
        run.commands().await?;
    }
    if wanted(Part::Processes) {
        run.processes().await?;
    }
    run.growth();
    run.memory();
    let Run { server, figures, measurements, notes, .. } = run;
    server.stop()?;
    let report = Report { machine, quick: size.quick, figures, measurements, notes };
    report.print();
    json.map_or(Ok(()), |file| report.write(file))
}

struct Run<'a> {
    size: &'a Size,
    server: Server,
    /// The demo tenant's owner, signed in.
    bearer: String,
    postgres: Postgres,
    figures: Vec<Figure>,
    measurements: Vec<Measurement>,
    notes: Vec<String>,
}

impl Run<'_> {
    /// Tracked events over HTTP, and COPY into the same table before and after them.
    async fn tracking(&mut self) -> anyhow::Result<()> {
        let (tenant, rows) = (self.server.demo.tenant, self.size.copied_rows);
        let before = self.postgres.tracked(tenant).await?;
        let mut sent = track(&self.server, self.size, "warm-up", 4, WARM_UP_BATCHES).await?.count;
        repeat(&self.server, "warm-up").await?;
        self.postgres.caught_up().await?;

        let mut connection = self.postgres.connect().await?;
        let template = Rows::tracked(&mut connection, tenant).await?;
        copy_in(&mut connection, &template, rows / 4, rows).await?;
        let first = copy_in(&mut connection, &template, rows, rows).await?;
        let first = self.record("COPY in, one transaction", "rows/s", first);
        let small = copy_in(&mut connection, &template, rows / 2, BATCH).await?;
        self.record("COPY in, 500 rows a transaction", "rows/s", small);

        let mut best: Option<Measurement> = None;
        for &connections in self.size.tracking {
            let (what, series) =
                (format!("tracked events, {connections} connections"), format!("c{connections}"));
            let done = track(&self.server, self.size, &series, connections, self.size.batches).await?;
            sent += done.count;
            let tracked = self.record(&what, "events/s", done);
            let seconds = tracked.seconds + self.seconds_to_catch_up().await?;
            let rate = tracked.count as f64 / seconds;
            self.notes.push(format!("{what}: {rate:.0} events/s until the read models had them, too."));
            best = Some(faster(best, tracked));
        }
        let last = copy_in(&mut connection, &template, rows, rows).await?;
        let last = self.record("COPY in, one transaction", "rows/s", last);

        let kept = self.postgres.tracked(tenant).await?;
        ensure!(kept == before + sent, "of {sent} accepted events the journal has {}", kept - before);
        let used = Usage::read(&self.server, &self.bearer).await?.total;
        ensure!(used == kept, "the journal has {kept} tracked events, and {used} are counted as used");
        self.ratio("tracked events over HTTP, batches of 500", best, first.rate.max(last.rate), 0.35, 0.6);
        Ok(())
    }

    /// Rebuilds, and COPY of the same events out of the journal.
    async fn rebuilding(&mut self) -> anyhow::Result<()> {
        let tenant = self.server.demo.tenant;
        let events = self.postgres.events(&[tenant]).await?;
        let mut connection = self.postgres.connect().await?;
        let mut copied = 0.0_f64;
        for _ in 0..3 {
            let out = copy_out(&mut connection, tenant).await?;
            ensure!(out.count == events, "COPY read {} of {events} events", out.count);
            copied = copied.max(self.record("COPY out", "rows/s", out).rate);
        }
        let before = Usage::read(&self.server, &self.bearer).await?;
        let mut of_usage = None;
        for projection in ["audit", "tracked_events", "usage"] {
            let rebuilt = rebuild(&self.server, projection, tenant, events).await?;
            of_usage = Some(self.record(&format!("rebuild of {projection}"), "events/s", rebuilt));
        }
        let after = Usage::read(&self.server, &self.bearer).await?;
        ensure!(after == before, "rebuilding has changed the usage from {before:?} to {after:?}");
        self.ratio("rebuild of a projection (usage)", of_usage, copied, 0.25, 0.5);
        Ok(())
    }

    /// New tenants, commands to them and to one of them, stock postgres-es, and visibility at half the load.
    async fn commands(&mut self) -> anyhow::Result<()> {
        let Size { tenants, commanding, commands, load, warm_up, probes, .. } = *self.size;
        let bearer = self.bearer.clone();
        found(&self.server, &bearer, "warm-up", tenants / 10).await?;
        let (founded, done) = found(&self.server, &bearer, "company", tenants + PROBED).await?;
        let new = self.record("new tenants, until readable", "tenants/s", done);
        let (all, probed) = founded.split_at(tenants);

        let most = commanding.iter().copied().max().unwrap_or_default();
        let stock = Stock::new(&self.postgres, most).await?;
        stock.run(most, commands, warm_up).await?;
        let mut peer = self.stock(&stock).await?;
        let (mut spread, mut single) = (None, None);
        for &connections in commanding {
            spread = Some(faster(spread, self.load("all tenants", all, connections).await?));
            single = Some(faster(single, self.load("one tenant", &all[..1], connections).await?));
        }
        peer = peer.max(self.stock(&stock).await?);

        let rate = spread.as_ref().map(|spread| spread.rate / 2.0);
        let half = Amount { connections: HALF_THE_LOAD, commands, time: load, rate };
        let address = [self.server.address];
        let (loaded, visible) = tokio::try_join!(
            run_commands(&address, &bearer, all, half),
            probe(&self.server, &bearer, probed, probes, load),
        )?;
        self.record("commands, all tenants, at half the load", "commands/s", loaded);
        let visible = self.record("commit to visible, at half the load", "probes/s", visible);
        self.postgres.caught_up().await?;

        self.ratio("single-event commands over HTTP, 200 tenants", spread, peer, 1.5, 3.0);
        self.ratio("the same, one tenant", single, peer, 1.0, 2.0);
        self.p99("commit to visible in a read model, at half load, p99", &visible, 250.0, 100.0);
        self.p99("new tenant, ready to use, p99", &new, 100.0, 50.0);
        Ok(())
    }

    /// The peer of commands, with each number of tasks; the best rate.
    async fn stock(&mut self, stock: &Stock) -> anyhow::Result<f64> {
        let Size { commanding, commands, load, .. } = *self.size;
        let mut best = 0.0_f64;
        for &tasks in commanding {
            let done = stock.run(tasks, commands, load).await?;
            let what = format!("stock postgres-es, 200 aggregates, {tasks} tasks");
            best = best.max(self.record(&what, "commands/s", done).rate);
        }
        Ok(best)
    }

    /// Commands as fast as they are answered; each must have made one event.
    async fn load(
        &mut self,
        whose: &str,
        tenants: &[TenantId],
        connections: usize,
    ) -> anyhow::Result<Measurement> {
        let Size { commands, load, warm_up, .. } = *self.size;
        let (address, full) =
            ([self.server.address], Amount { connections, commands, time: load, rate: None });
        run_commands(&address, &self.bearer, tenants, Amount { time: warm_up, ..full }).await?;
        self.postgres.caught_up().await?;
        let before = self.postgres.events(tenants).await?;
        let done = run_commands(&address, &self.bearer, tenants, full).await?;
        let events = self.postgres.events(tenants).await? - before;
        ensure!(events == done.count, "{} commands made {events} events", done.count);
        let what = format!("commands, {whose}, {connections} connections");
        let loaded = self.record(&what, "commands/s", done);
        let seconds = self.seconds_to_catch_up().await?;
        self.notes.push(format!("{what}: the read models had them {seconds:.1} s after the last answer."));
        Ok(loaded)
    }

    /// Two processes that write to one tenant, compared with one: the same load over the same number of connections.
    async fn processes(&mut self) -> anyhow::Result<()> {
        let Size { batches, commands, load, warm_up, .. } = *self.size;
        let second = Second::start(&self.server).await?;
        let tenant = [self.server.demo.tenant];
        let full = Amount { connections: TO_PROCESSES, commands, time: load, rate: None };
        let counts: [&[_]; 2] = [&[self.server.address], &[self.server.address, second.address]];
        for (round, processes) in counts.into_iter().cycle().take(4).enumerate() {
            let count = processes.len();
            let of_them = format!("{count} process{}, one tenant", if count == 1 { "" } else { "es" });
            let series = format!("processes-{round}");
            let done = track_at(processes, &self.server, self.size, &series, 4, batches).await?;
            self.record(&format!("tracked events, {of_them}, 4 connections"), "events/s", done);
            self.postgres.caught_up().await?;
            run_commands(processes, &self.bearer, &tenant, Amount { time: warm_up, ..full }).await?;
            let done = run_commands(processes, &self.bearer, &tenant, full).await?;
            self.record(&format!("commands, {of_them}, {TO_PROCESSES} connections"), "commands/s", done);
            self.postgres.caught_up().await?;
        }
        Ok(())
    }

    /// What this does not measure, because it takes ten million events: the benchmark `growth` does.
    fn growth(&mut self) {
        self.figures.push(Figure {
            what: "append cost at 10 M events and 10 k tenants, to 100 k and 10",
            measured: None,
            unit: "x",
            peer: None,
            goal: Goal::Within { least: 1.3, aim: 1.1 },
            latencies: None,
        });
    }

    fn memory(&mut self) {
        let memory = Memory::of(self.server.process());
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        self.figures.push(Figure {
            what: "server memory under full load, at its highest",
            measured: memory.map(|memory| megabytes(memory.peak)),
            unit: "MB",
            peer: None,
            goal: Goal::Within { least: 300.0, aim: 150.0 },
            latencies: None,
        });
        if let Some(memory) = memory {
            self.notes.push(format!("server memory at the end: {:.0} MB.", megabytes(memory.resident)));
        }
    }

    #[expect(clippy::print_stderr, reason = "it takes minutes, and should show that it goes on")]
    fn record(&mut self, what: &str, unit: &'static str, done: Done) -> Measurement {
        let memory = Memory::of(self.server.process()).map(|memory| memory.resident);
        let measurement = Measurement::new(what.to_owned(), unit, done, memory);
        eprintln!("{what}: {:.0} {unit}", measurement.rate);
        self.measurements.push(measurement.clone());
        measurement
    }

    async fn seconds_to_catch_up(&self) -> anyhow::Result<f64> {
        let start = Instant::now();
        self.postgres.caught_up().await?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn ratio(&mut self, what: &'static str, ours: Option<Measurement>, peer: f64, least: f64, aim: f64) {
        self.figures.push(Figure {
            what,
            measured: ours.as_ref().map(|ours| ours.rate),
            unit: ours.as_ref().map_or("", |ours| ours.unit),
            peer: Some(peer),
            goal: Goal::TimesPeer { least, aim },
            latencies: ours.and_then(|ours| ours.latencies),
        });
    }

    fn p99(&mut self, what: &'static str, ours: &Measurement, least: f64, aim: f64) {
        let latencies = ours.latencies;
        let measured = latencies.map(|latencies| latencies.p99.as_secs_f64() * 1e3);
        self.figures.push(Figure {
            what,
            measured,
            unit: "ms",
            peer: None,
            goal: Goal::Within { least, aim },
            latencies,
        });
    }
}

/// What was faster, of the best so far and the next.
fn faster(best: Option<Measurement>, next: Measurement) -> Measurement {
    best.filter(|best| best.rate >= next.rate).unwrap_or(next)
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    format!("{cores} cores ({})", model.unwrap_or(std::env::consts::ARCH))
}
