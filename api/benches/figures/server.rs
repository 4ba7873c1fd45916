//! The server: the real binary with its private PostgreSQL, in a directory that is removed afterwards.

use std::{
    env, fs,
    fs::{File, Permissions},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use domain::ids::TenantId;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::measure::client::{Connection, request};

/// How long the server may take to be ready, PostgreSQL's first start included.
const READY: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(40);

/// A running server. Dropping it stops it, and its PostgreSQL with it.
pub(super) struct Server {
    process: Child,
    directory: TempDir,
    /// Where it serves HTTP.
    pub(super) address: SocketAddr,
    /// What it came with.
    pub(super) demo: Demo,
    /// From its start to its readiness.
    pub(super) ready_after: Duration,
}

/// The demo tenant, as `annals serve --demo` leaves it in the data directory.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Demo {
    pub(super) tenant: TenantId,
    pub(super) api_key: String,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(super) async fn start() -> anyhow::Result<Self> {
        // On the disk that the checkout is on: in memory, where /tmp may be, a durable commit costs nothing. PostgreSQL
        // runs as another user if this is root, and has to pass through.
        let directory = tempfile::Builder::new()
            .prefix("figures-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let start = Instant::now();
        let log = File::create(directory.path().join("server.log"))?;
        let process = command(directory.path())
            .args(["serve", "--demo"])
            .env("ANNALS_BIND", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("can't start the server")?;
        let demo = Demo { tenant: TenantId::PLATFORM, api_key: String::new() };
        let mut server = Self { process, directory, address, demo, ready_after: Duration::ZERO };
        server.become_ready(start).await?;
        server.ready_after = start.elapsed();
        let demo = fs::read_to_string(server.data_directory().join("demo.json")).context("no demo.json")?;
        server.demo = serde_json::from_str(&demo)?;
        Ok(server)
    }

    /// Another command of the same installation.
    pub(super) fn command(&self) -> Command {
        command(self.directory.path())
    }

    /// The URL of its PostgreSQL, as the superuser.
    pub(super) fn postgres_url(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.data_directory().join("postgres-url"))?.trim().to_owned())
    }

    /// Its process.
    pub(super) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Signs in as the demo tenant's owner: the value of an `Authorization` header.
    pub(super) async fn sign_in(&self) -> anyhow::Result<String> {
        let body = json!({ "email": "ada@demo.example", "password": "annals-demo" }).to_string();
        let mut connection = Connection::open(self.address).await?;
        let answer =
            connection.send(&request("POST", "/v1/auth/login", "", &body)).await?.succeeded()?.json()?;
        let token = answer["access_token"].as_str().or(answer["data"]["access_token"].as_str());
        Ok(format!("Bearer {}", token.context("a login without an access token")?))
    }

    /// Stops it in order.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.end();
        let status = self.process.try_wait()?.context("the server does not stop")?;
        ensure!(status.success(), "the server ended with {status}: {}", self.last_words());
        Ok(())
    }

    async fn become_ready(&mut self, start: Instant) -> anyhow::Result<()> {
        loop {
            if let Ok(mut connection) = Connection::open(self.address).await
                && let Ok(answer) = connection.send(&request("GET", "/health/ready", "", "")).await
                && answer.status == 200
            {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status}: {}", self.last_words());
            }
            ensure!(start.elapsed() < READY, "the server does not become ready: {}", self.last_words());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn data_directory(&self) -> PathBuf {
        data_directory(self.directory.path())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn end(&mut self) {
        let deadline = Instant::now() + STOP;
        while matches!(self.process.try_wait(), Ok(None)) {
            // Repeated: a server that is just starting may not listen for signals yet.
            let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
            if Instant::now() > deadline {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        // Root's data directory may be where PostgreSQL's user can't get; its files are then elsewhere.
        if let Ok(elsewhere) = fs::read_to_string(self.data_directory().join("postgres-location")) {
            let _ = fs::remove_dir_all(elsewhere.trim_end());
        }
    }
}

/// The binary, with nothing configured but what it must be: whoever runs this may have a server of their own.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    let ours =
        |name: &str| name.starts_with("ANNALS_") || ["DATABASE_URL", "REDIS_URL", "SMTP_URL"].contains(&name);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(directory)
        .env("ANNALS_DATA_DIR", data_directory(directory))
        .env("ANNALS_LOG", "warn");
    command
}

fn data_directory(directory: &Path) -> PathBuf {
    directory.join("data")
}
