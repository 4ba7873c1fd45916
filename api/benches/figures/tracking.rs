//! Tracked events over HTTP, in batches.

use std::net::SocketAddr;

use anyhow::ensure;

use super::{
    measure::{
        client::{Answer, Connection, request},
        event::{BATCH, batch},
        load::{Lane, run},
        stopwatch::Done,
    },
    server::Server,
    size::Size,
};

/// Sends batches of new events over `connections` connections; `series` tells these events from all others.
pub(super) async fn track(
    server: &Server,
    size: &Size,
    series: &str,
    connections: usize,
    batches: usize,
) -> anyhow::Result<Done> {
    track_at(&[server.address], server, size, series, connections, batches).await
}

/// The same to several processes of the server's installation, in turn.
pub(super) async fn track_at(
    processes: &[SocketAddr],
    server: &Server,
    size: &Size,
    series: &str,
    connections: usize,
    batches: usize,
) -> anyhow::Result<Done> {
    let lane = |connection: usize| Lane {
        requests: (connection..batches)
            .step_by(connections)
            .map(|number| tracking(server, &batch(series, number)))
            .collect::<Vec<_>>()
            .into_iter(),
        pace: None,
    };
    let lanes = (0..connections).map(lane).collect();
    run(processes, lanes, size.load, all_accepted).await
}

/// Sends one batch of `series` a second time; nothing of it may be accepted.
pub(super) async fn repeat(server: &Server, series: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(server.address).await?;
    let answer = connection.send(&tracking(server, &batch(series, 0))).await?.succeeded()?.json()?;
    let (accepted, duplicates) = (&answer["data"]["accepted"], &answer["data"]["duplicates"]);
    ensure!(
        *accepted == 0 && *duplicates == BATCH,
        "sent twice, {accepted} accepted, {duplicates} duplicates"
    );
    Ok(())
}

fn tracking(server: &Server, body: &str) -> Vec<u8> {
    request("POST", "/v1/batch", &format!("Bearer {}", server.demo.api_key), body)
}

fn all_accepted(answer: &Answer<'_>) -> anyhow::Result<u64> {
    let Answer { status, body, .. } = answer;
    ensure!(*status == 200, "the server answered {status}: {}", String::from_utf8_lossy(body));
    let accepted = answer.json()?["data"]["accepted"].as_u64();
    ensure!(
        accepted == Some(BATCH as u64),
        "of {BATCH} new events not all accepted: {}",
        String::from_utf8_lossy(body)
    );
    Ok(BATCH as u64)
}
