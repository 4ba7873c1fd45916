//! Read models that were fed through all of it are what a rebuild makes of the journals.

use std::collections::BTreeMap;

use infrastructure::{database::Database, vault::Vault};
use projections::{ALL, rebuild};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{cluster::DATABASE, installation::Installation};

/// How often it is tried to find the journals at rest: a request whose client has left may still be under way.
const TRIES: usize = 5;

pub(super) async fn problems(installation: &Installation, owner: &mut PgConnection) -> Vec<String> {
    for _ in 0..TRIES {
        let before = Tables::read(owner).await;
        rebuild_all(installation).await;
        let after = Tables::read(owner).await;
        if before.heads == after.heads {
            return before.differences(&after);
        }
    }
    vec!["the journals go on growing although nobody asks for anything".to_owned()]
}

async fn rebuild_all(installation: &Installation) {
    let database =
        Database::connect(installation.cluster.options(DATABASE), 4, Vault::locked()).await.unwrap();
    let extents = rebuild::extents(&database, None).await.unwrap();
    for projection in ALL.iter().filter(|projection| projection.is_rebuildable()) {
        for extent in &extents {
            rebuild::rebuild(&database, *projection, extent.tenant, |_| ()).await.unwrap();
        }
    }
    database.close().await;
}

/// Every row of every table but the events and what a notary says of them, which it does in its own time, in one snapshot.
/// What else is no read model does not change in a rebuild either.
struct Tables {
    rows: BTreeMap<String, Vec<String>>,
    heads: Vec<String>,
}

impl Tables {
    async fn read(owner: &mut PgConnection) -> Self {
        let mut tx = owner.begin().await.unwrap();
        tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.unwrap();
        let names = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
                     AND relname NOT IN ('events', 'journal_trees', 'journal_tiles', 'journal_checkpoints')";
        let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut *tx).await.unwrap();
        let mut tables = BTreeMap::new();
        for name in names {
            // Which projections stand in one group is a matter of how it came about; where each stands is not.
            let source = if name == "projection_checkpoints" { "projection_positions" } else { &name };
            let query = format!("SELECT to_jsonb(t)::text FROM {source} AS t ORDER BY 1");
            let rows = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut *tx).await.unwrap();
            tables.insert(name, rows);
        }
        let heads = tables["journal_heads"].clone();
        Self { rows: tables, heads }
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (table, rows) in &self.rows {
            let others = &other.rows[table];
            let gone = rows.iter().find(|row| others.binary_search(row).is_err());
            let new = others.iter().find(|row| rows.binary_search(row).is_err());
            if rows != others {
                differences.push(format!("a rebuild changes {table}: {gone:?} becomes {new:?}"));
            }
        }
        differences
    }
}
