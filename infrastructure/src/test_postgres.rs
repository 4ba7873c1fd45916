//! A database of its own for each test, copied from a template that is migrated once per run.
//!
//! The server is the one that `scripts/with-test-servers` starts (`make test` does). With cargo-nextest every test is a
//! process, so nothing here is shared in memory: the template is made under an advisory lock by whoever comes first.

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::database;

/// Names the server, as a superuser and with its maintenance database.
pub const TEST_DATABASE_URL: &str = "TEST_DATABASE_URL";

/// Any number that nothing else in the cluster locks.
const TEMPLATE_LOCK: i64 = 0x616e_6e61_6c73;

/// A test's own database, gone when this value is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: PgConnectOptions,
}

impl TestDatabase {
    /// A copy of the template for `version`: anything that changes when the migrations do, such as their checksums.
    /// The first caller of a run makes the template, by `migrate` on an empty database.
    ///
    /// # Panics
    /// When there is no server, saying how to get one, or when `migrate` fails.
    pub async fn from_template<E: Display>(
        version: impl AsRef<[u8]>,
        migrate: impl AsyncFnOnce(PgConnectOptions) -> Result<(), E>,
    ) -> TestDatabase {
        let hash = Sha256::digest(version.as_ref());
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let template = format!("template_{hash}");
        let server = server();
        let mut connection = connect(&server).await;
        if !exists(&mut connection, &template).await {
            run(&mut connection, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await;
            if !exists(&mut connection, &template).await {
                make_template(&mut connection, &server, &template, migrate).await;
            }
            run(&mut connection, format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})")).await;
        }
        TestDatabase::create(connection, server, &template).await
    }

    /// A database as migrations leave it.
    ///
    /// # Panics
    /// When there is no server, saying how to get one, or when it can't be migrated.
    pub async fn migrated() -> TestDatabase {
        let migrate = async |options| database::migrate(&options).await;
        TestDatabase::from_template(database::schema_version(), migrate).await
    }

    /// An empty database.
    ///
    /// # Panics
    /// When there is no server, saying how to get one.
    pub async fn empty() -> TestDatabase {
        let server = server();
        let connection = connect(&server).await;
        TestDatabase::create(connection, server, "template1").await
    }

    /// How to connect to it, as a superuser.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// The same as a URL, which sqlx and libpq (`psql URL`) understand.
    pub fn url(&self) -> String {
        let mut url = self.connect_options().to_url_lossy();
        // sqlx adds a parameter of its own, which libpq refuses.
        url.set_query(None);
        url.to_string()
    }

    /// The database's name, unique in the run.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn create(mut connection: PgConnection, server: PgConnectOptions, template: &str) -> TestDatabase {
        let name = unique_name();
        // Copying files beats copying through the log (0.1 s against 0.2 s) as long as nothing waits for the disk.
        run(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await;
        connection.close().await.ok();
        TestDatabase { name, server }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Keeps the run's disk usage down; what it misses goes with the server. A thread, as the test's runtime may be
        // ending and does not let itself be blocked.
        let server = self.server.clone();
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = server.connect().await?;
                connection.execute(AssertSqlSafe(drop)).await?;
                connection.close().await
            })
        })
        .join()
        .ok();
    }
}

fn server() -> PgConnectOptions {
    let Ok(url) = std::env::var(TEST_DATABASE_URL) else { panic!("{}", missing(TEST_DATABASE_URL)) };
    let options: PgConnectOptions =
        url.parse().unwrap_or_else(|error| panic!("{TEST_DATABASE_URL}: {error}"));
    options.disable_statement_logging()
}

/// How many rows and index entries of events the connection's transaction has read so far.
#[cfg(test)]
pub(crate) async fn events_read(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::bigint
         FROM pg_class WHERE relname IN ('events', 'events_pkey', 'events_by_stream')",
    )
    .fetch_one(connection)
    .await
    .unwrap_or_else(|error| panic!("can't ask what was read: {error}"))
}

/// What to do about a variable that `scripts/with-test-servers` would have set.
pub(crate) fn missing(variable: &str) -> String {
    format!(
        "{variable} is not set, and this test needs its server. Run all tests with `make test`, and some with \
         `scripts/with-test-servers cargo nextest run ...` (or `cargo test ...`)"
    )
}

async fn connect(server: &PgConnectOptions) -> PgConnection {
    server.connect().await.unwrap_or_else(|error| {
        panic!("no connection to {TEST_DATABASE_URL}: {error}. {}", missing(TEST_DATABASE_URL))
    })
}

async fn make_template<E: Display>(
    connection: &mut PgConnection,
    server: &PgConnectOptions,
    template: &str,
    migrate: impl AsyncFnOnce(PgConnectOptions) -> Result<(), E>,
) {
    // It gets its name when it is complete, so a migration that fails leaves nothing that looks like one.
    let unfinished = format!("new_{template}");
    run(connection, format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await;
    run(connection, format!("CREATE DATABASE {unfinished} STRATEGY FILE_COPY")).await;
    if let Err(error) = migrate(server.clone().database(&unfinished)).await {
        panic!("the migrations failed on an empty database: {error}");
    }
    // A database with sessions, such as those of a pool that is still closing, can't be renamed or copied.
    let sessions = format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{unfinished}'"
    );
    run(connection, sessions).await;
    run(connection, format!("ALTER DATABASE {unfinished} RENAME TO {template}")).await;
}

async fn exists(connection: &mut PgConnection, database: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(connection)
        .await
        .unwrap_or_else(|error| panic!("could not look for the database {database}: {error}"))
}

/// Names can't be parameters of these statements; all are made here, of letters, digits and underscores.
async fn run(connection: &mut PgConnection, statement: String) {
    if let Err(error) = connection.execute(AssertSqlSafe(statement.clone())).await {
        panic!("{statement}: {error}");
    }
}

fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("test_{}_{}_{nanoseconds}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
