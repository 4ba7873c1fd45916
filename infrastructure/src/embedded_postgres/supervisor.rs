//! Keeps PostgreSQL running: starts it again when it dies although nobody stopped it, and stops it when asked.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnectOptions;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Cluster;
use super::error::{EmbeddedPostgresError, io_error};
use super::lock::DataDirectoryLock;
use super::log::Log;
use super::ready::wait_until_ready;

/// How PostgreSQL is stopped, and how long each way may take: a fast shutdown closes the connections and writes
/// everything; an immediate one leaves recovery to the next start; the last resort is not PostgreSQL's to refuse.
const WAYS_TO_STOP: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// After this time, a death is a new problem rather than the last one again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// How long the backends of a killed postmaster may take to notice, which keeps the next one from starting.
const TO_NOTICE: Duration = Duration::from_secs(15);

/// The supervised postmaster.
#[derive(Debug)]
pub(super) struct Supervisor {
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    running: Running,
}

impl Supervisor {
    /// Starts PostgreSQL and waits until it answers.
    pub(super) async fn start(
        cluster: Cluster,
        lock: DataDirectoryLock,
        options: &PgConnectOptions,
    ) -> Result<Supervisor, EmbeddedPostgresError> {
        // Made first, so that dropping this future, too, asks what it started to stop.
        let mut supervisor = Supervisor { stop: None, task: None, running: Running::default() };
        let child = start_first(&cluster, &supervisor.running, options).await?;
        let (stop, stopped) = oneshot::channel();
        let running = supervisor.running.clone();
        supervisor.stop = Some(stop);
        supervisor.task = Some(tokio::spawn(async move {
            supervise(&cluster, child, &running, stopped).await;
            // Only now may another server have the directory.
            drop(lock);
        }));
        Ok(supervisor)
    }

    /// Stops PostgreSQL and waits until it has stopped.
    pub(super) async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the supervisor of PostgreSQL failed");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // The task does it, too, but not if the runtime ends before its turn comes.
        self.running.signal(Signal::SIGINT);
    }
}

/// The process id of the running postmaster, zero if there is none.
#[derive(Debug, Clone, Default)]
struct Running(Arc<AtomicI32>);

impl Running {
    fn signal(&self, signal: Signal) {
        let pid = self.0.load(Ordering::Acquire);
        if pid > 0 {
            // It may have ended meanwhile, which is what was wanted.
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    fn spawn(&self, cluster: &Cluster) -> Result<(Child, Log), EmbeddedPostgresError> {
        cluster.clear()?;
        let (command, log) = cluster.command()?;
        let child = Command::from(command)
            .spawn()
            .map_err(io_error("could not run PostgreSQL in", cluster.home()))?;
        self.0.store(child.id().map_or(0, |pid| pid.cast_signed()), Ordering::Release);
        Ok((child, log))
    }

    async fn wait(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let status = child.wait().await;
        self.0.store(0, Ordering::Release);
        status
    }
}

async fn start_first(
    cluster: &Cluster,
    running: &Running,
    options: &PgConnectOptions,
) -> Result<Child, EmbeddedPostgresError> {
    let begin = Instant::now();
    loop {
        let (mut child, log) = running.spawn(cluster)?;
        match wait_until_ready(&mut child, &log, options).await {
            Ok(()) => return Ok(child),
            Err(EmbeddedPostgresError::DidNotStart { tail, .. })
                if tail.contains("shared memory block") && begin.elapsed() < TO_NOTICE =>
            {
                sleep(SHORTEST_PAUSE).await;
            }
            Err(error) => {
                end(&mut child, running).await;
                return Err(error);
            }
        }
    }
}

async fn supervise(cluster: &Cluster, mut child: Child, running: &Running, mut stop: oneshot::Receiver<()>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let began = Instant::now();
        tokio::select! {
            status = running.wait(&mut child) => tracing::error!(?status, "PostgreSQL died; starting it again"),
            _ = &mut stop => return end(&mut child, running).await,
        }
        if began.elapsed() > HEALTHY_AFTER {
            pause = SHORTEST_PAUSE;
        }
        child = loop {
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut stop => return,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match running.spawn(cluster) {
                Ok((child, _)) => break child,
                Err(error) => tracing::error!(%error, "PostgreSQL could not be started again"),
            }
        };
    }
}

async fn end(child: &mut Child, running: &Running) {
    for (signal, patience) in WAYS_TO_STOP {
        running.signal(signal);
        match timeout(patience, running.wait(child)).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => return tracing::error!(%error, "could not wait for PostgreSQL to stop"),
            Err(_) => tracing::warn!(%signal, seconds = patience.as_secs(), "PostgreSQL has not stopped yet"),
        }
    }
}
