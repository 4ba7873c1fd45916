//! A second process of the server's installation, that answers requests and does nothing else.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    measure::client::{Connection, request},
    server::Server,
};

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(20);

/// A running `annals api`. Dropping it ends it.
pub(super) struct Second {
    process: Child,
    /// Where it serves HTTP.
    pub(super) address: SocketAddr,
}

impl Second {
    /// Starts one beside a server, on the same PostgreSQL and with the same keys, and waits until it is ready.
    pub(super) async fn start(server: &Server) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = server
            .command()
            .arg("api")
            .env("ANNALS_BIND", address.to_string())
            .env("DATABASE_URL", server.postgres_url()?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("can't start a second process")?;
        let second = Self { process, address };
        let begun = Instant::now();
        while !is_ready(address).await {
            ensure!(begun.elapsed() < READY, "the second process does not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(second)
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    connection.send(&request("GET", "/health/ready", "", "")).await.is_ok_and(|answer| answer.status == 200)
}

impl Drop for Second {
    fn drop(&mut self) {
        // It holds nothing that would have to be finished.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
