//! A private PostgreSQL, run from the machine's own PostgreSQL programs, in the data directory.
//!
//! It is the default database of an installation that names none: nothing to install beyond the programs, nothing to
//! configure, reachable by nobody else. It listens on a Unix socket in a directory that only its account may enter,
//! never runs as root, is watched and restarted while the server lives, and stops with it. After a `kill -9` of the
//! server, the next start finds what was left running, stops it, and goes on.
//!
//! Everything in one directory, `postgres` in the data directory (or where `place` says):
//! `data` (the cluster), `socket`, `postgres.log`.

mod account;
mod cluster;
mod error;
mod lock;
mod log;
mod orphan;
mod place;
mod programs;
mod ready;
mod socket;
mod supervisor;

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor};
use tokio::task::{JoinError, spawn_blocking};

pub use self::error::EmbeddedPostgresError;

use self::cluster::Cluster;
use self::lock::DataDirectoryLock;
use self::supervisor::Supervisor;

/// The oldest major version of PostgreSQL that Annals runs on.
pub const OLDEST_MAJOR: u32 = 15;

/// The superuser of the private cluster.
const USER: &str = "annals";

/// The database that [`EmbeddedPostgres::connect_options`] leads to.
const DATABASE: &str = "annals";

/// What a crash of the machine may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: a commit is on the disk before it is acknowledged.
    Full,
    /// Everything: nothing waits for the disk. For tests and their throw-away clusters only.
    ForTests,
}

/// Where the private PostgreSQL keeps its files, and how.
#[derive(Debug, Clone)]
pub struct EmbeddedPostgresSettings {
    /// The server's data directory; made if it is missing.
    pub data_dir: PathBuf,
    /// What a crash of the machine may cost.
    pub durability: Durability,
}

impl EmbeddedPostgresSettings {
    /// Durable settings for a server's data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> EmbeddedPostgresSettings {
        EmbeddedPostgresSettings { data_dir: data_dir.into(), durability: Durability::Full }
    }
}

/// A running private PostgreSQL. [`stop`](EmbeddedPostgres::stop) it before the process ends; dropping it asks it to
/// shut down, too, but waits for nothing.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    directory: PathBuf,
    connect_options: PgConnectOptions,
    supervisor: Supervisor,
}

impl EmbeddedPostgres {
    /// Makes the cluster on first use, starts it, waits until it answers, and creates the database.
    ///
    /// # Errors
    /// Each says what to do about it; see [`EmbeddedPostgresError`].
    pub async fn start(
        settings: EmbeddedPostgresSettings,
    ) -> Result<EmbeddedPostgres, EmbeddedPostgresError> {
        let (lock, cluster) = spawn_blocking(move || prepare(&settings)).await.map_err(interrupted)??;
        let directory = cluster.home().to_owned();
        let maintenance = socket::connect_options(cluster.socket_dir());
        let supervisor = Supervisor::start(cluster, lock, &maintenance).await?;
        if let Err(error) = create_database(&maintenance).await {
            supervisor.stop().await;
            return Err(error);
        }
        Ok(EmbeddedPostgres { directory, connect_options: maintenance.database(DATABASE), supervisor })
    }

    /// How to connect, as the cluster's superuser, to the database `annals`.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.connect_options.clone()
    }

    /// The same as a URL, which sqlx and libpq (`psql URL`) understand.
    pub fn url(&self) -> String {
        let mut url = self.connect_options.to_url_lossy();
        // sqlx adds a parameter of its own, which libpq refuses.
        url.set_query(Some("sslmode=disable"));
        url.to_string()
    }

    /// Where the cluster, its socket and its log are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Shuts PostgreSQL down: connections are closed, transactions in progress are rolled back, everything is written.
    /// Takes half a minute at the very most, after which it is killed (and recovers on the next start).
    pub async fn stop(self) {
        self.supervisor.stop().await;
    }
}

fn prepare(
    settings: &EmbeddedPostgresSettings,
) -> Result<(DataDirectoryLock, Cluster), EmbeddedPostgresError> {
    let data_dir = place::make_data_dir(&settings.data_dir)?;
    let lock = DataDirectoryLock::acquire(&data_dir)?;
    let cluster = Cluster::prepare(&data_dir, settings.durability)?;
    Ok((lock, cluster))
}

async fn create_database(maintenance: &PgConnectOptions) -> Result<(), EmbeddedPostgresError> {
    let mut connection = maintenance.connect().await.map_err(EmbeddedPostgresError::CreateDatabase)?;
    // PostgreSQL has no CREATE DATABASE IF NOT EXISTS; the lock on the data directory keeps others out meanwhile.
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await
        .map_err(EmbeddedPostgresError::CreateDatabase)?;
    if !exists {
        connection.execute("CREATE DATABASE annals").await.map_err(EmbeddedPostgresError::CreateDatabase)?;
    }
    Ok(())
}

fn interrupted(error: JoinError) -> EmbeddedPostgresError {
    EmbeddedPostgresError::Io { what: "starting PostgreSQL was interrupted".to_owned(), error: error.into() }
}
