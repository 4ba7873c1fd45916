//! How refusals look, whoever makes them, and what happens when the database is away.

use std::time::Duration;

use infrastructure::embedded_postgres::{Durability, EmbeddedPostgres, EmbeddedPostgresSettings};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, Executor};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    actors::{PASSWORD, event},
    app::{Setup, TestApp, eventually},
};

#[tokio::test]
async fn what_can_not_be_read_is_said_to_be_so() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let path = owner.path("/workspaces");
    let send = async |body: &[u8]| owner.request(Method::POST, &path).raw(body).send().await;
    for body in
        [&b""[..], b"{", b"{\"name\": \"a\",}", b"{\"name\": \"\xff\"}", b"{\"name\":\"a\",\"name\":\"b\"}"]
    {
        send(body).await.problem(400, "malformed_json");
    }
    send("[".repeat(200).as_bytes()).await.problem(400, "malformed_json");
    // Half a surrogate pair is no character.
    send(br#"{"name": "\ud800"}"#).await.problem(400, "malformed_json");
    assert_eq!(send(b"[]").await.problem(422, "validation_failed").faults(), ["=wrong_type"]);
    assert_eq!(send(b"{\"name\": 7}").await.problem(422, "validation_failed").faults(), ["/name=wrong_type"]);
    let nul = send(b"{\"name\": \"a\\u0000b\"}").await.problem(422, "validation_failed");
    assert!(nul.faults().contains(&"/name=nul_character".to_owned()), "{nul:?}");
    assert_eq!(owner.head().await, 7, "nothing came of it");
}

#[tokio::test]
async fn every_field_at_fault_is_named_at_once() {
    let app = TestApp::spawn().await;
    let register =
        async |body| app.anonymous.post("/v1/auth/register", body).await.problem(422, "validation_failed");
    let missing = register(json!({})).await;
    assert_eq!(missing.faults(), ["/email=required", "/password=required", "/name=required"]);
    let wrong = register(json!({"email": "ada", "password": 7, "name": " "})).await;
    assert_eq!(wrong.faults().len(), 3, "{wrong:?}");
    let owner = app.owner().await;
    let body = json!({"email": "x", "role": "king", "expires_in_days": "1"});
    let both = owner.post(&owner.path("/invitations"), body).await.problem(422, "validation_failed");
    assert_eq!(both.faults(), ["/email=invalid_email", "/role=unknown_value", "/expires_in_days=wrong_type"]);
    let query = owner.get(&owner.path("/audit?limit=0&cursor=x&from=yesterday&min_position=-1")).await;
    assert_eq!(query.problem(422, "validation_failed").faults().len(), 4);
    // Where a typo would be dangerous, an unknown field is a fault; elsewhere it is ignored.
    let typo = owner.patch(&owner.path(""), json!({"slog": "acme-2"})).await;
    assert_eq!(typo.problem(422, "validation_failed").faults(), ["/slog=unknown_field"]);
    owner.post(&owner.path("/workspaces"), json!({"name": "Lab", "colour": "red"})).await.ok();
}

#[tokio::test]
async fn what_no_route_takes_is_a_problem_too() {
    let app = TestApp::spawn().await;
    let client = &app.anonymous;
    for path in ["/", "/v1", "/v1/nowhere", "/v1/tenants/x/y/z", "/v2/me", "/v1/me/", "/%00", "/v1/plans%2F"]
    {
        client.get(path).await.problem(404, "unknown_route");
    }
    let wrong = client.request(Method::PUT, "/v1/tenants/ten_x/members/mem_x").send().await;
    assert_eq!(wrong.problem(405, "method_not_allowed").header("allow"), Some("DELETE, GET, HEAD, PATCH"));
    client.delete("/v1/batch").await.problem(405, "method_not_allowed");
    let form =
        client.request(Method::POST, "/v1/auth/login").body("application/x-www-form-urlencoded", "email=a");
    form.send().await.problem(415, "unsupported_media_type");
    client
        .request(Method::POST, "/v1/auth/login")
        .body("", "{}")
        .send()
        .await
        .problem(415, "unsupported_media_type");
    let brotli = client.request(Method::POST, "/v1/auth/login").header("content-encoding", "br").raw("{}");
    brotli.send().await.problem(415, "unsupported_media_type");
    let large = format!(r#"{{"email": "{}"}}"#, "x".repeat(70_000));
    let large = client.request(Method::POST, "/v1/auth/login").raw(large).send().await;
    large.problem(413, "payload_too_large");
}

#[tokio::test]
async fn a_request_has_an_id_from_one_end_to_the_other() {
    let app = TestApp::spawn().await;
    let made = app.anonymous.get("/v1/me").await.problem(401, "unauthenticated");
    assert!(made.header("x-request-id").unwrap().starts_with("req_"));
    let owner = app.owner().await;
    let request = owner.request(Method::POST, &owner.path("/workspaces")).header("x-request-id", "mine-7");
    let answer = request.json(&json!({"name": "Lab"})).send().await.ok();
    assert_eq!(answer.header("x-request-id"), Some("mine-7"));
    let recorded = owner.journal_after(answer.position() - 1).await;
    assert_eq!(recorded[0]["metadata"]["request_id"], "mine-7");
    let odd =
        app.anonymous.request(Method::GET, "/v1/plans").header("x-request-id", "two words").send().await;
    assert!(odd.header("x-request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_full_line_sends_away_and_keeps_the_others_going() {
    let app = TestApp::spawn().await;
    let (busy, other) = (app.owner().await, app.owner().await);
    let mut superuser = app.superuser().await;
    let mut lock = superuser.begin().await.unwrap();
    let id: domain::ids::TenantId = busy.tenant.parse().unwrap();
    sqlx::query("SELECT FROM journal_heads WHERE tenant_id = $1 FOR UPDATE")
        .bind(id.uuid())
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..540 {
        let (client, path) = (busy.request(Method::POST, &busy.path("/workspaces")), json!({"name": "Lab"}));
        requests.spawn(client.json(&path).send());
    }
    let mut refused = 0;
    // 512 find a place; the others are told at once, while the line does not move.
    while refused < 540 - 512 {
        let answer = requests.join_next().await.unwrap().unwrap().problem(503, "overloaded");
        assert_eq!(answer.header("retry-after"), Some("1"));
        refused += 1;
    }
    other.post(&other.path("/workspaces"), json!({"name": "Lab"})).await.ok();
    busy.get(&busy.path("")).await.ok();
    lock.rollback().await.unwrap();
    while let Some(answer) = requests.join_next().await {
        answer.unwrap().ok();
    }
    assert_eq!(busy.head().await, 7 + 512);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_said_to_be_and_comes_back_by_itself() {
    let directory = data_dir();
    let postgres = start(&directory).await;
    let setup = Setup { database_url: Some(postgres.url()), ..Setup::default() };
    let app = TestApp::with(setup).await;
    let owner = app.owner().await;
    let key = owner.key().await;
    key.batch(&[event("m1")]).await.ok();

    postgres.stop().await;
    for answer in [
        owner.get(&owner.path("")).await,
        owner.post(&owner.path("/workspaces"), json!({"name": "Lab"})).await,
        key.batch(&[event("m2")]).await,
        app.login(&owner.email, PASSWORD).await,
    ] {
        assert_eq!(answer.problem(503, "unavailable").header("retry-after"), Some("5"));
    }
    let ready = app.anonymous.get("/health/ready").await;
    assert_eq!((ready.status, &ready.json["database"]), (503, &json!("unavailable")));
    app.anonymous.get("/health/live").await.ok();

    let postgres = start(&directory).await;
    eventually("an answer", async || (owner.get(&owner.path("")).await.status == 200).then_some(())).await;
    let again = key.batch(&[event("m1"), event("m2")]).await.ok();
    assert_eq!((&again.data()["accepted"], &again.data()["duplicates"]), (&json!(1), &json!(1)));
    let path = owner.path(&format!("/usage/current?min_position={}", again.position()));
    assert_eq!(owner.get(&path).await.ok().data()["used"], 2, "the projector goes on");
    // Which takes a mail: the job worker goes on as well.
    app.owner().await;
    eventually("readiness", async || {
        (app.anonymous.get("/health/ready").await.json["projections"] == "ok").then_some(())
    })
    .await;
    drop(app);
    postgres.stop().await;
}

/// A directory that PostgreSQL's account may pass through.
fn data_dir() -> TempDir {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    tempfile::Builder::new().permissions(Permissions::from_mode(0o711)).tempdir_in("/tmp").unwrap()
}

async fn start(directory: &TempDir) -> EmbeddedPostgres {
    let data_dir = directory.path().to_owned();
    let settings = EmbeddedPostgresSettings { data_dir, durability: Durability::ForTests };
    let postgres = EmbeddedPostgres::start(settings).await.unwrap();
    let mut connection = sqlx::PgConnection::connect_with(&postgres.connect_options()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), connection.execute("SELECT 1")).await.unwrap().unwrap();
    postgres
}
