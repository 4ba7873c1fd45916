//! The way to what is computed from journals.

use std::ops::{Deref, DerefMut};

use application::error::Error;
use domain::ids::TenantId;
use sqlx::PgConnection;

use crate::{database::Database, transaction::Transaction};

/// A transaction in which the projections of some tenants go on, or their signed trees: row level security lets it see the
/// journals of these tenants, see and write what is computed from them, and nothing else. Dropping it without a commit
/// rolls back.
///
/// Its commit does not wait for the disk: PostgreSQL writes commits to its log in order, so a crash that loses this one
/// loses nothing that it was computed from, and nothing less than all of it. Whoever adds something that is not computed
/// again sets `synchronous_commit` back.
pub struct ProjectingTx {
    transaction: Transaction,
    tenants: Vec<TenantId>,
}

impl ProjectingTx {
    /// Begins for `tenants`, in one round trip.
    pub async fn begin(database: &Database, tenants: Vec<TenantId>) -> Result<Self, Error> {
        Ok(Self { transaction: Transaction::begin(database, begin(&tenants)).await?, tenants })
    }

    /// The tenants that it names.
    pub fn tenants(&self) -> &[TenantId] {
        &self.tenants
    }

    /// Commits.
    pub async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await
    }

    /// Rolls back, and returns when its locks are gone; dropping it lets them go a moment later.
    pub async fn rollback(self) -> Result<(), Error> {
        self.transaction.rollback().await
    }
}

/// All statements are about rows with known keys. Asked about tables that are small today, the planner would read them
/// whole, and do so still when they have grown.
fn begin(tenants: &[TenantId]) -> String {
    let tenants: Vec<String> = tenants.iter().map(|tenant| tenant.uuid().to_string()).collect();
    format!(
        "BEGIN; SET LOCAL app.projecting = '{{{}}}'; SET LOCAL synchronous_commit = off; SET LOCAL enable_seqscan = off",
        tenants.join(",")
    )
}

impl Deref for ProjectingTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for ProjectingTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
