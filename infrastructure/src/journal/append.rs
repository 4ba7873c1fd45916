//! Writing a commit.

use application::{
    claim::{Claim, Release},
    error::Error,
    work::{Changes, NewEvent},
};
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx,
    recorded_event::{Leaf, leaf_hash},
};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::Head;
use crate::{database::database_error, tenant_tx::TenantTx};

/// What became of an append.
pub(super) enum Appended {
    /// The journal ends here once the transaction commits.
    UpTo(u64),
    /// Another writer has taken a sequence; nothing of this may be committed.
    Conflict,
}

/// Locks the end of the journal of the transaction's tenant, so that this transaction is its only writer.
pub(super) async fn lock_head(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<Head, Error> {
    if let Some(head) = try_lock_head(tx).await? {
        return Ok(head);
    }
    sqlx::query!(
        "INSERT INTO journal_heads (tenant_id, position, recorded_at) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING",
        tx.tenant().uuid(),
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(database_error)?;
    try_lock_head(tx).await?.ok_or_else(|| Error::internal("a journal's head is never deleted"))
}

async fn try_lock_head(tx: &mut TenantTx) -> Result<Option<Head>, Error> {
    let head = sqlx::query!(
        "SELECT position, recorded_at FROM journal_heads WHERE tenant_id = $1 FOR UPDATE",
        tx.tenant().uuid()
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(head.map(|head| Head { position: head.position as u64, recorded_at: head.recorded_at }))
}

/// Writes all that a commit holds behind the locked head.
pub(super) async fn append(
    tx: &mut TenantTx,
    ctx: &Ctx,
    head: Head,
    now: DateTime<Utc>,
    changes: Changes,
) -> Result<Appended, Error> {
    let Changes { events, claims, releases, secrets, snapshots } = changes;
    for release in &releases {
        give_back(tx, release).await?;
    }
    for claim in claims {
        take(tx, claim).await?;
    }
    let position = head.position + events.len() as u64;
    if !events.is_empty() {
        let recorded_at = now.max(head.recorded_at);
        match write_events(tx, ctx, head.position, recorded_at, &events).await {
            Err(error) if is_conflict(&error) => return Ok(Appended::Conflict),
            written => written.map_err(database_error)?,
        }
    }
    for secret in secrets {
        sqlx::query!(
            "INSERT INTO secrets (tenant_id, stream_id, name, value) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, stream_id, name) DO UPDATE SET value = excluded.value",
            tx.tenant().uuid(),
            secret.stream,
            secret.name,
            secret.value.expose_secret()
        )
        .execute(&mut **tx)
        .await
        .map_err(database_error)?;
    }
    for (stream, snapshot) in snapshots {
        sqlx::query!(
            "INSERT INTO snapshots (tenant_id, stream_id, sequence, version, state)
             VALUES ($1, $2, $3, $4, $5::text::json)
             ON CONFLICT (tenant_id, stream_id) DO UPDATE
             SET sequence = excluded.sequence, version = excluded.version, state = excluded.state",
            tx.tenant().uuid(),
            stream.id,
            snapshot.sequence as i64,
            snapshot.version as i16,
            snapshot.state.get()
        )
        .execute(&mut **tx)
        .await
        .map_err(database_error)?;
    }
    Ok(Appended::UpTo(position))
}

/// Inserts the events and moves the head, in one statement.
async fn write_events(
    tx: &mut TenantTx,
    ctx: &Ctx,
    after: u64,
    recorded_at: DateTime<Utc>,
    events: &[NewEvent],
) -> Result<(), sqlx::Error> {
    let tenant_id = tx.tenant();
    let metadata =
        serde_json::to_string(&ctx.metadata()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let hash = |(index, event): (usize, &NewEvent)| {
        leaf_hash(&Leaf {
            tenant_id,
            position: after + 1 + index as u64,
            stream: &event.stream,
            sequence: event.sequence,
            event_type: event.event_type,
            event_version: event.event_version,
            recorded_at,
            payload: event.payload.get(),
            metadata: &metadata,
        })
        .to_vec()
    };
    let hashes: Vec<Vec<u8>> = events.iter().enumerate().map(hash).collect();
    let stream_ids: Vec<Uuid> = events.iter().map(|event| event.stream.id).collect();
    let sequences: Vec<i64> = events.iter().map(|event| event.sequence as i64).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.stream.kind.as_str()).collect();
    let types: Vec<&str> = events.iter().map(|event| event.event_type).collect();
    let versions: Vec<i16> = events.iter().map(|event| event.event_version as i16).collect();
    let payloads: Vec<&str> = events.iter().map(|event| event.payload.get()).collect();
    sqlx::query!(
        r#"WITH head AS (
               UPDATE journal_heads SET position = $2 + cardinality($5::uuid[]), recorded_at = $3 WHERE tenant_id = $1
           )
           INSERT INTO events (tenant_id, position, recorded_at, metadata, stream_id, sequence, stream_kind, event_type,
                               event_version, payload, leaf_hash)
           SELECT $1, $2 + place, $3, $4::text::json, stream_id, sequence, stream_kind, event_type, event_version,
                  payload::json, leaf_hash
           FROM unnest($5::uuid[], $6::bigint[], $7::text[], $8::text[], $9::smallint[], $10::text[], $11::bytea[])
                WITH ORDINALITY
                AS new (stream_id, sequence, stream_kind, event_type, event_version, payload, leaf_hash, place)"#,
        tenant_id.uuid(),
        after as i64,
        recorded_at,
        metadata,
        &stream_ids,
        &sequences,
        &kinds as &[&str],
        &types as &[&str],
        &versions,
        &payloads as &[&str],
        &hashes
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Takes a value for a stream, or fails with what the claim says if another stream holds it.
async fn take(tx: &mut TenantTx, claim: Claim) -> Result<(), Error> {
    let tenant = tx.tenant();
    let scope = claim.kind.scope(tenant);
    if scope != tenant {
        tx.switch(scope).await?;
    }
    let holder = sqlx::query_scalar!(
        r#"WITH taken AS (
               INSERT INTO claims (tenant_id, kind, value, stream_id) VALUES ($1, $2, $3, $4)
               ON CONFLICT DO NOTHING RETURNING stream_id
           )
           SELECT stream_id AS "stream_id!" FROM taken
           UNION ALL
           SELECT stream_id FROM claims WHERE tenant_id = $1 AND kind = $2 AND value = $3"#,
        scope.uuid(),
        claim.kind.as_str(),
        claim.value,
        claim.holder
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(database_error)?;
    if scope != tenant {
        tx.switch(tenant).await?;
    }
    // No row at all: somebody else's claim was committed after this statement began.
    if holder == Some(claim.holder) { Ok(()) } else { Err(claim.taken) }
}

async fn give_back(tx: &mut TenantTx, release: &Release) -> Result<(), Error> {
    let tenant = tx.tenant();
    let scope = release.kind.scope(tenant);
    if scope != tenant {
        tx.switch(scope).await?;
    }
    sqlx::query!(
        "DELETE FROM claims WHERE tenant_id = $1 AND kind = $2 AND value = $3 AND stream_id = $4",
        scope.uuid(),
        release.kind.as_str(),
        release.value,
        release.holder
    )
    .execute(&mut **tx)
    .await
    .map_err(database_error)?;
    if scope != tenant {
        tx.switch(tenant).await?;
    }
    Ok(())
}

/// Whether a commit was ended so that another, with which it was in a deadlock, can go on.
pub(super) fn gave_way(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<sqlx::Error>().is_some_and(is_conflict)
}

/// Whether another writer has taken a position or a sequence meanwhile.
fn is_conflict(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.code().as_deref() {
        Some("40001" | "40P01") => true,
        Some("23505") => matches!(error.constraint(), Some("events_by_stream" | "events_pkey")),
        _ => false,
    }
}
