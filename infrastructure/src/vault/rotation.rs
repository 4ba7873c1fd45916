//! Replacing the key that people's keys are wrapped with, while servers run.
//!
//! First the row of addresses is wrapped anew: from then on nobody wraps with an older key (migration 25). Then all others
//! are, a bounded number in a transaction. Rows name the key that wraps them, so what was interrupted goes on with what
//! is left.

use std::time::Duration;

use application::error::Error;
use domain::ids::TenantId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{addresses::ADDRESSES, keyring::Keyring, sealing_key::SealingKey, subject_key::Row};
use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};

/// How many keys are wrapped anew in one transaction.
const BATCH: i64 = 500;
/// How long to wait for who holds rows that were passed over.
const PAUSE: Duration = Duration::from_millis(50);

/// How many keys a sealing key wraps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKeys {
    /// What the sealing key is called.
    pub sealing_key: String,
    /// How many.
    pub count: u64,
    /// Whether it is the one that wraps what comes.
    pub wraps: bool,
}

/// A replacement that has begun: the new key wraps all that comes.
#[derive(Debug)]
pub struct Rotation<'d> {
    database: &'d Database,
    to: SealingKey,
}

/// A rotation has not come to its end. What was done is not lost.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Another key was made the one that wraps.
    #[error("the sealing key {to} has been replaced by {by} meanwhile: another rotation goes on")]
    Overtaken {
        /// The key of this rotation.
        to: String,
        /// The one that wraps now.
        by: String,
    },
    /// Keys were left as they are, because they can't be unwrapped.
    #[error("{count} keys can't be unwrapped and stay as they are; all others are wrapped with {to} now")]
    Left {
        /// How many.
        count: u64,
        /// The key of this rotation.
        to: String,
        /// Why one of them can't be.
        source: Error,
    },
    /// The database is away, or something is wrong with the keys.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Which sealing keys wrap how many keys, the one that wraps first. Needs no key.
pub async fn wrapped_keys(database: &Database) -> Result<Vec<WrappedKeys>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let rows = sqlx::query!(
        r#"SELECT wrapped_by, count(*) AS "count!", bool_or(subject_id = $2) AS "wraps!" FROM subject_keys
           WHERE tenant_id = $1 AND wrapped IS NOT NULL
           GROUP BY wrapped_by ORDER BY 3 DESC, 2 DESC, 1"#,
        TenantId::PLATFORM.uuid(),
        ADDRESSES
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    tx.commit().await?;
    let wrapped = rows.into_iter().map(|row| WrappedKeys {
        sealing_key: row.wrapped_by,
        count: row.count.unsigned_abs(),
        wraps: row.wraps,
    });
    Ok(wrapped.collect())
}

impl<'d> Rotation<'d> {
    /// Makes the newest key of the database's vault the one that wraps. All servers must be able to find it already.
    pub async fn begin(database: &'d Database) -> Result<Self, RotationError> {
        let keyring = database.vault().keyring()?;
        let to = keyring.newest();
        // It is there from the first start on.
        database.unlock().await?;
        let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
        let row = sqlx::query_as!(
            Row,
            "SELECT subject_id, key_id, wrapped_by, wrapped FROM subject_keys
             WHERE tenant_id = $1 AND subject_id = $2 FOR UPDATE",
            TenantId::PLATFORM.uuid(),
            ADDRESSES
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(database_error)?;
        if row.wrapped_by != to.name() {
            let rewrapped = rewrapped(&row, keyring, &to)?;
            write(&mut tx, &to, &[row.subject_id], &[rewrapped]).await?;
        }
        tx.commit().await?;
        keyring.wraps(to.name());
        Ok(Self { database, to })
    }

    /// What the new key is called.
    pub fn to(&self) -> &str {
        self.to.name()
    }

    /// How many keys others wrap still.
    pub async fn left(&self) -> Result<u64, RotationError> {
        let wrapped = wrapped_keys(self.database).await?;
        let older = wrapped.iter().filter(|wrapped| wrapped.sealing_key != self.to.name());
        Ok(older.map(|wrapped| wrapped.count).sum())
    }

    /// Wraps all keys with the new one, and tells `progress` of every batch. When it has returned, no key is wrapped with
    /// another one, and none ever will be.
    pub async fn finish(&self, mut progress: impl FnMut(u64)) -> Result<u64, RotationError> {
        let mut done = 0;
        loop {
            let mut pass = Pass { after: Uuid::nil(), unreadable: None };
            while let Some(rewrapped) = self.batch(&mut pass).await? {
                progress(rewrapped);
                done += rewrapped;
            }
            match (self.left().await?, pass.unreadable) {
                (0, _) => return Ok(done),
                (count, Some(source)) => {
                    return Err(RotationError::Left { count, to: self.to.name().to_owned(), source });
                }
                // Somebody had locked them, and will either have destroyed them or leave them to the next pass.
                (_, None) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Wraps the next keys anew; `None` if there are no more. Waits for nobody, so that nobody can wait for it in turn.
    async fn batch(&self, pass: &mut Pass) -> Result<Option<u64>, RotationError> {
        let mut tx = TenantTx::begin(self.database, TenantId::PLATFORM).await?;
        self.still_wraps(&mut tx).await?;
        let rows = sqlx::query_as!(
            Row,
            "SELECT subject_id, key_id, wrapped_by, wrapped FROM subject_keys
             WHERE tenant_id = $1 AND subject_id > $2 AND wrapped IS NOT NULL AND wrapped_by <> $3
             ORDER BY subject_id LIMIT $4
             FOR UPDATE SKIP LOCKED",
            TenantId::PLATFORM.uuid(),
            pass.after,
            self.to.name(),
            BATCH
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(database_error)?;
        let Some(last) = rows.last() else { return Ok(None) };
        pass.after = last.subject_id;
        let keyring = self.database.vault().keyring()?;
        let (mut subjects, mut wrapped) = (Vec::new(), Vec::new());
        for row in &rows {
            match rewrapped(row, keyring, &self.to) {
                Ok(rewrapped) => {
                    subjects.push(row.subject_id);
                    wrapped.push(rewrapped);
                }
                Err(error) => drop(pass.unreadable.get_or_insert(error)),
            }
        }
        write(&mut tx, &self.to, &subjects, &wrapped).await?;
        tx.commit().await?;
        Ok(Some(subjects.len() as u64))
    }

    /// Goes on only while no other key is made the one that wraps, and lets none be made until the transaction ends: two
    /// rotations to different keys would else undo each other's work for ever.
    async fn still_wraps(&self, tx: &mut PgConnection) -> Result<(), RotationError> {
        let by = sqlx::query_scalar!(
            "SELECT wrapped_by FROM subject_keys WHERE tenant_id = $1 AND subject_id = $2 FOR SHARE",
            TenantId::PLATFORM.uuid(),
            ADDRESSES
        )
        .fetch_one(tx)
        .await
        .map_err(database_error)?;
        if by == self.to.name() {
            return Ok(());
        }
        Err(RotationError::Overtaken { to: self.to.name().to_owned(), by })
    }
}

/// One way through all keys, in order.
struct Pass {
    after: Uuid,
    /// Why the first of those could not be unwrapped that could not.
    unreadable: Option<Error>,
}

fn rewrapped(row: &Row, keyring: &Keyring, to: &SealingKey) -> Result<Vec<u8>, Error> {
    let key = row.unwrap(keyring)?.ok_or_else(|| Error::internal("a destroyed key is not wrapped"))?;
    Ok(to.wrap(&key, row.subject_id, row.key_id))
}

/// Of rows that are locked.
async fn write(
    tx: &mut PgConnection,
    to: &SealingKey,
    subjects: &[Uuid],
    wrapped: &[Vec<u8>],
) -> Result<(), Error> {
    let query = sqlx::query!(
        "UPDATE subject_keys AS row SET wrapped_by = $2, wrapped = new.wrapped
         FROM unnest($3::uuid[], $4::bytea[]) AS new (subject, wrapped)
         WHERE row.tenant_id = $1 AND row.subject_id = new.subject",
        TenantId::PLATFORM.uuid(),
        to.name(),
        subjects,
        wrapped
    );
    query.execute(tx).await.map(drop).map_err(database_error)
}

#[cfg(test)]
#[cfg(feature = "test-support")]
#[path = "rotation_tests.rs"]
mod tests;
