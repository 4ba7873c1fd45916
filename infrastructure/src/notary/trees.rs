//! Trees that grow, as a visit finds them in the database and leaves them there.

use std::collections::HashSet;

use application::error::Error;
use domain::ids::TenantId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{checkpoint::Checkpoint, edge::Edge, signed::Signed, tiles::Pieces};
use crate::{database::database_error, projecting_tx::ProjectingTx};

/// A journal as a visit finds it.
pub(super) struct Found {
    pub(super) tenant: TenantId,
    /// The signed tree.
    pub(super) tree: Option<Signed>,
    /// The hashes of new leaves, in order.
    pub(super) leaves: Vec<Vec<u8>>,
    /// The position of the last of them.
    pub(super) last: Option<u64>,
}

/// A tree that has grown.
pub(super) struct Grown {
    pub(super) tenant: TenantId,
    /// How many leaves it had.
    pub(super) before: u64,
    pub(super) edge: Edge,
    pub(super) checkpoint: Checkpoint,
    /// What has become final of its tiles.
    pub(super) pieces: Pieces,
    /// How many leaves it was given.
    pub(super) leaves: usize,
}

/// The trees of the transaction's tenants as they are, and what is new in their journals, `batch` events of each at most.
pub(super) async fn look(tx: &mut ProjectingTx, batch: u32) -> Result<Vec<Found>, Error> {
    let tenants: Vec<Uuid> = tx.tenants().iter().map(|tenant| tenant.uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT asked.tenant_id AS "tenant_id!", tree.size AS "size?", tree.edge AS "edge?",
                  tree.checkpoint AS "checkpoint?", new.leaves, new.last,
                  -- Another notary may have died while it held a tree.
                  set_config('lock_timeout', '1s', true) AS patience
           FROM unnest($1::uuid[]) AS asked (tenant_id)
           LEFT JOIN journal_trees AS tree ON tree.tenant_id = asked.tenant_id
           -- OFFSET 0 is a fence: under a policy the index is entered with columns, not with expressions.
           CROSS JOIN LATERAL (SELECT coalesce(tree.size, 0) AS size OFFSET 0) AS signed
           CROSS JOIN LATERAL (
               SELECT array_agg(leaf_hash ORDER BY position) AS leaves, max(position) AS last
               FROM (
                   SELECT position, leaf_hash FROM events
                   WHERE tenant_id = asked.tenant_id AND position > signed.size
                   ORDER BY position LIMIT $2
               ) AS event
           ) AS new"#,
        &tenants,
        i64::from(batch)
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let found = rows.into_iter().map(|row| Found {
        tenant: row.tenant_id.into(),
        tree: row.size.zip(row.edge).zip(row.checkpoint).map(|((size, edge), checkpoint)| Signed {
            size: size as u64,
            edge,
            checkpoint,
        }),
        leaves: row.leaves.unwrap_or_default(),
        last: row.last.map(|last| last as u64),
    });
    Ok(found.collect())
}

/// Puts each tree in the place of the one that it has grown from, but for those where another notary was faster; tells for
/// which tenants it was done. Of each hour's checkpoints the last is kept.
pub(super) async fn keep(connection: &mut PgConnection, grown: &[Grown]) -> Result<HashSet<Uuid>, Error> {
    let tenants: Vec<Uuid> = grown.iter().map(|tree| tree.tenant.uuid()).collect();
    let before: Vec<i64> = grown.iter().map(|tree| tree.before as i64).collect();
    let sizes: Vec<i64> = grown.iter().map(|tree| tree.edge.size() as i64).collect();
    let edges: Vec<Vec<u8>> = grown.iter().map(|tree| tree.edge.to_bytes()).collect();
    let checkpoints: Vec<&str> = grown.iter().map(|tree| tree.checkpoint.note.as_str()).collect();
    let (mut owners, mut levels, mut tiles) = (Vec::new(), Vec::new(), Vec::new());
    let (mut starts, mut hashes): (_, Vec<&[u8]>) = (Vec::new(), Vec::new());
    for tree in grown {
        for piece in tree.pieces.iter() {
            owners.push(tree.tenant.uuid());
            levels.push(i16::from(piece.at.level));
            tiles.push(piece.at.tile as i64);
            starts.push(i16::from(piece.start));
            hashes.push(&piece.hashes);
        }
    }
    let signed = sqlx::query_scalar!(
        r#"WITH new AS (
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[], $5::text[])
                           AS new (tenant_id, before, size, edge, checkpoint)
         ), continued AS (
             UPDATE journal_trees AS tree
             SET size = new.size, edge = new.edge, checkpoint = new.checkpoint, signed_at = now()
             FROM new WHERE tree.tenant_id = new.tenant_id AND tree.size = new.before
             RETURNING tree.tenant_id, tree.signed_at
         ), begun AS (
             INSERT INTO journal_trees (tenant_id, size, edge, checkpoint, signed_at)
             SELECT tenant_id, size, edge, checkpoint, now() FROM new WHERE before = 0
             ON CONFLICT DO NOTHING
             RETURNING tenant_id
         ), kept AS (
             -- The statement's snapshot still has the checkpoint that was replaced.
             INSERT INTO journal_checkpoints (tenant_id, size, checkpoint, signed_at)
             SELECT earlier.tenant_id, earlier.size, earlier.checkpoint, earlier.signed_at
             FROM continued JOIN journal_trees AS earlier USING (tenant_id)
             WHERE date_trunc('hour', earlier.signed_at) < date_trunc('hour', continued.signed_at)
         ), signed AS (
             SELECT tenant_id FROM continued UNION ALL SELECT tenant_id FROM begun
         ), tiled AS (
             INSERT INTO journal_tiles (tenant_id, level, tile, start, hashes)
             SELECT tenant_id, level, tile, start, hashes
             FROM signed
             JOIN unnest($6::uuid[], $7::smallint[], $8::bigint[], $9::smallint[], $10::bytea[])
                  AS piece (tenant_id, level, tile, start, hashes) USING (tenant_id)
         )
         SELECT tenant_id AS "tenant_id!" FROM signed"#,
        &tenants,
        &before,
        &sizes,
        &edges,
        &checkpoints as &[&str],
        &owners,
        &levels,
        &tiles,
        &starts,
        &hashes as &[&[u8]]
    )
    .fetch_all(connection)
    .await
    .map_err(|error| match (grown, error.as_database_error().and_then(|error| error.constraint())) {
        ([tree], Some("journal_tiles_pkey")) => not_as_signed(tree.tenant, "it has tiles beyond its tree"),
        _ => database_error(error),
    })?;
    Ok(signed.into_iter().collect())
}

pub(super) fn not_as_signed(tenant: TenantId, what: &str) -> Error {
    let help = format!("`annals verify --database --tenant {tenant}` tells more");
    Error::internal(format!(
        "the journal of {tenant} is not as it was signed, so it is not signed again: {what}; {help}"
    ))
}

#[cfg(test)]
#[cfg(feature = "test-support")]
mod tests {
    use super::*;
    use crate::{
        database::Database,
        notary::{Notary, NotaryKey},
        tenant_tx::TenantTx,
        test_postgres::{TestDatabase, events_read},
        vault::Vault,
    };

    /// A visit costs what is new, however long the journal is.
    #[tokio::test]
    async fn a_visit_reads_what_is_new_and_nothing_else() {
        let test_database = TestDatabase::migrated().await;
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
        let mut tx = ProjectingTx::begin(&database, vec![tenant]).await.unwrap();
        let before = events_read(&mut tx).await;
        assert_eq!(look(&mut tx, 8_192).await.unwrap()[0].leaves.len(), 10);
        let read = events_read(&mut tx).await - before;
        assert!((10..1_000).contains(&read), "{read} rows and index entries were read");
    }
}
