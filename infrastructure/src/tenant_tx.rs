//! The one way to a tenant's rows.

use std::ops::{Deref, DerefMut};

use application::error::Error;
use domain::ids::{TenantId, UserId};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};

use crate::database::{Database, database_error};

/// A transaction in the context of one tenant: row level security lets it see and write that tenant's rows and no
/// others. Dropping it without a commit rolls back.
pub struct TenantTx {
    transaction: Transaction<'static, Postgres>,
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
        // Safe: the only variable part is a UUID.
        sqlx::raw_sql(AssertSqlSafe(turn)).execute(&mut *self.transaction).await.map_err(database_error)?;
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
        // Safe: the only variable parts are UUIDs.
        let transaction = database.pool().begin_with(AssertSqlSafe(begin)).await.map_err(database_error)?;
        Ok(Self { transaction, tenant })
    }

    /// Whose rows it sees.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Commits.
    pub async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await.map_err(database_error)
    }

    /// Rolls back, and returns when its locks are gone; dropping it lets them go a moment later.
    pub async fn rollback(self) -> Result<(), Error> {
        self.transaction.rollback().await.map_err(database_error)
    }

    /// Continues the same transaction in another tenant's context; what was done stays part of it.
    pub(crate) async fn switch(&mut self, tenant: TenantId) -> Result<(), Error> {
        sqlx::query("SELECT set_config('app.tenant_id', $1, true)")
            .bind(tenant.uuid().to_string())
            .execute(&mut *self.transaction)
            .await
            .map_err(database_error)?;
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
        &self.transaction
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
