//! Commands of one event each, over HTTP: a member creates workspaces.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::ensure;
use domain::ids::TenantId;

use super::measure::{
    client::{Answer, request},
    load::{Lane, run},
    stopwatch::Done,
};

/// How much is sent at once, and at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub(super) connections: usize,
    pub(super) commands: usize,
    pub(super) time: Duration,
    /// Commands a second; nothing for as fast as they are answered.
    pub(super) rate: Option<f64>,
}

/// The command for one tenant.
pub(super) fn command(tenant: TenantId, bearer: &str) -> Vec<u8> {
    request("POST", &format!("/v1/tenants/{tenant}/workspaces"), bearer, r#"{"name":"Load"}"#)
}

/// Sends commands to the tenants in turn, over connections to the server's processes in turn.
pub(super) async fn run_commands(
    processes: &[SocketAddr],
    bearer: &str,
    tenants: &[TenantId],
    amount: Amount,
) -> anyhow::Result<Done> {
    let Amount { connections, commands, time, rate } = amount;
    let requests: Vec<Arc<[u8]>> = tenants.iter().map(|tenant| command(*tenant, bearer).into()).collect();
    let pace = rate.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
    let lane = |connection: usize| {
        // A connection has tenants of its own, as a task of the peer has aggregates; with too few, all have all.
        let own: Vec<_> = match requests.len() >= connections {
            true => requests.iter().skip(connection).step_by(connections).cloned().collect(),
            false => requests.clone(),
        };
        Lane { requests: own.into_iter().cycle().take(commands / connections), pace }
    };
    let lanes = (0..connections).map(lane).collect();
    run(processes, lanes, time, created).await
}

fn created(answer: &Answer<'_>) -> anyhow::Result<u64> {
    let Answer { status, body, .. } = answer;
    ensure!(*status == 201, "the server answered {status}: {}", String::from_utf8_lossy(body));
    answer.position()?;
    Ok(1)
}
