//! Commands of one event each, over HTTP: a member creates workspaces.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use domain::ids::TenantId;

use super::measure::{
    command::{command, created},
    load::{Lane, part, run},
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
        let own = part(&requests, connection, connections);
        Lane { requests: own.into_iter().cycle().take(commands / connections), pace }
    };
    let lanes = (0..connections).map(lane).collect();
    run(processes, lanes, time, created).await
}
