//! The private values of a journal's streams on their way to another installation with the same secret key: password
//! hashes, which no journal holds. They travel sealed, in the file with the keys of people.

use application::error::Error;
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{aggregate::Fact, ids::TenantId, users::SubjectErased};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::TransferError;
use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
    vault::Vault,
};

/// A private value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretLine {
    /// The stream that keeps it.
    secret_of: Uuid,
    /// What it is.
    name: String,
    /// What it is sealed with.
    wrapped_by: String,
    /// The value, sealed, in base64.
    wrapped: String,
}

/// All private values of a tenant's streams.
pub async fn secrets(database: &Database, tenant: TenantId) -> Result<Vec<SecretLine>, Error> {
    let wrapping = database.vault().keyring()?.wrapping();
    let mut tx = TenantTx::begin(database, tenant).await?;
    let rows = sqlx::query!(
        "SELECT stream_id, name, value FROM secrets WHERE tenant_id = $1 ORDER BY stream_id, name",
        tenant.uuid()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    let lines = rows.into_iter().map(|row| SecretLine {
        wrapped: STANDARD.encode(wrapping.seal(&row.value, &context(row.stream_id, &row.name))),
        wrapped_by: wrapping.name().to_owned(),
        secret_of: row.stream_id,
        name: row.name,
    });
    Ok(lines.collect())
}

/// Takes in private values of a tenant's streams. Those that a stream keeps here already are newer, and who is erased keeps
/// none.
pub async fn take_in_secrets(
    database: &Database,
    tenant: TenantId,
    secrets: &[SecretLine],
) -> Result<(), TransferError> {
    let (mut streams, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for secret in secrets {
        values.push(secret.open(database.vault())?);
        streams.push(secret.secret_of);
        names.push(secret.name.as_str());
    }
    let mut tx = TenantTx::begin(database, tenant).await?;
    sqlx::query!(
        "INSERT INTO secrets (tenant_id, stream_id, name, value)
         SELECT $1, stream, name, value FROM unnest($2::uuid[], $3::text[], $4::bytea[]) AS new (stream, name, value)
         WHERE NOT EXISTS (
             SELECT FROM events WHERE tenant_id = $1 AND stream_id = new.stream AND event_type = $5
         )
         ON CONFLICT DO NOTHING",
        tenant.uuid(),
        &streams,
        &names as &[&str],
        &values,
        SubjectErased::TYPE
    )
    .execute(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(tx.commit().await?)
}

impl SecretLine {
    fn open(&self, vault: &Vault) -> Result<Vec<u8>, TransferError> {
        let wrapping = vault.keyring()?.find(&self.wrapped_by).map_err(|_| TransferError::OtherSecret)?;
        let wrapped = STANDARD.decode(&self.wrapped).ok();
        let opened = wrapped.and_then(|it| wrapping.open(&it, &context(self.secret_of, &self.name)));
        opened.ok_or(TransferError::Damaged(self.secret_of))
    }
}

/// A value opens for its own stream and name only.
fn context(stream: Uuid, name: &str) -> Vec<u8> {
    [stream.as_bytes(), name.as_bytes()].concat()
}
