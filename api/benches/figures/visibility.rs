//! From a commit's acknowledgement to its visibility in a read model.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use domain::ids::TenantId;

use super::{
    measure::{
        client::{Connection, request},
        command::command,
        quantiles::Latencies,
        stopwatch::{Done, Stopwatch},
    },
    server::Server,
};

/// Between two probes, so that they are a small part of the load.
const PAUSE: Duration = Duration::from_millis(5);

/// Creates workspaces, `count` of them or what the time allows, and times how long each takes after its acknowledgement
/// to be readable at the position that was acknowledged.
pub(super) async fn probe(
    server: &Server,
    bearer: &str,
    tenants: &[TenantId],
    count: usize,
    time: Duration,
) -> anyhow::Result<Done> {
    let mut connection = Connection::open(server.address).await?;
    let mut latencies = Latencies::default();
    let stopwatch = Stopwatch::start();
    for tenant in tenants.iter().cycle().take(count) {
        if stopwatch.elapsed() >= time {
            break;
        }
        let answer = connection.send(&command(*tenant, bearer)).await?.succeeded()?;
        let acknowledged = Instant::now();
        let (position, answer) = (answer.position()?, answer.json()?);
        let id = answer["data"]["id"].as_str().context("a workspace without an id")?;
        let path = format!("/v1/tenants/{tenant}/workspaces/{id}?min_position={position}");
        let answer = connection.send(&request("GET", &path, bearer, "")).await?.succeeded()?;
        latencies.push(acknowledged.elapsed());
        ensure!(answer.position()? >= position, "{path} was answered as of position {}", answer.position()?);
        ensure!(answer.json()?["data"]["id"] == id, "{path} is another workspace");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(stopwatch.stop(latencies.len() as u64, latencies))
}
