//! Readers skip nothing: not past transactions that are left open elsewhere in the cluster, not past writers that give
//! up, not when a clock jumps back. Such things make a reader lose events that goes by row ids, sequences or times.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use ::projections::{ALL, rebuild};
use application::{app::App, workspaces};
use chrono::{DateTime, TimeDelta, Utc};
use domain::ctx::Ctx;
use futures_util::future::join_all;
use infrastructure::{journal::PgJournal, test_postgres::TEST_DATABASE_URL};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::{
    actors::{Key, Owner, event},
    app::TestApp,
    client::Client,
    tables::assert_same,
};

/// How many writers there are at once.
const WRITERS: usize = 6;
/// What each of them does.
const STEPS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_left_open_hides_nothing_from_any_reader() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let mut here = app.superuser().await;
    let mut elsewhere = PgConnection::connect(&std::env::var(TEST_DATABASE_URL).unwrap()).await.unwrap();
    // Their transaction ids are older than all that follow, and stay in progress: nothing that waits for older
    // transactions gets anywhere.
    for open in [&mut here, &mut elsewhere] {
        open.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()").await.unwrap();
    }
    write_and_read(&app, &owner, &app.annals.app).await;
    for open in [&mut here, &mut elsewhere] {
        open.execute("ROLLBACK").await.unwrap();
    }
    assert_rebuild_changes_nothing(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_hides_nothing_from_any_reader() {
    /// Each reading is before the one before it, by up to a day, but for every fifth, which is ahead of the time.
    fn jumping() -> DateTime<Utc> {
        static READINGS: AtomicI64 = AtomicI64::new(0);
        match READINGS.fetch_add(1, Ordering::Relaxed) {
            reading if reading % 5 == 4 => Utc::now() + TimeDelta::minutes(reading),
            reading => Utc::now() - TimeDelta::minutes(reading * 7 % 1_440),
        }
    }
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let (database, growth) = (app.annals.database.clone(), app.annals.growth.clone());
    let journal = Arc::new(PgJournal::new(database, growth).with_clock(jumping));
    write_and_read(&app, &owner, &App { journal, ..app.annals.app.clone() }).await;
    let journal = owner.journal().await;
    assert!(
        journal.is_sorted_by_key(|event| event["recorded_at"]
            .as_str()
            .unwrap()
            .parse::<DateTime<Utc>>()
            .unwrap())
    );
    assert_rebuild_changes_nothing(&app).await;
}

/// Lets readers follow a tenant while others write to it, in this process through the API and as another process does.
async fn write_and_read(app: &TestApp, owner: &Owner, other_process: &App) {
    let key = owner.key().await;
    let done = CancellationToken::new();
    let write = async {
        join_all((0..WRITERS).map(|writer| write(owner, &key, other_process, writer))).await;
        app.caught_up().await;
        done.cancel();
    };
    let ((), tailed, passes) = tokio::join!(write, tail(owner, &done), list(owner, &done));
    assert_eq!(tailed, owner.head().await, "the one who follows the journal has come to its end");
    assert!(passes.len() > 1, "the list was read while it grew");
    let audited: Vec<i64> =
        sqlx::query_scalar("SELECT position FROM audit WHERE tenant_id = $1 ORDER BY position DESC")
            .bind(owner.tenant.parse::<domain::ids::TenantId>().unwrap().uuid())
            .fetch_all(&mut app.superuser().await)
            .await
            .unwrap();
    assert!(audited.len() > WRITERS * STEPS * 2 / 5);
    for pass in passes {
        // Whoever begins at the newest entry of that moment and turns pages sees all that are older.
        let older: Vec<_> =
            audited.iter().copied().filter(|position| Some(position) <= pass.first()).collect();
        assert_eq!(pass, older);
    }
}

/// Writes, and looks each time whether what was acknowledged can be read. A good part of it is refused midway.
async fn write(owner: &Owner, key: &Key, other_process: &App, writer: usize) {
    for step in 0..STEPS {
        let name = format!("{writer}-{step}");
        let position = match step % 5 {
            0 => key.batch(&[event(&name), event("the same for all")]).await.ok().position(),
            1 => {
                let ctx = Ctx::system(owner.tenant.parse().unwrap(), Utc::now());
                workspaces::create(&ctx, other_process, name.parse().unwrap()).await.unwrap().position
            }
            2 => {
                // One of the writers is first; the others have locked the journal's head, and roll back.
                let answer = owner.invite(&format!("nobody{step}@example.com"), "member").await;
                assert!(answer.status == 201 || answer.code() == "invitation_pending", "{answer:?}");
                continue;
            }
            3 => {
                let answer = owner.delete(&owner.path("/members/mem_01h455vb4pex5vsknk084sn02q")).await;
                answer.problem(404, "not_found");
                continue;
            }
            _ => owner.post(&owner.path("/workspaces"), json!({"name": name})).await.ok().position(),
        };
        let seen =
            owner.get(&owner.path(&format!("/workspaces?limit=500&min_position={position}"))).await.ok();
        assert!(seen.position() >= position);
        assert!(
            step % 5 == 0 || seen.all("name").contains(&name),
            "{name} was written at {position}: {seen:?}"
        );
        let seen = owner.get(&owner.path(&format!("/audit?limit=1&min_position={position}"))).await.ok();
        assert!(seen.position() >= position);
        assert!(seen.items()[0]["position"].as_u64().unwrap() >= position || step % 5 == 0, "{seen:?}");
    }
}

/// Follows the journal as it grows; every position must follow the one before.
async fn tail(owner: &Owner, done: &CancellationToken) -> u64 {
    let mut last = 0;
    loop {
        let is_done = done.is_cancelled();
        let events = owner.get(&owner.path(&format!("/journal?after={last}&limit=7"))).await.ok();
        for event in events.items() {
            assert_eq!(event["position"], last + 1);
            last += 1;
        }
        if is_done && events.items().is_empty() {
            return last;
        }
    }
}

/// Lists the audit log from its newest entry to its oldest, again and again; the positions that each pass has seen.
async fn list(owner: &Owner, done: &CancellationToken) -> Vec<Vec<i64>> {
    let mut passes = Vec::new();
    loop {
        let is_done = done.is_cancelled();
        passes.push(pass(owner, &owner.path("/audit?limit=7")).await);
        if is_done {
            return passes;
        }
    }
}

async fn pass(client: &Client, path: &str) -> Vec<i64> {
    let (mut positions, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}{cursor}")).await.ok();
        positions.extend(page.items().iter().map(|entry| entry["position"].as_i64().unwrap()));
        match page.json["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return positions,
        }
    }
}

/// What was projected as it came is what a rebuild makes of the journals.
async fn assert_rebuild_changes_nothing(app: &TestApp) {
    app.caught_up().await;
    let before = app.tables().await;
    for extent in rebuild::extents(&app.annals.database, None).await.unwrap() {
        for projection in ALL.iter().filter(|projection| projection.is_rebuildable()) {
            rebuild::rebuild(&app.annals.database, *projection, extent.tenant, |_| ()).await.unwrap();
        }
    }
    assert_same(&before, &app.tables().await, "after a rebuild");
}
