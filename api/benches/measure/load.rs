//! Load: connections that each send one request after the other, as fast as they are answered or at a pace.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Barrier, task::JoinSet, time::MissedTickBehavior};

use super::{
    client::{Answer, Connection},
    quantiles::Latencies,
    stopwatch::{Done, Stopwatch},
};

/// What one connection sends.
pub(crate) struct Lane<R> {
    /// Its requests.
    pub(crate) requests: R,
    /// How long after one request began the next one may; nothing for as soon as it is answered.
    pub(crate) pace: Option<Duration>,
}

/// What one of `lanes` lanes has of all there is: a part of its own, or with too little for that all of it.
pub(crate) fn part<T: Clone>(all: &[T], lane: usize, lanes: usize) -> Vec<T> {
    match all.len() >= lanes {
        true => all.iter().skip(lane).step_by(lanes).cloned().collect(),
        false => all.to_vec(),
    }
}

/// Sends each lane's requests over a connection of its own, to the servers in turn, until they or the time have run
/// out. `count` looks at each answer; its failure ends the run.
pub(crate) async fn run<R, B>(
    servers: &[SocketAddr],
    lanes: Vec<Lane<R>>,
    time: Duration,
    count: fn(&Answer<'_>) -> anyhow::Result<u64>,
) -> anyhow::Result<Done>
where
    R: Iterator<Item = B> + Send + 'static,
    B: AsRef<[u8]> + Send,
{
    let begin = Arc::new(Barrier::new(lanes.len() + 1));
    let mut tasks = JoinSet::new();
    for (lane, server) in lanes.into_iter().zip(servers.iter().cycle()) {
        let (begin, connection) = (Arc::clone(&begin), Connection::open(*server).await?);
        tasks.spawn(async move {
            begin.wait().await;
            send(connection, lane, time, count).await
        });
    }
    begin.wait().await;
    let stopwatch = Stopwatch::start();
    let (mut counted, mut latencies) = (0, Latencies::default());
    while let Some(lane) = tasks.join_next().await {
        let lane = lane??;
        counted += lane.0;
        latencies.append(lane.1);
    }
    Ok(stopwatch.stop(counted, latencies))
}

async fn send<R, B>(
    mut connection: Connection,
    lane: Lane<R>,
    time: Duration,
    count: fn(&Answer<'_>) -> anyhow::Result<u64>,
) -> anyhow::Result<(u64, Latencies)>
where
    R: Iterator<Item = B>,
    B: AsRef<[u8]>,
{
    let start = Instant::now();
    let (mut counted, mut latencies) = (0, Latencies::default());
    let mut pace = lane.pace.map(tokio::time::interval);
    if let Some(pace) = &mut pace {
        // A request that took long does not slow the load down.
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    }
    for request in lane.requests {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let sent = Instant::now();
        if sent - start >= time {
            break;
        }
        let answer = connection.send(request.as_ref()).await?;
        latencies.push(sent.elapsed());
        counted += count(&answer)?;
    }
    Ok((counted, latencies))
}
