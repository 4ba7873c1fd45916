//! What the projector and a rebuild promise each other, against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::{sync::Arc, time::Duration};

use infrastructure::{projecting_tx::ProjectingTx, tenant_tx::TenantTx};
use projections::{audit::Audit, fold::Projection, rebuild::rebuild, workspaces::Workspaces};
use tokio::time::{sleep, timeout};

use self::fixture::{Fixture, Probe};

// A projector wants them to live for ever. Tests that share a process share them, so no two change the same one.
static OTHER: Probe = Probe::new("other");
static REBUILT: Probe = Probe::new("rebuilt");
static REBUILT_AND_OTHER: [&dyn Projection; 2] = [&REBUILT, &OTHER];
static WAITED_FOR: [&dyn Projection; 1] = [&Workspaces];
static CALM: Probe = Probe::new("calm");
static BUSY: [&dyn Projection; 3] = [&Workspaces, &CALM, &Audit];

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_being_rebuilt_holds_up_no_other_and_catches_up_afterwards() {
    let fixture = Fixture::new().await;
    let projector = fixture.projector(&REBUILT_AND_OTHER);
    fixture.append().await;
    let database = fixture.database.clone();
    // A projection that has never begun: its checkpoint is made by the rebuild.
    let rebuilding = tokio::spawn({
        let tenant = fixture.tenant;
        async move { rebuild(&database, &REBUILT, tenant, |_| {}).await }
    });
    REBUILT.forgets.notified().await;

    // It returns, instead of waiting or going round and round.
    timeout(Duration::from_secs(5), projector.catch_up(fixture.tenant)).await.unwrap().unwrap();
    assert_eq!(fixture.checkpoint(&OTHER).await, (1, None));
    let running = tokio::spawn(Arc::clone(&projector).run());
    for _ in 0..2 {
        let position = fixture.append().await;
        fixture.reaches(&OTHER, position).await;
        // Long enough for the projector to want the other one again.
        sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(fixture.checkpoint(&REBUILT).await, (0, None));

    // A rebuild that is given up has done nothing: all is left to the projector.
    rebuilding.abort();
    assert!(rebuilding.await.unwrap_err().is_cancelled());
    fixture.reaches(&REBUILT, 3).await;
    assert_eq!(fixture.checkpoint(&REBUILT).await, (3, None));
    running.abort();
}

/// The pool's limits on statements are for requests: who waits for a long rebuild has lifted them before.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_waits_for_another_one_without_a_limit() {
    let fixture = Fixture::new().await;
    fixture.append().await;
    fixture.projector(&WAITED_FOR).catch_up(fixture.tenant).await.unwrap();
    let mut another = ProjectingTx::begin(&fixture.database, vec![fixture.tenant]).await.unwrap();
    let lock = "SELECT FROM projection_checkpoints WHERE projections = '{workspaces}' FOR UPDATE";
    sqlx::query(lock).execute(&mut *another).await.unwrap();
    let (database, tenant) = (fixture.database.clone(), fixture.tenant);
    let rebuilding = tokio::spawn(async move { rebuild(&database, &Workspaces, tenant, |_| {}).await });
    let mut superuser = fixture.superuser().await;
    let waits = async {
        loop {
            let waiting = "SELECT query FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            if let Some(query) =
                sqlx::query_scalar::<_, String>(waiting).fetch_optional(&mut superuser).await.unwrap()
            {
                return query;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let query = timeout(Duration::from_secs(10), waits).await.unwrap();
    assert!(query.contains("FOR UPDATE"), "it waits before its limits are lifted: {query}");
    drop(another);
    rebuilding.await.unwrap().unwrap();
    assert_eq!(fixture.workspaces().await, 1);
}

/// Visits bring groups together while rebuilds take them apart: no projection is in two groups or in none, and each event is
/// taken in once.
#[tokio::test(flavor = "multi_thread")]
async fn visits_and_rebuilds_at_once_lose_no_projection_and_double_none() {
    let fixture = Fixture::new().await;
    let running: Vec<_> = (0..2).map(|_| tokio::spawn(fixture.projector(&BUSY).run())).collect();
    fixture.append().await;
    let rebuilding = async |projection: &'static dyn Projection| {
        for _ in 0..15 {
            rebuild(&fixture.database, projection, fixture.tenant, |_| {}).await.unwrap();
        }
    };
    let appending = async {
        let mut head = 0;
        for _ in 0..60 {
            head = fixture.append_many(3).await;
        }
        head
    };
    let (head, (), ()) = tokio::join!(appending, rebuilding(&Workspaces), rebuilding(&Audit));
    let reached = async {
        for projection in BUSY {
            while fixture.checkpoint(projection).await != (head, None) {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    timeout(Duration::from_secs(20), reached).await.unwrap();
    running.into_iter().for_each(|task| task.abort());
    let mut tx = TenantTx::begin(&fixture.database, fixture.tenant).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar("SELECT projection FROM projection_positions ORDER BY 1")
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert_eq!(names, ["audit", "calm", "workspaces"]);
    assert_eq!(fixture.workspaces().await, head as i64);
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(audited, head as i64);
    let seen: u64 = CALM.batches().iter().map(|(first, last)| last - first + 1).sum();
    assert_eq!(seen, head, "what is not rebuilt sees each event once");
}
