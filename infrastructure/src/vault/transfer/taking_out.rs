//! What leaves with an export.

use application::error::Error;
use domain::ids::TenantId;
use uuid::Uuid;

use super::line::{PersonLine, PersonRow};
use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
    vault::{Named, addresses::ADDRESSES},
};

/// The keys of the people named, those that are destroyed too. For the platform's journal also all others that are
/// destroyed, so that tenants that are restored after it bring none of them back.
pub async fn people(database: &Database, tenant: TenantId, named: &Named) -> Result<Vec<PersonLine>, Error> {
    let (named, of_platform): (Vec<Uuid>, _) = (named.keys().collect(), tenant == TenantId::PLATFORM);
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let rows = sqlx::query_as!(
        PersonRow,
        "SELECT subject_id, past_of, key_id, wrapped_by, wrapped FROM subject_keys
         WHERE tenant_id = $1 AND subject_id <> $2 AND (key_id = ANY($3) OR ($4 AND wrapped IS NULL))
         ORDER BY key_id",
        TenantId::PLATFORM.uuid(),
        ADDRESSES,
        &named,
        of_platform
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(rows.into_iter().map(PersonLine::from).collect())
}

/// How many of the keys named are neither here nor known to be destroyed: what they have sealed can't be read.
pub async fn unknown(database: &Database, named: &Named) -> Result<u64, Error> {
    let named: Vec<Uuid> = named.keys().collect();
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM unnest($2::uuid[]) AS named (id)
           WHERE NOT EXISTS (SELECT FROM subject_keys WHERE tenant_id = $1 AND key_id = named.id)"#,
        TenantId::PLATFORM.uuid(),
        &named
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(count.unsigned_abs())
}
