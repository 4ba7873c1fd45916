//! Who can't see what, and what nobody can change, against a real PostgreSQL.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use application::journal::Journal;
use domain::ids::{TenantId, WorkspaceId};
use infrastructure::{database::Database, projecting_tx::ProjectingTx, tenant_tx::TenantTx};
use sqlx::Executor;

use self::fixture::{Fixture, create_workspace, ctx, vault};

#[tokio::test]
async fn every_table_with_a_tenant_is_under_forced_row_level_security() {
    let fixture = Fixture::new().await;
    let mut owner = fixture.superuser().await;
    let tables: Vec<(String, bool)> = sqlx::query_as(
        "SELECT relname::text, relrowsecurity AND relforcerowsecurity
                AND EXISTS (SELECT FROM pg_policy WHERE polrelid = class.oid)
         FROM pg_class AS class
         WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname <> '_sqlx_migrations'",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(tables.len() > 5);
    for (table, isolated) in &tables {
        assert!(isolated, "{table} is not isolated");
        let first: String = sqlx::query_scalar(
            "SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
             WHERE indrelid = $1::regclass AND indisprimary",
        )
        .bind(table)
        .fetch_one(&mut owner)
        .await
        .unwrap();
        assert_eq!(first, "tenant_id", "the primary key of {table}");
    }
}

#[tokio::test]
async fn without_a_tenant_nothing_is_seen_and_with_one_only_its_own() {
    let fixture = Fixture::new().await;
    let (one, other) = (TenantId::random(), TenantId::random());
    create_workspace(&fixture.journal, &ctx(one), WorkspaceId::random()).await.unwrap();
    let mut connection = fixture.superuser().await;
    connection.execute("SET ROLE annals_app").await.unwrap();
    for table in [
        "events",
        "journal_heads",
        "claims",
        "secrets",
        "snapshots",
        "kept_answers",
        "projection_checkpoints",
    ] {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let seen: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    for (tenant, expected) in [(one, 1), (other, 0), (TenantId::PLATFORM, 0)] {
        let mut tx = TenantTx::begin(&fixture.database, tenant).await.unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, expected);
    }
    let mut tx = TenantTx::begin(&fixture.database, other).await.unwrap();
    let forged = sqlx::query("INSERT INTO claims VALUES ($1, 'slug', 'x', $1)").bind(one.uuid());
    assert!(forged.execute(&mut *tx).await.is_err());
}

#[tokio::test]
async fn who_projects_sees_the_tenants_that_are_named_and_writes_no_journal() {
    let fixture = Fixture::new().await;
    let [one, other, third] = [(); 3].map(|()| TenantId::random());
    for tenant in [one, other, third] {
        create_workspace(&fixture.journal, &ctx(tenant), WorkspaceId::random()).await.unwrap();
    }
    let mut tx = ProjectingTx::begin(&fixture.database, vec![one, other]).await.unwrap();
    for (table, expected) in
        [("events", 2), ("journal_heads", 2), ("claims", 0), ("snapshots", 0), ("secrets", 0)]
    {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let seen: i64 = sqlx::query_scalar(query).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, expected, "{table}");
    }
    let project = "INSERT INTO audit (tenant_id, position, action, occurred_at) VALUES ($1, 1, 'x', now())";
    for tenant in [one, other] {
        sqlx::query(project).bind(tenant.uuid()).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    for forbidden in [
        project,
        "INSERT INTO journal_heads (tenant_id, position, recorded_at) VALUES ($1, 9, now())",
        "INSERT INTO claims VALUES ($1, 'slug', 'x', $1)",
        "INSERT INTO events SELECT $1, 2, stream_id, 2, recorded_at, stream_kind, event_type, event_version, payload,
                                   metadata, leaf_hash FROM events LIMIT 1",
    ] {
        let mut tx = ProjectingTx::begin(&fixture.database, vec![one, other]).await.unwrap();
        let tenant = if forbidden == project { third } else { one };
        let attempt = sqlx::query(forbidden).bind(tenant.uuid()).execute(&mut *tx).await;
        assert!(attempt.unwrap_err().to_string().contains("row-level security"), "{forbidden}");
    }
    assert!(!fixture.database.carries_tenant().await.unwrap());
}

#[tokio::test]
async fn events_can_not_be_changed_by_anybody() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::random();
    create_workspace(&fixture.journal, &ctx(tenant), WorkspaceId::random()).await.unwrap();
    let mut owner = fixture.superuser().await;
    let attempts = [
        "UPDATE events SET sequence = sequence",
        "DELETE FROM events",
        "TRUNCATE events",
        "TRUNCATE events CASCADE",
        "SET session_replication_role = replica; DELETE FROM events",
    ];
    for attempt in attempts {
        let error = owner.execute(attempt).await.unwrap_err().to_string();
        assert!(error.contains("immutable"), "the owner: {attempt}: {error}");
        owner.execute("RESET session_replication_role").await.unwrap();
        let mut tx = TenantTx::begin(&fixture.database, tenant).await.unwrap();
        assert!(tx.execute(attempt).await.is_err(), "the application: {attempt}");
    }
    assert_eq!(fixture.journal.head(tenant).await.unwrap(), 1);
    assert_eq!(fixture.journal.read(tenant, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_connection_goes_back_to_the_pool_with_a_tenant() {
    let fixture = Fixture::new().await;
    let options = fixture.test_database.connect_options();
    let database = Database::connect(options, 2, vault()).await.unwrap();
    for polls in 0..40 {
        // Giving up in the middle of `begin` is what can leave a transaction open behind sqlx's back.
        let mut begin = Box::pin(TenantTx::begin(&database, TenantId::random()));
        for _ in 0..polls % 4 {
            if tokio::time::timeout(std::time::Duration::from_micros(50), begin.as_mut()).await.is_ok() {
                break;
            }
        }
        drop(begin);
        assert!(database.ping().await.is_ok());
        assert!(!database.carries_tenant().await.unwrap());
    }
}
