//! A PostgreSQL of one's own, with settings of one's own, which can be stopped as if it had crashed.

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

/// How long it may take to start, recovery included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What holds for every cluster.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "max_connections=100",
    "wal_level=minimal",
    "max_wal_senders=0",
    "timezone=UTC",
    "log_line_prefix=%m [%p] ",
];

/// The database that the servers use.
pub(crate) const DATABASE: &str = "annals";

/// A running PostgreSQL. Dropping it stops it.
pub(crate) struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    account: Option<User>,
    settings: Vec<String>,
    postmaster: Child,
}

impl Cluster {
    /// Starts the one in a directory with some settings; makes it, if there is none.
    pub(crate) async fn start(directory: &Path, settings: Vec<String>) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/find-postgres");
        let found = Command::new(script).output().unwrap();
        assert!(found.status.success(), "no PostgreSQL server programs; scripts/install-postgres gets them");
        let programs = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        // PostgreSQL refuses to run as root.
        let named = |name| User::from_name(name).unwrap();
        let account = if geteuid().is_root() { named("postgres").or_else(|| named("nobody")) } else { None };
        let directory = directory.join("postgres");
        let is_new = !directory.exists();
        if is_new {
            make(&programs, &directory, account.as_ref());
        }
        let postmaster = postmaster(&programs, &directory, account.as_ref(), &settings);
        let cluster = Self { directory, programs, account, settings, postmaster };
        cluster.wait_until_ready().await;
        if is_new {
            let create = format!("CREATE DATABASE {DATABASE}");
            let mut owner = cluster.connect("postgres").await;
            sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut owner).await.unwrap();
        }
        cluster
    }

    /// The Unix socket that it listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// How to reach a database as the owner, without a proxy in between.
    pub(crate) fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.directory)
            .port(5432)
            .username("annals")
            .database(database)
            .disable_statement_logging()
    }

    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        self.options(database).connect().await.unwrap()
    }

    /// Stops it at once: every connection and every transaction is lost, and the start that follows is a recovery.
    /// Returns before that is complete.
    pub(crate) fn restart_immediately(&mut self) {
        signal(&self.postmaster, Signal::SIGQUIT);
        self.postmaster.wait().unwrap();
        self.postmaster = postmaster(&self.programs, &self.directory, self.account.as_ref(), &self.settings);
    }

    /// Waits until it answers.
    pub(crate) async fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.options("postgres").connect().await.is_err() {
            assert!(Instant::now() < deadline, "PostgreSQL is not ready: {}", self.directory.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        signal(&self.postmaster, Signal::SIGQUIT);
        let _ = self.postmaster.wait();
    }
}

fn make(programs: &Path, directory: &Path, account: Option<&User>) {
    fs::create_dir(directory).unwrap();
    fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
    if let Some(account) = account {
        chown(directory, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
    }
    let mut initdb = command(programs, "initdb", directory, account);
    initdb.args([
        "--username",
        "annals",
        "--auth",
        "trust",
        "--encoding",
        "UTF8",
        "--no-locale",
        "--no-sync",
    ]);
    let made = initdb.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn postmaster(programs: &Path, directory: &Path, account: Option<&User>, settings: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(directory.with_extension("log")).unwrap();
    let mut postgres = command(programs, "postgres", directory, account);
    for setting in SETTINGS.iter().copied().chain(settings.iter().map(String::as_str)) {
        postgres.arg("-c").arg(setting);
    }
    postgres.arg("-c").arg(format!("unix_socket_directories={}", directory.display()));
    postgres.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn command(programs: &Path, program: &str, directory: &Path, account: Option<&User>) -> Command {
    let mut command = Command::new(programs.join(program));
    command.arg("-D").arg(directory).current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
    if let Some(account) = account {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("PG") {
            command.env_remove(variable);
        }
    }
    command
}

fn signal(process: &Child, signal: Signal) {
    let _ = kill(Pid::from_raw(process.id().cast_signed()), signal);
}
