//! A commit behind the journal's lock: of commands that claim, give back or keep something besides their events, and of all
//! commands while another process writes to the same journal.

use std::collections::BTreeSet;

use application::{
    error::Error,
    journal::Snapshot,
    once::{Once, in_use},
    work::{Changes, Erased},
};
use chrono::{DateTime, Utc};
use domain::{
    ids::{TenantId, UserId},
    recorded_event::StreamId,
};
use secrecy::ExposeSecret;
use serde_json::value::to_raw_value;
use sqlx::FromRow;
use uuid::Uuid;

use super::{
    Head,
    appender::{Append, append, gave_way, is_repeated},
    claims::{Taken, give_back, take},
    opening::open_events,
    read::read_streams,
    round::Round,
};
use crate::{
    database::{Database, database_error},
    kept_answers,
    tenant_tx::TenantTx,
    vault::{Source, Vault, erasing::destroy, seal},
};

/// What became of a commit.
pub(super) enum Committing {
    /// It is done.
    Done,
    /// Another stream holds a value that was to be claimed, or another request has kept its answer; nothing was committed.
    Refused(Error),
    /// Another commit was in the way; nothing was committed.
    GaveWay,
    /// A stream exists that was to be begun; nothing was committed.
    Repeated,
    /// Nothing was committed, because these sessions have newer events than was known.
    SessionsChanged(Vec<Uuid>),
}

/// A journal whose end is locked, so that this transaction is its only writer.
pub(super) struct Locked {
    pub(super) tx: TenantTx,
    /// Where it ends.
    pub(super) head: Head,
    /// The streams that have got events after the position that was known; `None`: too many to name.
    pub(super) changed: Option<Vec<Uuid>>,
}

/// Locks the end of a tenant's journal, of which the events up to position `known` are known.
pub(super) async fn lock_journal(
    database: &Database,
    tenant: TenantId,
    known: u64,
    now: DateTime<Utc>,
) -> Result<Locked, Error> {
    let question = format!(
        "SELECT head, head_at, changed FROM journal_lock('{}', {known}, '{}')",
        tenant.uuid(),
        now.to_rfc3339()
    );
    let (tx, answer) = TenantTx::begin_asking(database, tenant, &question).await?;
    let [row] = answer.as_slice() else { return Err(Error::internal("a journal has one end")) };
    let (position, recorded_at, changed): (i64, _, _) = FromRow::from_row(row).map_err(database_error)?;
    Ok(Locked { tx, head: Head { position: position as u64, recorded_at }, changed })
}

/// Writes all that a round holds behind the locked head, and commits.
pub(super) async fn commit(mut tx: TenantTx, vault: &Vault, round: &mut Round) -> Result<Committing, Error> {
    let own = round.own.take();
    let erases = own.as_ref().is_some_and(|changes| !changes.erased.is_empty());
    let (witnesses, once) = (round.witnesses(), round.once());
    if own.is_none() && once.is_none() && round.events() == 0 && witnesses.is_empty() {
        return Ok(Committing::Done);
    }
    if let Some(changes) = own
        && let Some(refusal) = write(&mut tx, vault, changes).await?
    {
        // What is taken may have been taken by the same request, in another tenant's journal or another process.
        return Ok(match once {
            Some(once) if kept_answers::find(&mut tx, &once.identity).await?.is_some() => {
                Committing::Refused(in_use())
            }
            _ => refusal,
        });
    }
    let (tenant, recordings) = (tx.tenant(), round.recordings.clone());
    let appended =
        append(&mut tx, &[Append { tenant, after: round.after, head: round.head, recordings, witnesses }])
            .await;
    match appended {
        Err(error) if is_repeated(&error) => Ok(Committing::Repeated),
        Err(error) if gave_way(&error) => Ok(Committing::GaveWay),
        Err(error) => Err(database_error(error)),
        Ok(call) if !call.changed.is_empty() => Ok(Committing::SessionsChanged(call.changed)),
        Ok(call) if call.appended.is_empty() => Err(Error::internal("a locked journal does not grow")),
        Ok(_) => {
            if let Some(once) = once
                && let Some(refusal) = keep_answer(&mut tx, vault, round, &once).await?
            {
                return Ok(refusal);
            }
            tx.commit().await?;
            if erases {
                vault.forget();
            }
            Ok(Committing::Done)
        }
    }
}

/// Keeps the answer of the round's only command; tells what refuses it, if something does.
async fn keep_answer(
    tx: &mut TenantTx,
    vault: &Vault,
    round: &mut Round,
    once: &Once,
) -> Result<Option<Committing>, Error> {
    // As of the commit: what was appended is among them, and nobody else appends.
    let mut events = match once.streams.as_slice() {
        [] => Vec::new(),
        streams => read_streams(tx, streams).await?,
    };
    let tenant = tx.tenant();
    open_events(vault, Source::Connection(tx), tenant, &mut events).await?;
    let answer = match round.render(once, &events) {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(None),
        Err(error) => return Ok(Some(Committing::Refused(error))),
    };
    match kept_answers::keep(tx, &once.identity, &answer).await {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some(Committing::Refused(in_use()))),
        Err(error) if gave_way(&error) => Ok(Some(Committing::GaveWay)),
        Err(error) => Err(database_error(error)),
    }
}

/// Writes what a command needs besides its events; tells what refuses it, if something does.
async fn write(tx: &mut TenantTx, vault: &Vault, changes: Changes) -> Result<Option<Committing>, Error> {
    for release in &changes.releases {
        give_back(tx, vault, release).await?;
    }
    for claim in changes.claims {
        match take(tx, vault, &claim).await? {
            Taken::Yes => {}
            Taken::No => return Ok(Some(Committing::Refused(claim.taken))),
            Taken::GaveWay => return Ok(Some(Committing::GaveWay)),
        }
    }
    for erased in &changes.erased {
        erase(tx, vault, erased).await?;
    }
    for secret in changes.secrets {
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
    Ok(None)
}

async fn erase(tx: &mut TenantTx, vault: &Vault, erased: &Erased) -> Result<(), Error> {
    let address = match &erased.address {
        Some(address) => Some(vault.addresses(Source::Connection(tx)).await?.id(address.as_str())),
        None => None,
    };
    destroy(tx, &[erased.user.uuid()], address).await
}

/// Keeps snapshots. They are a shortcut, so they are written after the commit, and nobody misses one that is lost.
pub(super) async fn keep_snapshots(
    database: Database,
    tenant: TenantId,
    snapshots: Vec<(StreamId, Snapshot)>,
) {
    if let Err(error) = try_keep_snapshots(&database, tenant, snapshots).await {
        tracing::debug!(%tenant, %error, "snapshots are lost; the next ones will do");
    }
}

async fn try_keep_snapshots(
    database: &Database,
    tenant: TenantId,
    mut snapshots: Vec<(StreamId, Snapshot)>,
) -> Result<(), Error> {
    seal_snapshots(database, tenant, &mut snapshots).await?;
    let streams: Vec<Uuid> = snapshots.iter().map(|(stream, _)| stream.id).collect();
    let sequences: Vec<i64> = snapshots.iter().map(|(_, snapshot)| snapshot.sequence as i64).collect();
    let versions: Vec<i16> = snapshots.iter().map(|(_, snapshot)| snapshot.version as i16).collect();
    let states: Vec<&str> = snapshots.iter().map(|(_, snapshot)| snapshot.state.get()).collect();
    let mut tx = TenantTx::begin(database, tenant).await?;
    sqlx::query!(
        "INSERT INTO snapshots (tenant_id, stream_id, sequence, version, state)
         SELECT $1, stream_id, sequence, version, state::json
         FROM unnest($2::uuid[], $3::bigint[], $4::smallint[], $5::text[]) AS new (stream_id, sequence, version, state)
         ON CONFLICT (tenant_id, stream_id) DO UPDATE
         SET sequence = excluded.sequence, version = excluded.version, state = excluded.state
         WHERE snapshots.sequence <= excluded.sequence OR snapshots.version <> excluded.version",
        tenant.uuid(),
        &streams,
        &sequences,
        &versions,
        &states as &[&str]
    )
    .execute(&mut *tx)
    .await
    .map_err(database_error)?;
    tx.commit().await
}

/// Seals the states that are about people.
async fn seal_snapshots(
    database: &Database,
    tenant: TenantId,
    snapshots: &mut [(StreamId, Snapshot)],
) -> Result<(), Error> {
    let subjects: BTreeSet<Uuid> =
        snapshots.iter().filter_map(|(_, snapshot)| snapshot.about.map(UserId::uuid)).collect();
    if subjects.is_empty() {
        return Ok(());
    }
    let keys = database.vault().keys_of(Source::Pool(database), &subjects).await?;
    for (_, snapshot) in snapshots {
        let Some(user) = snapshot.about else { continue };
        let key = keys.get(&user.uuid()).and_then(Option::as_ref);
        let sealed = seal(snapshot.state.get(), key, tenant);
        snapshot.state = to_raw_value(&sealed).map_err(Error::internal)?;
    }
    Ok(())
}
