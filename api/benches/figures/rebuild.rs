//! Replaying a journal into a read model, through the command line, beside the running server.

use std::{process::Stdio, time::Duration};

use anyhow::{bail, ensure};
use domain::ids::TenantId;

use super::{
    measure::{
        quantiles::Latencies,
        stopwatch::{Done, Stopwatch},
    },
    server::Server,
};

/// How long a rebuild may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rebuilds one projection of one tenant, whose journal has `events`. The process's own start is part of the time.
pub(super) async fn rebuild(
    server: &Server,
    projection: &str,
    tenant: TenantId,
    events: u64,
) -> anyhow::Result<Done> {
    let stopwatch = Stopwatch::start();
    let mut process = server
        .command()
        .args(["rebuild", "--projection", projection, "--tenant", &tenant.to_string()])
        .stdin(Stdio::null())
        .spawn()?;
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        if stopwatch.elapsed() > PATIENCE {
            process.kill()?;
            process.wait()?;
            bail!("rebuilding {projection} takes more than {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    ensure!(status.success(), "rebuilding {projection} ended with {status}");
    Ok(stopwatch.stop(events, Latencies::default()))
}
