//! The databases that the tests get.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;

use infrastructure::test_postgres::TestDatabase;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

async fn migrate(options: PgConnectOptions) -> Result<(), Infallible> {
    let mut connection = options.connect().await.unwrap();
    connection.execute("CREATE TABLE migrated AS SELECT 1 AS value").await.unwrap();
    // Left open on purpose, as a pool would.
    std::mem::forget(connection);
    Ok(())
}

#[tokio::test]
async fn each_has_its_own_copy_of_one_template() {
    let (one, two) = tokio::join!(
        TestDatabase::from_template("each_has_its_own", migrate),
        TestDatabase::from_template("each_has_its_own", migrate),
    );
    assert_ne!(one.name(), two.name());
    let mut in_one = one.connect_options().connect().await.unwrap();
    let mut in_two = two.url().parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
    in_one.execute("INSERT INTO migrated VALUES (2)").await.unwrap();
    for (connection, wanted) in [(&mut in_one, 2), (&mut in_two, 1)] {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM migrated").fetch_one(connection).await.unwrap();
        assert_eq!(count, wanted);
    }
}

#[tokio::test]
async fn it_goes_with_the_value() {
    let other = TestDatabase::empty().await;
    let database = TestDatabase::empty().await;
    let name = database.name().to_owned();
    let open = database.connect_options().connect().await.unwrap();
    drop(database);
    let mut connection = other.connect_options().connect().await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
    connection.close().await.unwrap();
    drop(open);
}
