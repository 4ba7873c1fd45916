//! Counting claims anew: from what each stream holds, and nothing else.

use std::collections::{HashMap, HashSet};

use application::{claim::ClaimKind, error::Error};
use domain::{aggregate::RefusalKind, personal::ERASED};
use uuid::Uuid;

use super::{
    claims::stored,
    load::{Load, Way, load},
};
use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
    vault::{Source, Vault},
};

/// How many streams are read at a time.
const STREAMS: usize = 500;

/// What streams of one kind hold.
#[derive(Default)]
struct Held {
    /// Who holds each value, as the table has it.
    holders: HashMap<String, Uuid>,
    /// Who holds a value that nobody can read (any more).
    unreadable: HashSet<Uuid>,
}

/// Makes the claims of the transaction's tenant those that its streams hold. Its journal's end is locked, so that nobody
/// claims meanwhile. The claims of who can't be read stay as they are.
///
/// # Errors
/// A conflict, if another tenant's stream holds a value.
pub async fn recount_claims(database: &Database, tx: &mut TenantTx) -> Result<(), Error> {
    let vault = database.vault();
    let mut streams = streams(tx).await?;
    for kind in ClaimKind::ALL {
        let streams = streams.remove(kind.rule().stream_kind).unwrap_or_default();
        let held = held(tx, vault, kind, &streams).await?;
        write(tx, kind, &streams, held).await?;
    }
    Ok(())
}

/// The streams that can hold something, by kind.
async fn streams(tx: &mut TenantTx) -> Result<HashMap<String, Vec<Uuid>>, Error> {
    let kinds = ClaimKind::ALL.map(|kind| kind.rule().stream_kind);
    let rows = sqlx::query!(
        "SELECT stream_kind, stream_id FROM events
         WHERE tenant_id = $1 AND sequence = 1 AND stream_kind = ANY($2)",
        tx.tenant().uuid(),
        &kinds as &[&str]
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let mut streams: HashMap<String, Vec<Uuid>> = HashMap::new();
    for row in rows {
        streams.entry(row.stream_kind).or_default().push(row.stream_id);
    }
    Ok(streams)
}

async fn held(tx: &mut TenantTx, vault: &Vault, kind: ClaimKind, streams: &[Uuid]) -> Result<Held, Error> {
    let (rule, tenant, mut held) = (kind.rule(), tx.tenant(), Held::default());
    for streams in streams.chunks(STREAMS) {
        let requests: Vec<_> = streams.iter().map(|id| rule.stream(*id)).collect();
        let asked = Load { tenant, streams: requests, firsts: Vec::new() };
        for history in load(Way::Connection(tx), vault, asked).await?.histories {
            let Some(value) = rule.held(&history)? else { continue };
            if kind.is_address() && value == ERASED {
                held.unreadable.insert(history.stream.id);
                continue;
            }
            let value = stored(vault, Source::Connection(tx), kind, &value).await?;
            held.holders.insert(value.into_owned(), history.stream.id);
        }
    }
    Ok(held)
}

async fn write(tx: &mut TenantTx, kind: ClaimKind, streams: &[Uuid], held: Held) -> Result<(), Error> {
    let readable: Vec<Uuid> =
        streams.iter().copied().filter(|stream| !held.unreadable.contains(stream)).collect();
    let (values, holders): (Vec<String>, Vec<Uuid>) = held.holders.into_iter().unzip();
    let scope = kind.scope(tx.tenant());
    // Deleting comes first in a statement of its own: both in one would not see each other's rows.
    let delete = sqlx::query!(
        "DELETE FROM claims AS claim
         WHERE tenant_id = $1 AND kind = $2 AND stream_id = ANY($3)
           AND NOT EXISTS (
               SELECT FROM unnest($4::text[], $5::uuid[]) AS held (value, holder)
               WHERE held.value = claim.value AND held.holder = claim.stream_id
           )",
        scope.uuid(),
        kind.as_str(),
        &readable,
        &values,
        &holders
    );
    let insert = sqlx::query!(
        "INSERT INTO claims (tenant_id, kind, value, stream_id)
         SELECT $1, $2, value, holder FROM unnest($3::text[], $4::uuid[]) AS held (value, holder)
         ORDER BY value
         ON CONFLICT DO NOTHING",
        scope.uuid(),
        kind.as_str(),
        &values,
        &holders
    );
    let held_by_others = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM unnest($3::text[], $4::uuid[]) AS held (value, holder)
           WHERE NOT EXISTS (
               SELECT FROM claims AS claim
               WHERE tenant_id = $1 AND kind = $2 AND claim.value = held.value AND stream_id = held.holder
           )"#,
        scope.uuid(),
        kind.as_str(),
        &values,
        &holders
    );
    let count = tx
        .within(scope, async |connection| {
            delete.execute(&mut *connection).await?;
            insert.execute(&mut *connection).await?;
            held_by_others.fetch_one(connection).await
        })
        .await
        .map_err(database_error)?;
    match count {
        0 => Ok(()),
        _ => Err(Error::refused(
            RefusalKind::Conflict,
            "claim_taken",
            format!(
                "{count} of the values of kind {:?} that its streams hold belong to others here",
                kind.as_str()
            ),
        )),
    }
}
