//! How the keys' table is reached.

use sqlx::PgConnection;

use crate::database::Database;

/// How the keys' table is reached.
pub(crate) enum Source<'c> {
    /// With a connection of the pool, if one is needed.
    Pool(&'c Database),
    /// In the transaction that is under way, because who holds a connection must not wait for another one.
    Connection(&'c mut PgConnection),
}

impl Source<'_> {
    pub(crate) fn again(&mut self) -> Source<'_> {
        match self {
            Self::Pool(database) => Source::Pool(database),
            Self::Connection(connection) => Source::Connection(connection),
        }
    }
}
