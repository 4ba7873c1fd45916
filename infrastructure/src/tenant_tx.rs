//! The one way to a tenant's rows.

use std::ops::{Deref, DerefMut};

use application::error::Error;
use domain::ids::{TenantId, UserId};
use sqlx::{PgConnection, postgres::PgRow};

use crate::{database::Database, transaction::Transaction};

/// A transaction in the context of one tenant: row level security lets it see and write that tenant's rows and no
/// others. Dropping it without a commit rolls back.
pub struct TenantTx {
    transaction: Transaction,
    tenant: TenantId,
}

impl TenantTx {
    /// Begins a transaction and sets its tenant, in one round trip.
    pub async fn begin(database: &Database, tenant: TenantId) -> Result<Self, Error> {
        let begin = format!("BEGIN; SET LOCAL app.tenant_id = '{}'", tenant.uuid());
        Self::begin_with(database, tenant, begin).await
    }

    /// Begins a transaction and asks it a first question, in one round trip; its answer comes as text. The question holds
    /// nothing that a caller could have chosen.
    pub(crate) async fn begin_asking(
        database: &Database,
        tenant: TenantId,
        question: &str,
    ) -> Result<(Self, Vec<PgRow>), Error> {
        let begin = format!("BEGIN; SET LOCAL app.tenant_id = '{}'; {question}", tenant.uuid());
        let (transaction, answer) = Transaction::begin_asking(database, begin).await?;
        Ok((Self { transaction, tenant }, answer))
    }

    /// Begins a transaction on the platform that also sees what tables keep about one user across tenants.
    pub async fn begin_for_user(database: &Database, user: UserId) -> Result<Self, Error> {
        let (platform, user) = (TenantId::PLATFORM.uuid(), user.uuid());
        let begin =
            format!("BEGIN; SET LOCAL app.tenant_id = '{platform}'; SET LOCAL app.user_id = '{user}'");
        Self::begin_with(database, TenantId::PLATFORM, begin).await
    }

    async fn begin_with(database: &Database, tenant: TenantId, begin: String) -> Result<Self, Error> {
        Ok(Self { transaction: Transaction::begin(database, begin).await?, tenant })
    }

    /// Whose rows it sees.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Commits.
    pub async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await
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
        let done = work(&mut self.transaction).await?;
        if tenant != own {
            self.switch(own).await?;
        }
        Ok(done)
    }

    async fn switch(&mut self, tenant: TenantId) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT set_config('app.tenant_id', $1, true)")
            .bind(tenant.uuid().to_string())
            .execute(&mut *self.transaction)
            .await?;
        self.tenant = tenant;
        Ok(())
    }
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
