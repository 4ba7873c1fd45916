//! Projections that stand together, and those that do not, against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::time::Duration;

use domain::ids::TenantId;
use infrastructure::tenant_tx::TenantTx;
use projections::{fold::Projection, workspaces::Workspaces};
use tokio::time::{sleep, timeout};

use self::fixture::{Fixture, Probe};

// A projector wants them to live for ever. Tests that share a process share them, so no two change the same one.
static LAGGING: Probe = Probe::new("lagging");
static LEADING: Probe = Probe::new("leading");
static LEADING_ALONE: [&dyn Projection; 1] = [&LEADING];
static LAGGING_AND_LEADING: [&dyn Projection; 2] = [&LAGGING, &LEADING];
static LOCKED: Probe = Probe::new("locked");
static LOCKED_AND_WORKSPACES: [&dyn Projection; 2] = [&LOCKED, &Workspaces];

/// Who takes a group apart has it as it is then: not as it was before others joined it and it went on.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_taken_apart_while_it_moves_stays_where_it_has_come() {
    let fixture = Fixture::new().await;
    for _ in 0..40 {
        let tenant = TenantId::random();
        fixture.append_to(tenant, 30).await;
        let begin = async || TenantTx::begin(&fixture.database, tenant).await.unwrap();
        let advance = async |tx: &mut TenantTx| -> Vec<String> {
            let moved = "SELECT moved FROM advance_group($1, '{a,b,c}', true, 10)";
            sqlx::query_scalar(moved).bind(tenant.uuid()).fetch_one(&mut **tx).await.unwrap()
        };
        let mut first = begin().await;
        sqlx::query("INSERT INTO projection_checkpoints VALUES ($1, '{a}', 10), ($1, '{b,c}', 10)")
            .bind(tenant.uuid())
            .execute(&mut *first)
            .await
            .unwrap();
        first.commit().await.unwrap();
        let mut first = begin().await;
        assert_eq!(advance(&mut first).await, ["a", "b", "c"]);
        let taking_apart = async {
            let mut tx = begin().await;
            let apart = sqlx::query("SELECT stand_apart($1, '{b}')").bind(tenant.uuid());
            apart.execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        };
        let going_on = async {
            loop {
                let mut tx = begin().await;
                let moved = advance(&mut tx).await;
                tx.commit().await.unwrap();
                if !moved.is_empty() {
                    return moved;
                }
            }
        };
        let committing = async {
            sleep(Duration::from_millis(5)).await;
            first.commit().await.unwrap();
        };
        let ((), moved, ()) = tokio::join!(taking_apart, going_on, committing);
        let standing: Vec<(String, i64)> = sqlx::query_as(
            "SELECT projection, position FROM projection_positions WHERE tenant_id = $1 ORDER BY 1",
        )
        .bind(tenant.uuid())
        .fetch_all(&mut *begin().await)
        .await
        .unwrap();
        let expected: Vec<(String, i64)> = ["a", "b", "c"]
            .map(|name| (name.to_owned(), if moved.iter().any(|moved| moved == name) { 30 } else { 20 }))
            .into();
        assert_eq!(standing, expected);
    }
}

#[tokio::test]
async fn a_laggard_catches_up_while_the_others_go_first_and_then_they_go_together() {
    let fixture = Fixture::new().await;
    let leading = fixture.projector(&LEADING_ALONE);
    fixture.append_many(2_300).await;
    leading.catch_up(fixture.tenant).await.unwrap();
    assert_eq!(LEADING.batches(), [(1, 1_000), (1_001, 2_000), (2_001, 2_300)]);
    fixture.append_many(1_500).await;

    // Neither waits for the other longer than a batch; when both are at the head, they share batches.
    let both = fixture.projector(&LAGGING_AND_LEADING);
    both.catch_up(fixture.tenant).await.unwrap();
    assert_eq!(LEADING.batches(), [(2_301, 3_300), (3_301, 3_800)]);
    assert_eq!(LAGGING.batches(), [(1, 1_000), (1_001, 2_000), (2_001, 3_000), (3_001, 3_800)]);
    fixture.append().await;
    both.catch_up(fixture.tenant).await.unwrap();
    assert_eq!((LEADING.batches(), LAGGING.batches()), (vec![(3_801, 3_801)], vec![(3_801, 3_801)]));
}

#[tokio::test]
async fn who_is_locked_is_left_alone_and_the_rest_go_on() {
    let fixture = Fixture::new().await;
    let projector = fixture.projector(&LOCKED_AND_WORKSPACES);
    fixture.append().await;
    projector.catch_up(fixture.tenant).await.unwrap();
    let mut elsewhere = TenantTx::begin(&fixture.database, fixture.tenant).await.unwrap();
    let apart = sqlx::query("SELECT stand_apart($1, '{locked}')").bind(fixture.tenant.uuid());
    apart.execute(&mut *elsewhere).await.unwrap();
    elsewhere.commit().await.unwrap();
    let mut elsewhere = TenantTx::begin(&fixture.database, fixture.tenant).await.unwrap();
    let lock = "SELECT FROM projection_checkpoints WHERE projections = '{locked}' FOR UPDATE";
    sqlx::query(lock).execute(&mut *elsewhere).await.unwrap();
    fixture.append().await;
    let caught_up = timeout(Duration::from_secs(5), projector.catch_up(fixture.tenant)).await;
    caught_up.expect("it waits for the lock").unwrap();
    assert_eq!(fixture.checkpoint(&LOCKED).await, (1, None));
    assert_eq!((fixture.checkpoint(&Workspaces).await, fixture.workspaces().await), ((2, None), 2));
    drop(elsewhere);
    sleep(Duration::from_millis(250)).await;
    projector.catch_up(fixture.tenant).await.unwrap();
    assert_eq!(fixture.checkpoint(&LOCKED).await, (2, None));
}
