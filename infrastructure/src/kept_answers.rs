//! Answers that are kept for who sends the same request again. Each commits with what it tells of.

use application::{
    error::Error,
    once::{Identity, KeptAnswer},
};
use domain::ids::TenantId;

use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};

/// How many are swept out at a time, so that nobody waits for it.
const BATCH: usize = 1_000;

/// The answer to a request that was carried out in the last 24 hours.
pub async fn find(tx: &mut TenantTx, identity: &Identity) -> Result<Option<KeptAnswer>, Error> {
    let query = sqlx::query!(
        "SELECT fingerprint, answer FROM kept_answers
         WHERE tenant_id = $1 AND request = $2 AND kept_at > now() - interval '24 hours'",
        identity.scope.uuid(),
        identity.request.as_slice()
    );
    let kept = tx.within(identity.scope, async |connection| query.fetch_optional(connection).await).await;
    kept.map_err(database_error)?
        .map(|kept| {
            let fingerprint = kept.fingerprint.try_into();
            let fingerprint = fingerprint.map_err(|_| Error::internal("a fingerprint has 32 bytes"))?;
            Ok(KeptAnswer { fingerprint, answer: kept.answer })
        })
        .transpose()
}

/// Keeps the answer to a request, in place of an expired one; tells whether it did. It does not if another transaction
/// has kept one, which it waits for.
pub async fn keep(tx: &mut TenantTx, identity: &Identity, answer: &[u8]) -> Result<bool, sqlx::Error> {
    let query = sqlx::query!(
        "INSERT INTO kept_answers (tenant_id, request, fingerprint, answer, kept_at) VALUES ($1, $2, $3, $4, now())
         ON CONFLICT (tenant_id, request) DO UPDATE
         SET fingerprint = excluded.fingerprint, answer = excluded.answer, kept_at = excluded.kept_at
         WHERE kept_answers.kept_at <= now() - interval '24 hours'",
        identity.scope.uuid(),
        identity.request.as_slice(),
        identity.fingerprint.as_slice(),
        answer
    );
    let kept = tx.within(identity.scope, async |connection| query.execute(connection).await).await?;
    Ok(kept.rows_affected() == 1)
}

/// Deletes what has expired, everybody's; how many that were.
pub async fn sweep(database: &Database) -> Result<u64, Error> {
    let mut swept = 0;
    loop {
        let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
        let batch = sqlx::query!(
            "DELETE FROM kept_answers
             WHERE kept_at <= now() - interval '24 hours' AND (tenant_id, request) IN (
                 SELECT tenant_id, request FROM kept_answers
                 WHERE kept_at <= now() - interval '24 hours' ORDER BY kept_at LIMIT $1
             )",
            BATCH as i64
        )
        .execute(&mut *tx)
        .await
        .map_err(database_error)?
        .rows_affected();
        tx.commit().await?;
        swept += batch;
        if batch < BATCH as u64 {
            return Ok(swept);
        }
    }
}
