//! Claims in their table.

use std::borrow::Cow;

use application::{
    claim::{Claim, ClaimKind, Release},
    error::Error,
};

use super::appender::gave_way;
use crate::{
    database::database_error,
    tenant_tx::TenantTx,
    vault::{Source, Vault},
};

/// A claim's value as the table has it: of an address only its derived id, so that nobody reads addresses there.
pub(super) async fn stored<'v>(
    vault: &Vault,
    source: Source<'_>,
    kind: ClaimKind,
    value: &'v str,
) -> Result<Cow<'v, str>, Error> {
    if !kind.is_address() {
        return Ok(value.into());
    }
    Ok(vault.addresses(source).await?.id(value).to_string().into())
}

/// What came of taking a value.
pub(super) enum Taken {
    /// The stream holds it now.
    Yes,
    /// Another stream does.
    No,
    /// Two tenants wanted each other's claims, and PostgreSQL chose this one to give way.
    GaveWay,
}

/// Takes a value for a stream.
pub(super) async fn take(tx: &mut TenantTx, vault: &Vault, claim: &Claim) -> Result<Taken, Error> {
    let value = stored(vault, Source::Connection(tx), claim.kind, &claim.value).await?;
    let scope = claim.kind.scope(tx.tenant());
    let query = sqlx::query_scalar!(
        r#"WITH taken AS (
               INSERT INTO claims (tenant_id, kind, value, stream_id) VALUES ($1, $2, $3, $4)
               ON CONFLICT DO NOTHING RETURNING stream_id
           )
           SELECT stream_id AS "stream_id!" FROM taken
           UNION ALL
           SELECT stream_id FROM claims WHERE tenant_id = $1 AND kind = $2 AND value = $3"#,
        scope.uuid(),
        claim.kind.as_str(),
        &*value,
        claim.holder
    );
    match tx.within(scope, async |connection| query.fetch_optional(connection).await).await {
        Ok(Some(holder)) if holder == claim.holder => Ok(Taken::Yes),
        // No row at all: somebody else's claim was committed after this statement began.
        Ok(_) => Ok(Taken::No),
        Err(error) if gave_way(&error) => Ok(Taken::GaveWay),
        Err(error) => Err(database_error(error)),
    }
}

/// Gives a value back, if the stream holds it.
pub(super) async fn give_back(tx: &mut TenantTx, vault: &Vault, release: &Release) -> Result<(), Error> {
    let value = stored(vault, Source::Connection(tx), release.kind, &release.value).await?;
    let scope = release.kind.scope(tx.tenant());
    let query = sqlx::query!(
        "DELETE FROM claims WHERE tenant_id = $1 AND kind = $2 AND value = $3 AND stream_id = $4",
        scope.uuid(),
        release.kind.as_str(),
        &*value,
        release.holder
    );
    tx.within(scope, async |connection| query.execute(connection).await)
        .await
        .map(drop)
        .map_err(database_error)
}
