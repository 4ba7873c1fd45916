//! Requests that are sent again: carried out once, answered the same.

use domain::ids::TenantId;
use infrastructure::{kept_answers::sweep, tenant_tx::TenantTx};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    actors::{PASSWORD, event},
    app::{Setup, TestApp},
    client::{Answer, Client},
};

#[tokio::test]
async fn a_key_is_good_for_one_request_of_one_caller() {
    let app = TestApp::without_workers().await;
    let (owner, other) = (app.owner().await, app.owner().await);
    let (path, lab) = (owner.path("/workspaces"), json!({"name": "Lab"}));
    let first = owner.post_once(&path, "k", &lab).await.ok();
    owner.post_once(&path, "k", &lab).await.replays(&first);

    // Another body, if only by a space, or another query.
    owner.post_once(&path, "k", &json!({"name": "Shop"})).await.problem(422, "idempotency_key_reused");
    let request = || owner.request(Method::POST, &path).header("idempotency-key", "k");
    request().raw("{\"name\": \"Lab\"}").send().await.problem(422, "idempotency_key_reused");
    let queried = format!("{path}?a=1");
    owner.post_once(&queried, "k", &lab).await.problem(422, "idempotency_key_reused");
    owner.post_once(&path, "k", &lab).await.replays(&first);

    // Another route, caller, tenant or key.
    let projects = owner.path(&format!("/workspaces/{}/projects", owner.workspace));
    let project = owner.post_once(&projects, "k", &lab).await.ok();
    let admin = app.member_of(&owner, "admin").await;
    let of_admin = admin.post_once(&path, "k", &lab).await.ok();
    let of_other = other.post_once(&other.path("/workspaces"), "k", &lab).await.ok();
    let again = owner.post_once(&path, "K", &lab).await.ok();
    let answers = [&first, &project, &of_admin, &of_other, &again];
    assert!(answers.iter().skip(1).all(|answer| !answer.is_replayed()));
    let mut ids: Vec<_> = answers.iter().map(|answer| answer.text_of("id")).collect();
    ids.dedup();
    assert_eq!(ids.len(), answers.len());

    // A new session is the same caller.
    app.signed_in(&owner.id, &owner.email).await.post_once(&path, "k", &lab).await.replays(&first);
    // Without a key everything is new.
    assert!(!owner.post(&path, lab.clone()).await.ok().is_replayed());
}

#[tokio::test]
async fn what_is_no_key_is_refused_and_does_nothing() {
    let app = TestApp::without_workers().await;
    let owner = app.owner().await;
    let (path, lab) = (owner.path("/workspaces"), json!({"name": "Lab"}));
    let head = owner.head().await;
    for wrong in ["", "two words", &"x".repeat(256), "\"open", "k\u{e9}y"] {
        owner.post_once(&path, wrong, &lab).await.problem(400, "invalid_idempotency_key");
    }
    let twice =
        owner.request(Method::POST, &path).header("idempotency-key", "a").header("idempotency-key", "a");
    twice.json(&lab).send().await.problem(400, "invalid_idempotency_key");
    assert_eq!(owner.head().await, head);
    // A stranger is told that they are one.
    app.anonymous.post_once(&path, "", &lab).await.problem(401, "unauthenticated");
    owner.post_once(&path, &"x".repeat(255), &lab).await.ok();
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let app = TestApp::spawn().await;
    let (owner, other) = (app.owner().await, app.owner().await);
    let slug = json!({"name": "Acme", "slug": "taken"});
    other.patch(&other.path(""), json!({"slug": "taken"})).await.ok();
    owner.post_once("/v1/tenants", "k", &slug).await.problem(409, "slug_taken");
    other.patch(&other.path(""), json!({"slug": "free"})).await.ok();
    let first = owner.post_once("/v1/tenants", "k", &slug).await.ok();
    owner.post_once("/v1/tenants", "k", &slug).await.replays(&first);

    // Nor is one that had to be committed.
    let key = owner.key().await;
    owner.act(&owner.path("/subscription/cancel")).await.ok();
    key.post_once("/v1/track", "k", &event("m1")).await.problem(402, "quota_exceeded");
    owner.act(&owner.path("/subscription/resume")).await.ok();
    let first = key.post_once("/v1/track", "k", &event("m1")).await.ok();
    assert_eq!(first.data()["accepted"], 1);
    key.post_once("/v1/track", "k", &event("m1")).await.replays(&first);

    // Success without an event is.
    let cancel = owner.path("/subscription/cancel");
    owner.act(&cancel).await.ok();
    let once = async || owner.request(Method::POST, &cancel).header("idempotency-key", "k").send().await;
    let first = once().await.ok();
    owner.act(&owner.path("/subscription/resume")).await.ok();
    once().await.replays(&first);
}

#[tokio::test]
async fn the_whole_of_a_batch_is_one_request() {
    let app = TestApp::without_workers().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let event = |index: usize| {
        let text = "x".repeat(1_500);
        json!({"type": "track", "event": "E", "userId": "u", "messageId": format!("m{index}"), "properties": {"text": text}})
    };
    let mut events: Vec<Value> = (0..2_400).map(event).collect();
    events.push(json!({"type": "nonsense"}));
    let mut batch = json!({"batch": events});
    assert!((3_500_000..4 << 20).contains(&batch.to_string().len()));
    let first = key.post_once("/v1/batch", "k", &batch).await.ok();
    assert_eq!(first.data()["accepted"], 2_400);
    key.post_once("/v1/batch", "k", &batch).await.replays(&first);
    batch["batch"][2_399]["properties"]["text"] = json!("y");
    key.post_once("/v1/batch", "k", &batch).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn who_is_let_in_no_more_gets_no_answer_again() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let keys = owner.project_path("/api-keys");
    let issue = async |member: &Client| member.post_once(&keys, "k", &json!({"name": "Server"})).await;

    let (demoted, removed) = (app.member_of(&owner, "admin").await, app.member_of(&owner, "admin").await);
    let secrets = [issue(&demoted).await.ok(), issue(&removed).await.ok()];
    owner.patch(&owner.path(&format!("/members/{}", demoted.id)), json!({"role": "member"})).await.ok();
    issue(&demoted).await.problem(403, "missing_permission");
    owner.delete(&owner.path(&format!("/members/{}", removed.id))).await.ok();
    issue(&removed).await.problem(404, "not_found");
    issue(&app.anonymous).await.problem(401, "unauthenticated");
    owner.patch(&owner.path(&format!("/members/{}", demoted.id)), json!({"role": "admin"})).await.ok();
    issue(&demoted).await.replays(&secrets[0]);

    let key = owner.key().await;
    let first = key.post_once("/v1/track", "k", &event("m1")).await.ok();
    key.post_once("/v1/track", "k", &event("m1")).await.replays(&first);
    owner.delete(&owner.project_path(&format!("/api-keys/{}", key.id))).await.ok();
    key.post_once("/v1/track", "k", &event("m1")).await.problem(401, "invalid_api_key");

    let freeze = format!("/v1/admin/tenants/{}/freeze", owner.tenant);
    app.administrator().await.post(&freeze, json!({"reason": "unpaid"})).await.ok();
    issue(&demoted).await.problem(423, "tenant_frozen");

    let signed_out = app.signed_in(&owner.id, &owner.email).await;
    let found = async || signed_out.post_once("/v1/tenants", "k", &json!({"name": "Acme"})).await;
    found().await.ok();
    signed_out.act("/v1/auth/logout").await.ok();
    found().await.problem(401, "session_ended");
}

#[tokio::test]
async fn strangers_with_the_same_key_do_not_meet() {
    let app = TestApp::without_workers().await;
    let (one, other) = (app.person().await, app.person().await);
    let login = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        app.anonymous.post_once("/v1/auth/login", "1", &body).await
    };
    let first = login(&one.email, PASSWORD).await.ok();
    login(&one.email, "a guess").await.problem(401, "invalid_credentials");
    let others = login(&other.email, PASSWORD).await.ok();
    assert!(!others.is_replayed() && others.text != first.text);
    login(&one.email, PASSWORD).await.replays(&first);

    // No body tells refreshes apart: the cookie does.
    let refresh = async |token: &str| {
        let request = app.anonymous.request(Method::POST, "/v1/auth/refresh").header("idempotency-key", "1");
        request.header("cookie", &format!("refresh_token={token}")).send().await
    };
    let first = refresh(&one.refresh_token).await.ok();
    assert!(!refresh(&other.refresh_token).await.ok().is_replayed());
    refresh(&one.refresh_token).await.replays(&first);
    app.anonymous
        .request(Method::POST, "/v1/auth/refresh")
        .header("idempotency-key", "1")
        .send()
        .await
        .problem(401, "session_not_found");
}

#[tokio::test]
async fn nothing_is_told_by_what_is_stored() {
    let app = TestApp::without_workers().await;
    let owner = app.owner().await;
    let issued =
        owner.post_once(&owner.project_path("/api-keys"), "my-key", &json!({"name": "Server"})).await;
    let body = json!({"email": owner.email, "password": PASSWORD});
    let signed_in = app.anonymous.post_once("/v1/auth/login", "my-key", &body).await;
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT encode(request || fingerprint || answer, 'escape') FROM kept_answers")
            .fetch_all(&mut app.superuser().await)
            .await
            .unwrap();
    assert_eq!(stored.len(), 2);
    let secrets = [
        issued.text_of("secret"),
        signed_in.text_of("access_token"),
        "my-key".to_owned(),
        owner.tenant.clone(),
        "application/json".to_owned(),
    ];
    for secret in secrets {
        assert!(stored.iter().all(|row| !row.contains(&secret)), "{secret}");
    }
}

#[tokio::test]
async fn after_a_day_a_key_is_new() {
    let app = TestApp::without_workers().await;
    let owner = app.owner().await;
    let (path, lab) = (owner.path("/workspaces"), json!({"name": "Lab"}));
    let create = async |key: &str| owner.post_once(&path, key, &lab).await.ok();
    let age = async |hours: i32| {
        sqlx::query(
            "UPDATE kept_answers SET kept_at = now() - make_interval(hours => $1) + interval '1 minute'",
        )
        .bind(hours)
        .execute(&mut app.superuser().await)
        .await
        .unwrap();
    };
    let first = create("k").await;
    age(24).await;
    create("k").await.replays(&first);
    age(25).await;
    let second = create("k").await;
    assert!(!second.is_replayed() && second.text_of("id") != first.text_of("id"));
    create("k").await.replays(&second);

    // The platform, which sweeps, sees what has expired and nothing else.
    let seen_by_platform = async || -> i64 {
        let mut tx = TenantTx::begin(&app.annals.database, TenantId::PLATFORM).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM kept_answers").fetch_one(&mut *tx).await.unwrap()
    };
    assert_eq!(seen_by_platform().await, 0);
    age(25).await;
    assert_eq!(seen_by_platform().await, 1);
    let third = create("other").await;
    sqlx::query("INSERT INTO kept_answers SELECT tenant_id, sha256(number::text::bytea), fingerprint, answer, kept_at FROM kept_answers, generate_series(1, 2500) AS number WHERE kept_at < now() - interval '24 hours'")
        .execute(&mut app.superuser().await)
        .await
        .unwrap();
    assert_eq!(sweep(&app.annals.database).await.unwrap(), 2_501);
    assert_eq!(sweep(&app.annals.database).await.unwrap(), 0);
    create("other").await.replays(&third);
}

/// The answers to the same request sent many times at once, turn and turn about by these clients.
async fn at_once(clients: &[&Client], path: &str, body: &Value) -> Vec<Answer> {
    // An address gets no more than five mails.
    let count = if path.ends_with("/register") { 4 } else { 12 };
    let sending = (0..count).map(|index| {
        let (client, path, body) = (clients[index % clients.len()].clone(), path.to_owned(), body.clone());
        tokio::spawn(async move { client.post_once(&path, &key_of(&body), &body).await })
    });
    let mut answers = Vec::new();
    for answer in sending.collect::<Vec<_>>() {
        answers.push(answer.await.unwrap());
    }
    answers
}

/// A key of its own for each request.
fn key_of(body: &Value) -> String {
    format!("key-{}", body.to_string().len())
}

/// Whether one was carried out, and the others were told to wait or got its answer; then all get it.
async fn carried_out_once(clients: &[&Client], path: &str, body: &Value) {
    let answers = at_once(clients, path, body).await;
    let (done, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status < 300 && !answer.is_replayed());
    assert_eq!(done.len(), 1, "{path}: {answers:?}");
    for other in others {
        let told = other.is_replayed() || (other.status, other.code()) == (409, "idempotency_key_in_use");
        assert!(told, "{path}: {other:?}");
    }
    for client in clients {
        client.post_once(path, &key_of(body), body).await.replays(done[0]);
    }
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    let app = TestApp::without_workers().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    for (client, path, body) in [
        (&**owner, owner.path("/workspaces"), json!({"name": "Lab"})),
        (&**owner, owner.path("/invitations"), json!({"email": "carol@example.com", "role": "member"})),
        (&**owner, owner.path("/subscription/change"), json!({"plan": "pro"})),
        (&**owner, "/v1/tenants".to_owned(), json!({"name": "Acme"})),
        (&**owner, "/v1/tenants".to_owned(), json!({"name": "Acme", "slug": "just-one"})),
        (&*key, "/v1/batch".to_owned(), json!({"batch": [event("m1"), event("m2")]})),
        (
            &app.anonymous,
            "/v1/auth/register".to_owned(),
            json!({"email": "new@example.com", "password": PASSWORD, "name": "N"}),
        ),
    ] {
        carried_out_once(&[client], &path, &body).await;
    }
    let workspaces = owner.journal().await;
    let created = workspaces.iter().filter(|event| event["type"] == "WorkspaceCreated").count();
    assert_eq!(created, 2, "the first one and the Lab");
}

#[tokio::test]
async fn of_many_at_once_in_two_processes_one_is_carried_out() {
    let app = TestApp::with(Setup { secret_key: Some(SECRET.to_owned()), ..Setup::default() }).await;
    let setup = Setup {
        database_url: Some(app.database_url()),
        secret_key: Some(SECRET.to_owned()),
        workers: false,
        ..Setup::default()
    };
    let second = TestApp::with(setup).await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let elsewhere = |client: &Client| client.at(second.anonymous.base());
    for (client, path, body) in [
        (&**owner, owner.path("/workspaces"), json!({"name": "Lab"})),
        (&**owner, owner.path("/invitations"), json!({"email": "carol@example.com", "role": "member"})),
        (&**owner, "/v1/tenants".to_owned(), json!({"name": "Acme"})),
        (&**owner, "/v1/tenants".to_owned(), json!({"name": "Acme", "slug": "just-one"})),
        (&*key, "/v1/batch".to_owned(), json!({"batch": [event("m1"), event("m2")]})),
        (
            &app.anonymous,
            "/v1/auth/register".to_owned(),
            json!({"email": "new@example.com", "password": PASSWORD, "name": "N"}),
        ),
    ] {
        carried_out_once(&[client, &elsewhere(client)], &path, &body).await;
    }

    // What another process has taken away is not given by what this one remembers.
    let removed = app.member_of(&owner, "admin").await;
    let keys = owner.project_path("/api-keys");
    let issue = async |client: &Client| client.post_once(&keys, "k", &json!({"name": "Server"})).await;
    let there = elsewhere(&removed);
    let first = issue(&there).await.ok();
    issue(&there).await.replays(&first);
    owner.delete(&owner.path(&format!("/members/{}", removed.id))).await.ok();
    issue(&there).await.problem(404, "not_found");
}

/// A secret that two processes share.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
