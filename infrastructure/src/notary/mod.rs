//! The notary: lets each tenant's Merkle tree grow with its journal, and signs it.
//!
//! A checkpoint that was signed must never be contradicted by a later one. That holds whatever dies when, and however many
//! notaries work at once, because a tree is made of nothing but events that are committed for good and in their final
//! order: two notaries that look at the same events sign the same tree, to the byte, and one that looks later signs a
//! longer one. Beyond that a notary goes on only from what its own key has signed: an edge that does not give the root of
//! its checkpoint was changed behind its back, and is left for `annals verify` to tell of.
//!
//! Its commits need not wait for the disk. A crash of PostgreSQL may forget a checkpoint that somebody has fetched; but it
//! forgets no event that was committed, so what is signed next continues what was forgotten.

mod checkpoint;
pub mod edge;
mod key;
pub mod proofs;
mod rounds;
pub mod signed;
mod tiles;

use application::error::Error;
use domain::ids::TenantId;
use tlog_tiles::Hash;

pub(crate) use self::checkpoint::claimed;
pub use self::{
    checkpoint::{Checkpoint, CheckpointError},
    key::{NotaryKey, PublicKey, PublicKeyError},
};
use self::{edge::Edge, tiles::Pieces};
use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};

/// How many events are taken into a tree in one visit.
const BATCH: u32 = 8_192;

/// Signs the trees of all tenants.
pub struct Notary {
    database: Database,
    key: NotaryKey,
    batch: u32,
}

/// How a visit to a tenant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The signed tree covers the journal, as far as could be seen.
    Done,
    /// A batch was signed, by this notary or by another one; there may be more.
    More,
}

/// A journal as a visit finds it.
struct Found {
    edge: Edge,
    /// The hashes of new leaves, in order.
    leaves: Vec<Vec<u8>>,
}

impl Notary {
    /// A notary for the journals in `database`.
    pub fn new(database: Database, key: NotaryKey) -> Self {
        Self { database, key, batch: BATCH }
    }

    /// The same with smaller batches.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn with_batch(self, batch: u32) -> Self {
        Self { batch, ..self }
    }

    /// Signs all of a tenant's journal.
    pub async fn catch_up(&self, tenant: TenantId) -> Result<(), Error> {
        while self.visit(tenant).await? == Visit::More {}
        Ok(())
    }

    /// Takes new events of a tenant into its tree, at most a batch, and signs it.
    pub async fn visit(&self, tenant: TenantId) -> Result<Visit, Error> {
        let mut tx = TenantTx::begin(&self.database, tenant).await?;
        let Found { mut edge, leaves } = self.look(&mut tx).await?;
        if leaves.is_empty() {
            return Ok(Visit::Done);
        }
        let (before, mut pieces) = (edge.size(), Pieces::default());
        for leaf in &leaves {
            let leaf = leaf.as_slice().try_into().map_err(|_| Error::internal("a leaf hash has 32 bytes"))?;
            edge.grow(leaf, |hash| pieces.push(&hash));
        }
        let checkpoint = self.key.sign(tenant, edge.size(), Hash(edge.root()));
        if !keep(&mut tx, before, &edge, &checkpoint, pieces).await? {
            // Another notary was faster, and may have signed less.
            return Ok(Visit::More);
        }
        tx.commit().await?;
        metrics::counter!("annals_notary_checkpoints_total").increment(1);
        Ok(if leaves.len() < self.batch as usize { Visit::Done } else { Visit::More })
    }

    /// The tree as it is, and what is new.
    async fn look(&self, tx: &mut TenantTx) -> Result<Found, Error> {
        let tenant = tx.tenant();
        let found = sqlx::query!(
            r#"SELECT tree.size AS "size?", tree.edge AS "edge?", tree.checkpoint AS "checkpoint?",
                      grown.leaves, grown.last, set_config('synchronous_commit', 'off', true) AS commits
               FROM (
                   SELECT array_agg(leaf_hash ORDER BY position) AS leaves, max(position) AS last
                   FROM (
                       SELECT position, leaf_hash FROM events
                       WHERE tenant_id = $1
                         -- A subquery of its own, for under a policy the index would not be entered with tree.size.
                         AND position > (SELECT coalesce(max(size), 0) FROM journal_trees WHERE tenant_id = $1)
                       ORDER BY position LIMIT $2
                   ) AS new
               ) AS grown
               LEFT JOIN journal_trees AS tree ON tree.tenant_id = $1"#,
            tenant.uuid(),
            i64::from(self.batch)
        )
        .fetch_one(&mut **tx)
        .await
        .map_err(database_error)?;
        let edge = match (found.size, found.edge, found.checkpoint) {
            (Some(size), Some(edge), Some(checkpoint)) => {
                self.recognize(tenant, size as u64, &edge, &checkpoint)?
            }
            _ => Edge::default(),
        };
        let leaves = found.leaves.unwrap_or_default();
        if let Some(last) = found.last
            && last as u64 != edge.size() + leaves.len() as u64
        {
            return Err(not_as_signed(tenant, "events are missing"));
        }
        Ok(Found { edge, leaves })
    }

    /// The edge that was kept with a checkpoint, if the two belong together and the key has signed them.
    fn recognize(&self, tenant: TenantId, size: u64, edge: &[u8], note: &str) -> Result<Edge, Error> {
        let edge =
            Edge::from_bytes(size, edge).ok_or_else(|| not_as_signed(tenant, "the edge is damaged"))?;
        match self.key.public().open(note) {
            Ok(signed) if signed.tenant == tenant && signed.size == size && signed.root == edge.root() => {
                Ok(edge)
            }
            // An installation that was given another key: nothing binds the new one yet, and what it signs says so.
            Err(CheckpointError::OtherKey) => {
                tracing::warn!(%tenant, size, "the last checkpoint is another key's; this one continues its tree");
                Ok(edge)
            }
            Ok(_) => Err(not_as_signed(tenant, "the checkpoint is of another tree")),
            Err(error) => Err(not_as_signed(tenant, &error.to_string())),
        }
    }
}

fn not_as_signed(tenant: TenantId, what: &str) -> Error {
    let help = format!("`annals verify --database --tenant {tenant}` tells more");
    Error::internal(format!(
        "the journal of {tenant} is not as it was signed, so it is not signed again: {what}; {help}"
    ))
}

/// Puts a tree in the place of the one that had `before` leaves; does nothing and says so if another notary was faster. Of
/// each hour's checkpoints the last is kept.
async fn keep(
    tx: &mut TenantTx,
    before: u64,
    edge: &Edge,
    checkpoint: &Checkpoint,
    pieces: Pieces,
) -> Result<bool, Error> {
    let (mut levels, mut tiles, mut starts, mut hashes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for piece in pieces.into_inner() {
        levels.push(i16::from(piece.at.level));
        tiles.push(piece.at.tile as i64);
        starts.push(i16::from(piece.start));
        hashes.push(piece.hashes);
    }
    let written = sqlx::query!(
        "WITH signed AS (
             INSERT INTO journal_trees AS tree (tenant_id, size, edge, checkpoint, signed_at)
             VALUES ($1, $3, $4, $5, now())
             ON CONFLICT (tenant_id) DO UPDATE
                 SET size = excluded.size, edge = excluded.edge, checkpoint = excluded.checkpoint,
                     signed_at = excluded.signed_at
                 WHERE tree.size = $2
             RETURNING tenant_id, signed_at
         ), kept AS (
             -- The statement's snapshot still has the checkpoint that was replaced.
             INSERT INTO journal_checkpoints (tenant_id, size, checkpoint, signed_at)
             SELECT earlier.tenant_id, earlier.size, earlier.checkpoint, earlier.signed_at
             FROM signed JOIN journal_trees AS earlier USING (tenant_id)
             WHERE date_trunc('hour', earlier.signed_at) < date_trunc('hour', signed.signed_at)
         )
         INSERT INTO journal_tiles (tenant_id, level, tile, start, hashes)
         SELECT tenant_id, level, tile, start, hashes
         FROM signed, unnest($6::smallint[], $7::bigint[], $8::smallint[], $9::bytea[])
                          AS new (level, tile, start, hashes)",
        tx.tenant().uuid(),
        before as i64,
        edge.size() as i64,
        edge.to_bytes(),
        checkpoint.note,
        &levels,
        &tiles,
        &starts,
        &hashes
    )
    .execute(&mut **tx)
    .await
    .map_err(database_error)?;
    Ok(written.rows_affected() > 0)
}

#[cfg(test)]
#[cfg(feature = "test-support")]
mod tests {
    use super::*;
    use crate::{database, test_postgres::TestDatabase, vault::Vault};

    /// A visit costs what is new, however long the journal is.
    #[tokio::test]
    async fn a_visit_reads_what_is_new_and_nothing_else() {
        let migrate = async |options| database::migrate(&options).await;
        let test_database = TestDatabase::from_template(database::schema_version(), migrate).await;
        let database = Database::connect(test_database.connect_options(), 2, Vault::locked()).await.unwrap();
        let (tenant, notary) =
            (TenantId::random(), Notary::new(database.clone(), NotaryKey::of_seed([1; 32])));
        let grow = async |from: i64, to: i64| {
            let mut tx = TenantTx::begin(&database, tenant).await.unwrap();
            sqlx::query(
                "INSERT INTO events (tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type,
                                     event_version, payload, metadata, leaf_hash)
                 SELECT $1, n, gen_random_uuid(), 1, now(), 'x', 'X', 1, '{}', '{}', sha256(int8send(n))
                 FROM generate_series($2, $3) AS n",
            )
            .bind(tenant.uuid())
            .bind(from)
            .bind(to)
            .execute(&mut *tx)
            .await
            .unwrap();
            tx.commit().await.unwrap();
        };
        grow(1, 20_000).await;
        notary.catch_up(tenant).await.unwrap();
        grow(20_001, 20_010).await;
        let mut tx = TenantTx::begin(&database, tenant).await.unwrap();
        let before = rows_read(&mut tx).await;
        assert_eq!(notary.look(&mut tx).await.unwrap().leaves.len(), 10);
        let read = rows_read(&mut tx).await - before;
        assert!((10..1_000).contains(&read), "{read} rows and index entries were read");
    }

    /// How many rows and index entries of events this connection has read lately.
    async fn rows_read(tx: &mut TenantTx) -> i64 {
        sqlx::query_scalar(
            "SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::bigint
             FROM pg_class WHERE relname IN ('events', 'events_pkey', 'events_by_stream')",
        )
        .fetch_one(&mut **tx)
        .await
        .unwrap()
    }
}
