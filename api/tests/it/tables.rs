//! The tables of the read models, row by row.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection};

use crate::app::TestApp;

/// What the journal consists of; all other tables are read models.
const JOURNAL: &[&str] = &[
    "_sqlx_migrations",
    "claims",
    "events",
    "journal_checkpoints",
    "journal_heads",
    "journal_tiles",
    "journal_trees",
    "kept_answers",
    "secrets",
    "snapshots",
    "subject_keys",
];

/// Every row of every read model, as JSON, in order. Checkpoints are among them.
pub(crate) type Tables = BTreeMap<String, Vec<String>>;

impl TestApp {
    /// Every row of every read model.
    pub(crate) async fn tables(&self) -> Tables {
        let mut superuser = self.superuser().await;
        let mut tables = Tables::new();
        for name in read_models(&mut superuser).await {
            // Which projections stand in one group is a matter of how it came about; where each stands is not.
            let source =
                if name == "projection_checkpoints" { "projection_positions" } else { name.as_str() };
            let query = format!("SELECT to_jsonb(t)::text FROM {source} AS t ORDER BY 1");
            let rows = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut superuser).await.unwrap();
            tables.insert(name, rows);
        }
        tables
    }

    /// Empties every read model, as if nothing had been projected yet.
    pub(crate) async fn forget_tables(&self) {
        let mut superuser = self.superuser().await;
        for name in read_models(&mut superuser).await {
            sqlx::query(AssertSqlSafe(format!("TRUNCATE {name}"))).execute(&mut superuser).await.unwrap();
        }
    }

    /// How many jobs have been added so far; for servers without workers, where none is done.
    pub(crate) async fn jobs(&self) -> i64 {
        let mut superuser = self.superuser().await;
        sqlx::query_scalar("SELECT count(*) FROM graphile_worker.jobs")
            .fetch_one(&mut superuser)
            .await
            .unwrap()
    }

    /// Waits until every projection has taken in every journal.
    pub(crate) async fn caught_up(&self) {
        let mut superuser = self.superuser().await;
        crate::app::eventually("projections that have caught up", async || {
            let behind: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM journal_heads AS head
                 CROSS JOIN unnest($1::text[]) AS projection
                 LEFT JOIN projection_positions AS checkpoint USING (tenant_id, projection)
                 WHERE coalesce(checkpoint.position, 0) < head.position",
            )
            .bind(::projections::ALL.iter().map(|projection| projection.name()).collect::<Vec<_>>())
            .fetch_one(&mut superuser)
            .await
            .unwrap();
            (behind == 0).then_some(())
        })
        .await;
    }
}

async fn read_models(superuser: &mut PgConnection) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
         ORDER BY 1",
    )
    .fetch_all(superuser)
    .await
    .unwrap();
    tables.into_iter().filter(|table| !JOURNAL.contains(&table.as_str())).collect()
}

/// Shows where two states differ, and fails if they do.
#[track_caller]
pub(crate) fn assert_same(one: &Tables, other: &Tables, what: &str) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (table, rows) in one {
        let others = &other[table];
        let gone: Vec<_> = rows.iter().filter(|row| !others.contains(row)).take(3).collect();
        let new: Vec<_> = others.iter().filter(|row| !rows.contains(row)).take(3).collect();
        assert!(rows == others, "{what}: {table} differs: {gone:#?} became {new:#?}");
    }
}
