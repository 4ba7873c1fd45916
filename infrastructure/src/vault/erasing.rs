//! Destroying people's keys.

use application::error::Error;
use domain::ids::TenantId;
use uuid::Uuid;

use crate::{database::database_error, tenant_tx::TenantTx};

/// Destroys the keys of users, those that they were given elsewhere too, and with them what was recorded about `address`.
/// Where a user's key was, none is ever made again; an address can become somebody else's. A destroyed key can't be brought
/// back from a file: its id stays.
pub(crate) async fn destroy(tx: &mut TenantTx, users: &[Uuid], address: Option<Uuid>) -> Result<(), Error> {
    if users.is_empty() && address.is_none() {
        return Ok(());
    }
    let ids: Vec<Uuid> = users.iter().map(|_| Uuid::now_v7()).collect();
    let query = sqlx::query!(
        "WITH past AS (
             UPDATE subject_keys SET wrapped_by = '', wrapped = NULL WHERE tenant_id = $1 AND past_of = ANY($2)
         ), address AS (
             UPDATE subject_keys SET subject_id = key_id, past_of = NULL, wrapped_by = '', wrapped = NULL
             WHERE tenant_id = $1 AND (subject_id = $3 OR past_of = $3)
         ), secret AS (
             DELETE FROM secrets WHERE tenant_id = $1 AND stream_id = ANY($2)
         )
         INSERT INTO subject_keys (tenant_id, subject_id, key_id, wrapped_by, wrapped)
         SELECT $1, erased, id, '', NULL FROM unnest($2, $4::uuid[]) AS new (erased, id)
         ON CONFLICT (tenant_id, subject_id) DO UPDATE SET wrapped_by = '', wrapped = NULL",
        TenantId::PLATFORM.uuid(),
        users,
        address,
        &ids
    );
    tx.within(TenantId::PLATFORM, async |connection| query.execute(connection).await)
        .await
        .map(drop)
        .map_err(database_error)
}
