//! Commands of one event each, over HTTP: a member creates workspaces.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::ensure;
use domain::ids::TenantId;

use super::{
    measure::{
        client::{Answer, request},
        load::{Lane, run},
        stopwatch::Done,
    },
    server::Server,
};

/// How many connections commands come over.
const CONNECTIONS: usize = 16;

/// The command for one tenant.
pub(super) fn command(tenant: TenantId, bearer: &str) -> Vec<u8> {
    request("POST", &format!("/v1/tenants/{tenant}/workspaces"), bearer, r#"{"name":"Load"}"#)
}

/// Sends `commands` to the tenants in turn, or what the time allows; at `rate` a second if there is one.
pub(super) async fn run_commands(
    server: &Server,
    bearer: &str,
    tenants: &[TenantId],
    commands: usize,
    time: Duration,
    rate: Option<f64>,
) -> anyhow::Result<Done> {
    run_commands_at(&[server.address], bearer, tenants, commands, time, rate).await
}

/// The same to several processes of an installation, in turn.
pub(super) async fn run_commands_at(
    processes: &[SocketAddr],
    bearer: &str,
    tenants: &[TenantId],
    commands: usize,
    time: Duration,
    rate: Option<f64>,
) -> anyhow::Result<Done> {
    let requests: Vec<Arc<[u8]>> = tenants.iter().map(|tenant| command(*tenant, bearer).into()).collect();
    let pace = rate.map(|rate| Duration::from_secs_f64(CONNECTIONS as f64 / rate));
    let lane = |connection: usize| {
        // A connection has tenants of its own, as a task of the peer has aggregates; with too few, all have all.
        let own: Vec<_> = match requests.len() >= CONNECTIONS {
            true => requests.iter().skip(connection).step_by(CONNECTIONS).cloned().collect(),
            false => requests.clone(),
        };
        Lane { requests: own.into_iter().cycle().take(commands / CONNECTIONS), pace }
    };
    let lanes = (0..CONNECTIONS).map(lane).collect();
    run(processes, lanes, time, created).await
}

fn created(answer: &Answer<'_>) -> anyhow::Result<u64> {
    let Answer { status, body, .. } = answer;
    ensure!(*status == 201, "the server answered {status}: {}", String::from_utf8_lossy(body));
    answer.position()?;
    Ok(1)
}
