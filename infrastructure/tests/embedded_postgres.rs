//! The private PostgreSQL, with the machine's own programs: started, stopped, killed, and started twice.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use infrastructure::embedded_postgres::{
    Durability, EmbeddedPostgres, EmbeddedPostgresError, EmbeddedPostgresSettings,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::{ConnectOptions, Executor, PgConnection};
use tempfile::TempDir;

/// Tells the test `server` to be one, in this data directory.
const SERVER_DIRECTORY: &str = "ANNALS_TEST_SERVER_DIRECTORY";

#[tokio::test]
async fn starts_empty_and_keeps_what_is_written() {
    let data_dir = data_dir();
    let postgres = start(data_dir.path()).await;
    let mut connection = connect(&postgres).await;
    connection.execute("CREATE TABLE kept (value text); INSERT INTO kept VALUES ('here')").await.unwrap();
    for (setting, wanted) in [
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("max_connections", "100"),
    ] {
        let sql = format!("SELECT current_setting('{setting}', true)");
        let value: Option<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        // PostgreSQL 16 dropped lc_collate.
        assert_eq!(value.as_deref().unwrap_or(wanted), wanted, "{setting}");
    }
    assert!(postgres.url().starts_with("postgres://annals@%2F"), "{}", postgres.url());
    postgres.url().parse::<sqlx::postgres::PgConnectOptions>().unwrap().connect().await.unwrap();
    if let Ok(output) =
        Command::new("psql").args([&postgres.url(), "-Atc", "SELECT value FROM kept"]).output()
    {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "here\n", "libpq understands the URL");
    }
    let mode = postgres.directory().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    postgres.stop().await;

    let postgres = start(data_dir.path()).await;
    assert_eq!(kept(&postgres).await, "here");
    postgres.stop().await;
    assert!(!postmaster_pid_file(data_dir.path()).exists(), "it was shut down properly");
}

#[tokio::test]
async fn durable_settings_start_too() {
    let data_dir = data_dir();
    let postgres = EmbeddedPostgres::start(EmbeddedPostgresSettings::new(data_dir.path())).await.unwrap();
    let fsync: String =
        sqlx::query_scalar("SHOW fsync").fetch_one(&mut connect(&postgres).await).await.unwrap();
    assert_eq!(fsync, "on");
    postgres.stop().await;
}

#[tokio::test]
async fn a_second_server_is_told_who_holds_the_directory() {
    let data_dir = data_dir();
    let postgres = start(data_dir.path()).await;
    let error = EmbeddedPostgres::start(settings(data_dir.path())).await.unwrap_err();
    assert!(matches!(error, EmbeddedPostgresError::InUse { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert!(message.contains(&*data_dir.path().to_string_lossy()), "{message}");
    connect(&postgres).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_killed_server_is_recovered_from() {
    let data_dir = data_dir();
    let mut server = spawn_server(data_dir.path());
    let orphan = postmaster(data_dir.path());
    server.kill().unwrap();
    server.wait().unwrap();
    kill(orphan, None).expect("PostgreSQL outlives the server that is killed");

    let postgres = start(data_dir.path()).await;
    assert_eq!(kept(&postgres).await, "acknowledged");
    assert_ne!(postmaster(data_dir.path()), orphan, "it is a child of this process now");
    postgres.stop().await;
}

#[tokio::test]
async fn server_and_postgres_killed_together_are_recovered_from() {
    let data_dir = data_dir();
    let mut server = spawn_server(data_dir.path());
    let orphan = postmaster(data_dir.path());
    server.kill().unwrap();
    kill(orphan, Signal::SIGKILL).unwrap();
    server.wait().unwrap();

    let postgres = start(data_dir.path()).await;
    assert_eq!(kept(&postgres).await, "acknowledged");
    postgres.stop().await;
}

#[tokio::test]
async fn a_stale_pid_file_that_names_somebody_else_is_no_obstacle() {
    let data_dir = data_dir();
    let postgres = start(data_dir.path()).await;
    postgres.stop().await;
    // PostgreSQL itself sees through the number of a process that it may not signal.
    let account = postgres_account(data_dir.path());
    let mut somebody = Command::new("sleep").arg("60").uid(account).spawn().unwrap();
    let pid_file = postmaster_pid_file(data_dir.path());
    std::fs::write(&pid_file, format!("{}\n/elsewhere\n0\n5432\n", somebody.id())).unwrap();
    let socket_lock = data_dir.path().join("postgres/socket/.s.PGSQL.5432.lock");
    std::fs::write(socket_lock, format!("{}\n", somebody.id())).unwrap();

    let postgres = start(data_dir.path()).await;
    assert!(somebody.try_wait().unwrap().is_none(), "the stranger is left alone");
    postgres.stop().await;
    somebody.kill().unwrap();
    somebody.wait().unwrap();
}

#[tokio::test]
async fn an_interrupted_initdb_is_begun_again() {
    let data_dir = data_dir();
    let unfinished = data_dir.path().join("postgres/data.new");
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    let postgres = start(data_dir.path()).await;
    assert!(!unfinished.exists());
    postgres.stop().await;
}

#[tokio::test]
async fn a_dead_postgres_is_started_again() {
    let data_dir = data_dir();
    let postgres = start(data_dir.path()).await;
    let first = postmaster(data_dir.path());
    kill(first, Signal::SIGKILL).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while postgres.connect_options().connect().await.is_err() || postmaster(data_dir.path()) == first {
        assert!(Instant::now() < deadline, "PostgreSQL did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    postgres.stop().await;
}

#[tokio::test]
async fn a_failing_start_quotes_the_log() {
    let data_dir = data_dir();
    start(data_dir.path()).await.stop().await;
    std::fs::remove_file(data_dir.path().join("postgres/data/global/pg_control")).unwrap();
    let error = EmbeddedPostgres::start(settings(data_dir.path())).await.unwrap_err();
    assert!(matches!(error, EmbeddedPostgresError::DidNotStart { .. }), "{error}");
    assert!(error.to_string().contains("could not find the database system"), "{error}");
}

#[tokio::test]
async fn a_long_path_gets_its_socket_elsewhere() {
    let data_dir = data_dir();
    let deep = data_dir.path().join("a directory with a name of some length, as one finds them, ".repeat(3));
    let postgres = start(&deep).await;
    connect(&postgres).await;
    let socket = postgres.connect_options().get_socket().unwrap().clone();
    assert!(!socket.starts_with(&deep));
    postgres.stop().await;
    std::fs::remove_dir_all(socket).unwrap();
}

#[tokio::test]
async fn dropping_it_asks_it_to_stop() {
    let data_dir = data_dir();
    let postgres = start(data_dir.path()).await;
    drop(postgres);
    wait_for("PostgreSQL has stopped", || !postmaster_pid_file(data_dir.path()).exists()).await;
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_running() {
    let data_dir = data_dir();
    let starting = tokio::spawn(EmbeddedPostgres::start(settings(data_dir.path())));
    wait_for("PostgreSQL runs", || postmaster_pid_file(data_dir.path()).exists()).await;
    starting.abort();
    wait_for("PostgreSQL has stopped", || !postmaster_pid_file(data_dir.path()).exists()).await;
}

#[tokio::test]
async fn root_runs_it_as_somebody_else() {
    if !geteuid().is_root() {
        return;
    }
    let data_dir = data_dir();
    let postgres = start(data_dir.path()).await;
    let process = format!("/proc/{}", postmaster(data_dir.path()));
    if Path::new(&process).exists() {
        assert_ne!(std::fs::metadata(process).unwrap().uid(), 0);
    }
    postgres.stop().await;
}

#[tokio::test]
async fn root_with_a_closed_directory_keeps_the_cluster_elsewhere() {
    if !geteuid().is_root() {
        return;
    }
    let data_dir = data_dir();
    std::fs::set_permissions(data_dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let postgres = start(data_dir.path()).await;
    let elsewhere = postgres.directory().to_owned();
    assert!(!elsewhere.starts_with(data_dir.path()), "PostgreSQL's account may not enter it");
    connect(&postgres)
        .await
        .execute("CREATE TABLE kept AS SELECT 'remembered'::text AS value")
        .await
        .unwrap();
    postgres.stop().await;

    let postgres = start(data_dir.path()).await;
    assert_eq!(kept(&postgres).await, "remembered");
    postgres.stop().await;

    // Somebody deletes the data directory to begin anew: the old database is neither shown nor destroyed.
    std::fs::remove_file(data_dir.path().join("postgres-location")).unwrap();
    let postgres = start(data_dir.path()).await;
    let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('kept')::text")
        .fetch_one(&mut connect(&postgres).await)
        .await
        .unwrap();
    assert_eq!(table, None);
    postgres.stop().await;

    let name = elsewhere.file_name().unwrap().to_string_lossy().into_owned();
    for entry in elsewhere.parent().unwrap().read_dir().unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with(&name) {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

/// Not a test: the server that the tests above kill. It does nothing unless they start it.
#[tokio::test]
async fn server() {
    let Some(directory) = std::env::var_os(SERVER_DIRECTORY) else { return };
    let postgres = EmbeddedPostgres::start(EmbeddedPostgresSettings::new(directory))
        .await
        .expect("the server should start");
    connect(&postgres)
        .await
        .execute("CREATE TABLE kept AS SELECT 'acknowledged'::text AS value")
        .await
        .unwrap();
    eprintln!("\nready");
    std::future::pending::<()>().await;
}

fn spawn_server(data_dir: &Path) -> Child {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server", "--nocapture"])
        .env(SERVER_DIRECTORY, data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(server.stderr.take().unwrap());
    assert!(said.lines().map_while(Result::ok).any(|line| line == "ready"), "the server did not start");
    server
}

/// A directory that PostgreSQL's account may pass through when the tests run as root.
fn data_dir() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    directory
}

fn settings(data_dir: &Path) -> EmbeddedPostgresSettings {
    EmbeddedPostgresSettings { data_dir: data_dir.to_owned(), durability: Durability::ForTests }
}

async fn start(data_dir: &Path) -> EmbeddedPostgres {
    EmbeddedPostgres::start(settings(data_dir)).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn connect(postgres: &EmbeddedPostgres) -> PgConnection {
    postgres.connect_options().connect().await.unwrap()
}

async fn kept(postgres: &EmbeddedPostgres) -> String {
    sqlx::query_scalar("SELECT value FROM kept").fetch_one(&mut connect(postgres).await).await.unwrap()
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not so after 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn postgres_account(data_dir: &Path) -> u32 {
    data_dir.join("postgres").metadata().unwrap().uid()
}

fn postmaster_pid_file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("postgres/data/postmaster.pid")
}

fn postmaster(data_dir: &Path) -> Pid {
    let contents = std::fs::read_to_string(postmaster_pid_file(data_dir)).unwrap_or_default();
    Pid::from_raw(contents.lines().next().and_then(|line| line.parse().ok()).unwrap_or(0))
}
