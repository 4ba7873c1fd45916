//! New tenants: founded, and read back from the read model.

use std::time::Instant;

use anyhow::{Context, ensure};
use domain::ids::TenantId;
use serde_json::json;

use super::{
    measure::{
        client::{Connection, request},
        quantiles::Latencies,
        stopwatch::{Done, Stopwatch},
    },
    server::Server,
};

/// Founds tenants one after the other, and waits for each until it can be read.
pub(super) async fn found(
    server: &Server,
    bearer: &str,
    series: &str,
    count: usize,
) -> anyhow::Result<(Vec<TenantId>, Done)> {
    let mut connection = Connection::open(server.address).await?;
    let (mut tenants, mut latencies) = (Vec::new(), Latencies::default());
    let stopwatch = Stopwatch::start();
    for number in 0..count {
        let name = format!("Figures {series} {number}");
        let body = json!({ "name": name }).to_string();
        let sent = Instant::now();
        let answer = connection.send(&request("POST", "/v1/tenants", bearer, &body)).await?.succeeded()?;
        let position = answer.position()?;
        let tenant: TenantId =
            answer.json()?["data"]["id"].as_str().context("a tenant without an id")?.parse()?;
        let path = format!("/v1/tenants/{tenant}?min_position={position}");
        let answer = connection.send(&request("GET", &path, bearer, "")).await?.succeeded()?;
        latencies.push(sent.elapsed());
        ensure!(answer.json()?["data"]["name"] == *name, "{path} is not called {name}");
        tenants.push(tenant);
    }
    Ok((tenants, stopwatch.stop(count as u64, latencies)))
}
