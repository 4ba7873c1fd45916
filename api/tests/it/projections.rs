//! Read models: that they are what the journal says, whatever happens to the projector.

use std::time::Duration;

use ::projections::{ALL, projector::Projector, rebuild};
use infrastructure::growth::Growth;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    actors::event,
    app::{TestApp, eventually},
    history,
    tables::assert_same,
};

#[tokio::test]
async fn a_rebuild_leaves_every_row_as_it_was() {
    let app = TestApp::spawn().await;
    let administrator = app.administrator().await;
    for _ in 0..2 {
        history::lively(&app, &administrator).await;
    }
    app.caught_up().await;
    let before = app.tables().await;
    for (table, rows) in &before {
        assert!(!rows.is_empty(), "nothing in {table}: the history is not lively enough");
    }
    let extents = rebuild::extents(&app.annals.database, None).await.unwrap();
    assert_eq!(extents.len(), 3, "two tenants and the platform");
    for projection in ALL.iter().filter(|projection| projection.is_rebuildable()) {
        for extent in &extents {
            let mut replayed = 0;
            let progress = |events| replayed += events;
            rebuild::rebuild(&app.annals.database, *projection, extent.tenant, progress).await.unwrap();
            assert_eq!(replayed, extent.events);
            assert_same(&before, &app.tables().await, projection.name());
        }
    }
}

#[tokio::test]
async fn an_administrators_rebuild_mends_what_was_broken() {
    let app = TestApp::spawn().await;
    let administrator = app.administrator().await;
    let owner = history::lively(&app, &administrator).await;
    app.caught_up().await;
    let before = app.tables().await;
    let damage = "UPDATE usage SET count = count + 1; DELETE FROM members; UPDATE audit SET action = 'x'";
    app.superuser().await.execute(damage).await.unwrap();
    let rebuild = async |projection: &str, body| {
        administrator.post(&format!("/v1/admin/projections/{projection}/rebuild"), body).await
    };
    for (projection, body) in [
        ("usage", json!({})),
        ("members", json!({"tenant_id": owner.tenant})),
        ("audit", json!({"tenant_id": null})),
    ] {
        let queued = rebuild(projection, body).await.expect(StatusCode::ACCEPTED);
        assert_eq!(queued.text_of("status"), "queued");
        assert!(queued.text_of("job_id").starts_with("job_"));
    }
    eventually("tables as they were", async || (app.tables().await == before).then_some(())).await;
    rebuild("reactions", json!({})).await.problem(409, "not_rebuildable");
    rebuild("nothing", json!({})).await.problem(404, "not_found");
    rebuild("usage", json!({"tenant": owner.tenant})).await.problem(422, "validation_failed");
    let unknown = json!({"tenant_id": "ten_01h455vb4pex5vsknk084sn02q"});
    rebuild("usage", unknown).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_is_killed_again_and_again_ends_where_an_undisturbed_one_does() {
    let app = TestApp::spawn().await;
    let administrator = app.administrator().await;
    for _ in 0..2 {
        let owner = history::lively(&app, &administrator).await;
        let plan = json!({"plan": "free", "events_per_month": 1_000_000, "seats": 5});
        administrator.post(&format!("/v1/admin/tenants/{}/plan", owner.tenant), plan).await.ok();
        let key = owner.key().await;
        for batch in 0..3 {
            let events: Vec<_> = (0..1_000).map(|index| event(&format!("bulk-{batch}-{index}"))).collect();
            key.batch(&events).await.ok();
        }
    }
    app.caught_up().await;
    eventually("no job to do", async || (app.jobs().await == 0).then_some(())).await;
    app.stop_workers().await;
    let first = app.tables().await;
    app.forget_tables().await;
    let database = &app.annals.database;
    let behind = async || {
        let mut superuser = app.superuser().await;
        let done: i64 =
            sqlx::query_scalar("SELECT coalesce(sum(position), 0)::bigint FROM projection_positions")
                .fetch_one(&mut superuser)
                .await
                .unwrap();
        let all: i64 = sqlx::query_scalar("SELECT sum(position)::bigint * $1 FROM journal_heads")
            .bind(ALL.len() as i64)
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        all - done
    };
    let (mut kills, mut before) = (0_u64, behind().await);
    // Each lives a little longer than the one before, so that each kind of step is cut off somewhere.
    while before > 0 {
        let projector = Projector::new(database.clone(), ALL, Growth::default());
        let running = tokio::spawn(projector.run());
        tokio::time::sleep(Duration::from_millis(5 + 3 * kills)).await;
        running.abort();
        let _ = running.await;
        kills += 1;
        assert!(kills < 200, "it gets nowhere");
        before = behind().await;
    }
    assert!(kills > 5, "it was killed {kills} times only");
    let jobs = app.jobs().await;
    assert_same(&first, &app.tables().await, "after being killed");
    app.forget_tables().await;
    let running = tokio::spawn(Projector::new(database.clone(), ALL, Growth::default()).run());
    app.caught_up().await;
    running.abort();
    assert_same(&first, &app.tables().await, "undisturbed");
    assert_eq!(app.jobs().await, 2 * jobs, "a reaction was lost or came twice");
}

#[tokio::test]
async fn one_reads_ones_own_writes() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    for round in 0..10 {
        let name = format!("Lab {round}");
        let answer = owner.post(&owner.path("/workspaces"), json!({"name": name})).await.ok();
        let path = owner.path(&format!("/workspaces?min_position={}", answer.position()));
        let list = owner.get(&path).await.ok();
        assert!(list.position() >= answer.position());
        assert_eq!(list.all("name").last(), Some(&name));
        let answer = key.batch(&[event(&format!("m{round}"))]).await.ok();
        let path = owner.path(&format!("/usage/current?min_position={}", answer.position()));
        assert_eq!(owner.get(&path).await.ok().data()["used"], round + 1);
        let path = owner.path(&format!("/audit?limit=1&min_position={}", answer.position()));
        assert!(owner.get(&path).await.ok().position() >= answer.position());
    }
}

#[tokio::test]
async fn a_read_model_that_does_not_come_is_said_to_be_behind() {
    let app = TestApp::without_workers().await;
    let owner = app.owner().await;
    let start = std::time::Instant::now();
    let paths = ["", "/members", "/workspaces", "/subscription", "/usage/current", "/audit", "/invitations"];
    let owner = &owner;
    let reads = paths.map(async |path| owner.get(&owner.path(&format!("{path}?min_position=7"))).await);
    for answer in futures_util::future::join_all(reads).await {
        assert_eq!(answer.problem(504, "read_model_behind").position(), 0);
    }
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(10), "{waited:?}");
    // What does not ask for a position is answered, and writes do not wait for read models at all.
    assert!(owner.get(&owner.path("/members")).await.ok().items().is_empty());
    let made =
        owner.post(&owner.path("/workspaces"), json!({"name": "Lab"})).await.expect(StatusCode::CREATED);
    assert_eq!(made.position(), 8);
}

#[tokio::test]
async fn a_projection_that_fails_for_a_tenant_holds_up_nothing_else() {
    let app = TestApp::spawn().await;
    let administrator = app.administrator().await;
    let (poor, rich) = (app.owner().await, app.owner().await);
    let id: domain::ids::TenantId = poor.tenant.parse().unwrap();
    let poison = format!(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poisoned'; END $$;
         CREATE TRIGGER poison BEFORE INSERT ON workspaces FOR EACH ROW
             WHEN (new.tenant_id = '{}' AND new.name = 'Poison') EXECUTE FUNCTION poison()",
        id.uuid()
    );
    app.superuser().await.execute(AssertSqlSafe(poison)).await.unwrap();
    let create = async |owner: &crate::actors::Owner| {
        owner.post(&owner.path("/workspaces"), json!({"name": "Poison"})).await.ok().position()
    };
    let (in_poor, in_rich) = (create(&poor).await, create(&rich).await);
    rich.get(&rich.path(&format!("/workspaces?min_position={in_rich}"))).await.ok();
    poor.get(&poor.path(&format!("/audit?min_position={in_poor}"))).await.ok();
    let workspaces = poor.path(&format!("/workspaces?min_position={in_poor}"));
    poor.get(&workspaces).await.problem(504, "read_model_behind");
    let answer = poor.key().await.batch(&[event("m1")]).await.ok();
    let usage = poor.path(&format!("/usage/current?min_position={}", answer.position()));
    assert_eq!(poor.get(&usage).await.ok().data()["used"], 1);

    let status = administrator.get("/v1/admin/projections?behind=true").await.ok();
    let tenant = status.items().iter().find(|tenant| tenant["tenant_id"] == poor.tenant.as_str()).unwrap();
    let projection = tenant["projections"].as_array().unwrap().iter().find(|one| one["name"] == "workspaces");
    let projection = projection.unwrap();
    assert!(projection["error"].as_str().unwrap().contains("poisoned"), "{projection}");
    assert!(projection["lag_events"].as_u64().unwrap() > 0 && projection["lag_seconds"].is_number());
    let ready = app.anonymous.get("/health/ready").await.ok();
    assert_eq!((&ready.json["status"], &ready.json["projections"]), (&json!("ok"), &json!("failing")));

    app.superuser().await.execute("DROP TRIGGER poison ON workspaces").await.unwrap();
    let mended = async || (poor.get(&workspaces).await.status == 200).then_some(());
    eventually("the projection has caught up by itself", mended).await;
    eventually("the error is gone", async || {
        (app.anonymous.get("/health/ready").await.json["projections"] == "ok").then_some(())
    })
    .await;
}
