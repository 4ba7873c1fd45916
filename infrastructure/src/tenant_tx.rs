//! The one way to a tenant's rows.

use std::ops::{Deref, DerefMut};

use application::error::Error;
use domain::ids::{TenantId, UserId};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Postgres, pool::PoolConnection};
use tokio::runtime::Handle;

use crate::database::{Database, database_error};

/// A transaction in the context of one tenant: row level security lets it see and write that tenant's rows and no
/// others. Dropping it without a commit rolls back.
///
/// A connection goes back to the pool only after its transaction is known to be over; one that was given up while it
/// began or ended is closed. sqlx's own transactions can come back open when a future is dropped while they begin.
pub struct TenantTx {
    connection: Borrowed,
    tenant: TenantId,
}

impl TenantTx {
    /// Begins a transaction and sets its tenant, in one round trip.
    pub async fn begin(database: &Database, tenant: TenantId) -> Result<Self, Error> {
        let begin = format!("BEGIN; SET LOCAL app.tenant_id = '{}'", tenant.uuid());
        Self::begin_with(database, tenant, begin).await
    }

    /// Begins a transaction for rows that are computed from the journal, in one round trip. Its commit does not wait for
    /// the disk: PostgreSQL writes commits to its log in order, so a crash that loses this one loses nothing that it
    /// was computed from, and nothing less than all of it. Whoever adds something that is not computed again sets
    /// `synchronous_commit` back.
    pub async fn begin_computed(database: &Database, tenant: TenantId) -> Result<Self, Error> {
        Self::begin_with(database, tenant, begin_computed(tenant)).await
    }

    /// Commits, and goes on as [`begin_computed`](Self::begin_computed) would on the same connection: in one round trip,
    /// where the way through the pool takes five.
    pub async fn commit_and_begin_computed(mut self, tenant: TenantId) -> Result<Self, Error> {
        let turn = format!("COMMIT; {}", begin_computed(tenant));
        self.connection.end = End::Close;
        // Safe: the only variable part is a UUID.
        sqlx::raw_sql(AssertSqlSafe(turn)).execute(&mut *self.connection).await.map_err(database_error)?;
        self.connection.end = End::RollBack;
        self.tenant = tenant;
        Ok(self)
    }

    /// Begins a transaction on the platform that also sees what tables keep about one user across tenants.
    pub async fn begin_for_user(database: &Database, user: UserId) -> Result<Self, Error> {
        let (platform, user) = (TenantId::PLATFORM.uuid(), user.uuid());
        let begin =
            format!("BEGIN; SET LOCAL app.tenant_id = '{platform}'; SET LOCAL app.user_id = '{user}'");
        Self::begin_with(database, TenantId::PLATFORM, begin).await
    }

    async fn begin_with(database: &Database, tenant: TenantId, begin: String) -> Result<Self, Error> {
        let connection = database.pool().acquire().await.map_err(database_error)?;
        let mut connection = Borrowed { connection: Some(connection), end: End::Close };
        // Safe: the only variable parts are UUIDs.
        connection.execute(AssertSqlSafe(begin)).await.map_err(database_error)?;
        connection.end = End::RollBack;
        Ok(Self { connection, tenant })
    }

    /// Whose rows it sees.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Commits.
    pub async fn commit(self) -> Result<(), Error> {
        self.end("COMMIT").await
    }

    /// Rolls back, and returns when its locks are gone; dropping it lets them go a moment later.
    pub async fn rollback(self) -> Result<(), Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), Error> {
        self.connection.end = End::Close;
        self.connection.execute(how).await.map_err(database_error)?;
        self.connection.end = End::Keep;
        Ok(())
    }

    /// Does something in another tenant's context, as part of the same transaction, and comes back. After a failure the
    /// transaction is good for nothing but to be rolled back.
    pub(crate) async fn within<T>(
        &mut self,
        tenant: TenantId,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let own = self.tenant;
        if tenant != own {
            self.switch(tenant).await?;
        }
        let done = work(&mut self.connection).await?;
        if tenant != own {
            self.switch(own).await?;
        }
        Ok(done)
    }

    async fn switch(&mut self, tenant: TenantId) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT set_config('app.tenant_id', $1, true)")
            .bind(tenant.uuid().to_string())
            .execute(&mut *self.connection)
            .await?;
        self.tenant = tenant;
        Ok(())
    }
}

fn begin_computed(tenant: TenantId) -> String {
    format!("BEGIN; SET LOCAL app.tenant_id = '{}'; SET LOCAL synchronous_commit = off", tenant.uuid())
}

impl Deref for TenantTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// A connection of the pool, and what has to happen before the pool gets it back.
struct Borrowed {
    /// Taken when it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    end: End,
}

/// How a connection goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As it is: it is outside any transaction.
    Keep,
    /// After its transaction is rolled back.
    RollBack,
    /// Not at all: nobody knows whether it is in a transaction.
    Close,
}

impl Deref for Borrowed {
    type Target = PgConnection;

    #[expect(clippy::unwrap_used, reason = "it is taken by drop only")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().unwrap()
    }
}

impl DerefMut for Borrowed {
    #[expect(clippy::unwrap_used, reason = "it is taken by drop only")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().unwrap()
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match (self.end, Handle::try_current()) {
            (End::Keep, _) => {}
            (End::RollBack, Ok(runtime)) => drop(runtime.spawn(async move {
                // `connection` is closed if this is given up.
                let mut borrowed = Self { connection: Some(connection), end: End::Close };
                if borrowed.execute("ROLLBACK").await.is_ok() {
                    borrowed.end = End::Keep;
                }
            })),
            (End::RollBack | End::Close, _) => connection.close_on_drop(),
        }
    }
}
