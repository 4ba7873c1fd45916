//! One installation's turn: the same load for each.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use domain::ids::TenantId;
use sqlx::{Executor, PgConnection};

use super::{
    measure::{
        client::{Answer, request},
        command::{command, created},
        event::{BATCH, batch},
        load::{Lane, part, run},
        quantiles::Quantiles,
        stopwatch::Done,
    },
    site::Site,
};

/// How many connections commands come over, each to tenants of its own if there are enough: a tenant's commands wait for
/// each other.
const COMMANDING: usize = 8;
/// How many they come over when there are many.
const MANY: usize = 32;
/// How many tenants have the load of those that are in use, whatever else there is.
const IN_USE: usize = 10;
/// How many connections batches come over, likewise.
const TRACKING: usize = 4;
/// How long read models may take to catch up before the next load.
const CATCH_UP: Duration = Duration::from_secs(60);

/// What was measured under one kind of load.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) what: &'static str,
    /// Events a second.
    pub(super) rate: f64,
    pub(super) latencies: Option<Quantiles>,
    /// Processor time that the server took for each event, in seconds.
    pub(super) server: f64,
    /// The same of PostgreSQL.
    pub(super) postgres: f64,
    /// Bytes of write-ahead log for each event, whatever wrote them meanwhile.
    pub(super) wal: f64,
    /// Images of whole pages in it, for each event.
    pub(super) images: f64,
    /// What the server has resident, in bytes.
    pub(super) memory: u64,
}

/// Single commands, to as many tenants as the small installation has and to all there are in turn, and batches; right after
/// a checkpoint and then once more, when most pages have been touched.
pub(super) async fn take(site: &mut Site, time: Duration) -> anyhow::Result<Vec<Measured>> {
    // Messages that an earlier run has not sent to an installation that was kept.
    let number = chrono::Utc::now().timestamp_micros();
    let bearer = site.sign_in().await?;
    let mut owner = site.connect().await;
    let (tenants, mut all) = (site.tenants.clone(), Vec::new());
    let load = |tenants, connections| commands(site.address, tenants, &bearer, connections, time);
    let in_use = &tenants[..IN_USE];
    load(in_use, COMMANDING).await?;
    all.push(measure(site, &mut owner, "commands to 10 tenants", load(in_use, COMMANDING)).await?);
    owner.execute("CHECKPOINT").await?;
    let what = "commands to all, after a checkpoint";
    all.push(measure(site, &mut owner, what, load(&tenants, COMMANDING)).await?);
    all.push(measure(site, &mut owner, "commands to all, later", load(&tenants, COMMANDING)).await?);
    let what = "commands to all, 32 connections";
    all.push(measure(site, &mut owner, what, load(&tenants, MANY)).await?);
    caught_up(&mut owner).await?;
    batches(site, &format!("{number}-warm"), time / 4).await?;
    owner.execute("CHECKPOINT").await?;
    let (first, second) = (format!("{number}-a"), format!("{number}-b"));
    all.push(
        measure(site, &mut owner, "batches of 500, after a checkpoint", batches(site, &first, time)).await?,
    );
    all.push(measure(site, &mut owner, "batches of 500, later", batches(site, &second, time)).await?);
    caught_up(&mut owner).await?;
    Ok(all)
}

async fn measure(
    site: &Site,
    owner: &mut PgConnection,
    what: &'static str,
    load: impl Future<Output = anyhow::Result<Done>>,
) -> anyhow::Result<Measured> {
    let before = written(owner).await?;
    let done = load.await?;
    let after = written(owner).await?;
    let (rate, count) = (done.rate(), done.count as f64);
    Ok(Measured {
        what,
        rate,
        latencies: done.latencies.quantiles(),
        server: done.cores.server / rate,
        postgres: done.cores.postgres / rate,
        wal: (after.0 - before.0) / count,
        images: (after.1 - before.1) / count,
        memory: site.memory(),
    })
}

/// Bytes and images of pages that were written to the log so far.
async fn written(owner: &mut PgConnection) -> anyhow::Result<(f64, f64)> {
    let written =
        "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8, (SELECT wal_fpi::float8 FROM pg_stat_wal)";
    Ok(sqlx::query_as(written).fetch_one(owner).await?)
}

/// Commands to the tenants in turn.
async fn commands(
    address: SocketAddr,
    tenants: &[TenantId],
    bearer: &str,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Done> {
    let lane = |connection: usize| {
        let (own, bearer) = (part(tenants, connection, connections), bearer.to_owned());
        Lane { requests: own.into_iter().cycle().map(move |tenant| command(tenant, &bearer)), pace: None }
    };
    run(&[address], (0..connections).map(lane).collect(), time, created).await
}

async fn batches(site: &Site, series: &str, time: Duration) -> anyhow::Result<Done> {
    let lane = |connection: usize| {
        let own = part(&site.keys, connection, TRACKING);
        let series = format!("{series}-{connection}");
        let send = move |(number, key): (usize, String)| {
            request("POST", "/v1/batch", &format!("Bearer {key}"), &batch(&series, number))
        };
        Lane { requests: own.into_iter().cycle().enumerate().map(send), pace: None }
    };
    run(&[site.address], (0..TRACKING).map(lane).collect(), time, accepted).await
}

fn accepted(answer: &Answer<'_>) -> anyhow::Result<u64> {
    let Answer { status, body, .. } = answer;
    ensure!(*status == 200, "the server answered {status}: {}", String::from_utf8_lossy(body));
    ensure!(
        answer.json()?["data"]["accepted"] == BATCH,
        "not all was new: {}",
        String::from_utf8_lossy(body)
    );
    Ok(BATCH as u64)
}

/// Waits until nothing is left to project.
async fn caught_up(owner: &mut PgConnection) -> anyhow::Result<()> {
    let begun = Instant::now();
    let question = "SELECT NOT EXISTS (SELECT FROM journal_heads AS head JOIN projection_checkpoints AS seen
                        USING (tenant_id) WHERE seen.position < head.position)";
    while !sqlx::query_scalar::<_, bool>(question).fetch_one(&mut *owner).await? {
        ensure!(begun.elapsed() < CATCH_UP, "read models do not catch up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
