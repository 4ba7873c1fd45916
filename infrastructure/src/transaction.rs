//! A pooled connection in a transaction.

use std::ops::{Deref, DerefMut};

use application::error::Error;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Postgres, pool::PoolConnection, postgres::PgRow};
use tokio::runtime::Handle;

use crate::database::{Database, database_error};

/// A transaction on a connection of the pool, and what has to happen before the pool gets that back.
///
/// A connection goes back to the pool only after its transaction is known to be over; one that was given up while it
/// began or ended is closed. sqlx's own transactions can come back open when a future is dropped while they begin.
pub(crate) struct Transaction {
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

impl Transaction {
    /// Begins with statements that hold nothing a caller could have chosen.
    pub(crate) async fn begin(database: &Database, begin: String) -> Result<Self, Error> {
        Self::begin_asking(database, begin).await.map(|(transaction, _)| transaction)
    }

    /// The same with statements that answer something: with the rows of all of them, as text.
    pub(crate) async fn begin_asking(
        database: &Database,
        begin: String,
    ) -> Result<(Self, Vec<PgRow>), Error> {
        let connection = database.pool().acquire().await.map_err(database_error)?;
        let mut transaction = Self { connection: Some(connection), end: End::Close };
        let begun = sqlx::raw_sql(AssertSqlSafe(begin)).fetch_all(&mut *transaction);
        let rows = begun.await.map_err(database_error)?;
        transaction.end = End::RollBack;
        Ok((transaction, rows))
    }

    /// Commits.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.finish("COMMIT").await
    }

    /// Rolls back, and returns when its locks are gone; dropping it lets them go a moment later.
    pub(crate) async fn rollback(self) -> Result<(), Error> {
        self.finish("ROLLBACK").await
    }

    async fn finish(mut self, how: &'static str) -> Result<(), Error> {
        self.end = End::Close;
        self.execute(how).await.map_err(database_error)?;
        self.end = End::Keep;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    #[expect(clippy::unwrap_used, reason = "it is taken by drop only")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().unwrap()
    }
}

impl DerefMut for Transaction {
    #[expect(clippy::unwrap_used, reason = "it is taken by drop only")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().unwrap()
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match (self.end, Handle::try_current()) {
            (End::Keep, _) => {}
            (End::RollBack, Ok(runtime)) => drop(runtime.spawn(async move {
                // `connection` is closed if this is given up.
                let mut transaction = Self { connection: Some(connection), end: End::Close };
                if transaction.execute("ROLLBACK").await.is_ok() {
                    transaction.end = End::Keep;
                }
            })),
            (End::RollBack | End::Close, _) => connection.close_on_drop(),
        }
    }
}
