//! The PostgreSQL database: connecting, migrating, and what its errors mean.

use std::{sync::Arc, time::Duration};

use application::error::Error;
use domain::ids::TenantId;
use sqlx::{
    Connection, Executor, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::vault::{Source, Vault};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// What every pooled connection becomes: a role that owns nothing and is under row level security.
const BECOME_APPLICATION: &str = "
    SET ROLE annals_app;
    SET TIME ZONE 'UTC';
    SET statement_timeout = '30s';
    SET idle_in_transaction_session_timeout = '60s';
    SET client_min_messages = 'warning'";

/// One process of a database at a time; the number is that of no other lock.
const LOCK_GRANTS: &str = "SELECT pg_advisory_lock(4163126911)";

/// How many prepared statements a connection keeps: more than there are.
const STATEMENTS: usize = 512;
/// How long a connection that nobody uses is trusted to work.
const TRUSTED: Duration = Duration::from_secs(1);

/// The database. Tenants' rows are reached through [`crate::tenant_tx::TenantTx`], through
/// [`crate::projecting_tx::ProjectingTx`] for what is computed from journals, through the journal's own functions, and not
/// otherwise.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    options: PgConnectOptions,
    vault: Arc<Vault>,
}

/// The database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It can't be reached or refuses.
    #[error("can't connect to the database: {0}")]
    Connect(#[source] sqlx::Error),
    /// It is too old.
    #[error("the database is PostgreSQL {0}; Annals needs 15 or newer")]
    TooOld(i32),
    /// Its schema can't be brought up to date.
    #[error("can't migrate the database: {0}")]
    Migrate(#[from] MigrateError),
    /// The job queue's schema can't be brought up to date.
    #[error("can't migrate the job queue: {0}")]
    MigrateJobs(Box<dyn std::error::Error + Send + Sync>),
    /// The application's role can't be given what it needs.
    #[error("can't grant the job queue to the application's role: {0}")]
    Grant(#[source] sqlx::Error),
    /// Its schema does not fit this build.
    #[error("the database lacks migration {0}; run `annals migrate` with a role that owns it")]
    NotMigrated(i64),
}

impl Database {
    /// Connects with at most `connections` connections, each as the role `annals_app`. `vault` opens what it keeps about
    /// people.
    pub async fn connect(
        options: PgConnectOptions,
        connections: u32,
        vault: Arc<Vault>,
    ) -> Result<Self, DatabaseError> {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(BECOME_APPLICATION).await.map(|_| ()) })
            })
            // A connection that was in use a moment ago still works; one that fails all the same is closed.
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for < TRUSTED { Ok(true) } else { connection.ping().await.map(|()| true) }
                })
            })
            .connect_with(options.clone().statement_cache_capacity(STATEMENTS))
            .await
            .map_err(DatabaseError::Connect)?;
        Ok(Self { pool, options, vault })
    }

    /// How to connect as the role that owns the tables.
    pub fn owner_options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(|_| ()).map_err(database_error)
    }

    /// Whether the next free connection carries a tenant, which none may.
    #[cfg(feature = "test-support")]
    pub async fn carries_tenant(&self) -> Result<bool, Error> {
        let mut connection = self.pool.acquire().await.map_err(database_error)?;
        // As a simple query: in the extended protocol even a statement on its own is younger than its transaction.
        let carries = sqlx::raw_sql(
            "SELECT now() <> statement_timestamp() OR coalesce(current_setting('app.tenant_id', true), '') <> ''
                 OR coalesce(current_setting('app.projecting', true), '') <> ''
                 OR coalesce(current_setting('app.loading', true), '') <> ''
                 OR coalesce(current_setting('app.appending', true), '') <> ''",
        );
        let row = carries.fetch_one(&mut *connection).await.map_err(database_error)?;
        sqlx::Row::try_get(&row, 0).map_err(database_error)
    }

    /// Waits for connections in use and closes all.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Opens texts that rows about `tenant` keep sealed; those that are erased say so.
    pub async fn open(&self, tenant: TenantId, texts: Vec<&mut String>) -> Result<(), Error> {
        self.vault.open(Source::Pool(self), tenant, texts).await
    }

    /// Goes on only if the vault has the key that the keys in this database are wrapped with.
    pub async fn unlock(&self) -> Result<(), Error> {
        self.vault.addresses(Source::Pool(self)).await.map(drop)
    }

    /// What a claim of an address holds.
    #[cfg(feature = "test-support")]
    pub async fn address_id(&self, address: &str) -> Result<uuid::Uuid, Error> {
        Ok(self.vault.addresses(Source::Pool(self)).await?.id(address))
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// What the schema is made of: the migrations' checksums, one after the other.
#[cfg(feature = "test-support")]
pub fn schema_version() -> Vec<u8> {
    MIGRATIONS.iter().flat_map(|migration| migration.checksum.iter().copied()).collect()
}

/// Brings the schema up to date, as the role that owns it. Safe to run from several processes at once.
pub async fn migrate(options: &PgConnectOptions) -> Result<(), DatabaseError> {
    let mut connection = PgConnection::connect_with(options).await.map_err(DatabaseError::Connect)?;
    if let Some(version) = connection.server_version_num().map(|version| version as i32 / 10_000)
        && version < 15
    {
        return Err(DatabaseError::TooOld(version));
    }
    MIGRATIONS.run(&mut connection).await?;
    // Two that grant the same at once fail. The lock ends with the connection.
    connection.execute(LOCK_GRANTS).await.map_err(DatabaseError::Connect)?;
    crate::jobs::migrate(options).await.map_err(DatabaseError::MigrateJobs)?;
    connection.execute(crate::jobs::GRANTS).await.map_err(DatabaseError::Grant)?;
    connection.close().await.map_err(DatabaseError::Connect)
}

/// What a database error means for a use case: the server is away (worth a retry), or the fault is ours.
pub fn database_error(error: sqlx::Error) -> Error {
    if is_away(&error) { Error::Unavailable(Box::new(error)) } else { Error::Internal(Box::new(error)) }
}

/// PostgreSQL's code for a statement that took too long.
const QUERY_CANCELED: &str = "57014";
/// Its code for a lock that was not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Whether nobody fares better now. A statement that was given up because it took too long is another matter: the server is
/// well then, and what others ask may be answered.
pub fn is_unreachable(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_)) && code(error).is_none_or(|code| code != QUERY_CANCELED)
}

/// Whether a lock was not had in time.
pub(crate) fn is_locked(error: &Error) -> bool {
    code(error).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

fn code(error: &Error) -> Option<String> {
    let (Error::Unavailable(source) | Error::Internal(source)) = error else { return None };
    let error = source.downcast_ref::<sqlx::Error>()?.as_database_error()?;
    error.code().map(Into::into)
}

/// Whether the server can't be reached or can't answer, so that the same may go well later.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
            true
        }
        sqlx::Error::WorkerCrashed => true,
        // Connection exceptions, insufficient resources, operator intervention (which a statement timeout is too).
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["08", "53", "57"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}
