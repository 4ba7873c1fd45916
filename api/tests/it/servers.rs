//! Two servers on one database, each with a memory of its own.

use domain::ids::TenantId;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::Connection;

use crate::{
    actors::{PASSWORD, event},
    app::{Setup, TestApp},
    client::Client,
};

/// How often each of the two has its turn.
const TURNS: usize = 3;

/// A server that believes in an end of the journal which another has moved by just as many events as it is about to
/// append itself finds the end where it wanted it. That must not be taken for its own doing.
#[tokio::test]
async fn a_server_that_is_outrun_by_as_much_as_it_appends_loses_nothing() {
    let one = TestApp::spawn().await;
    let person = one.person().await;
    let other = TestApp::with(Setup { database_url: Some(one.database_url()), ..Setup::default() }).await;
    for turn in 0..TURNS {
        for server in [&one, &other] {
            let answer = server.login(&person.email, PASSWORD).await.ok();
            let client = server.anonymous.bearing(&answer.text_of("access_token"));
            assert_eq!(
                client.get("/v1/me").await.status,
                200,
                "a session that was begun is there, turn {turn}"
            );
        }
    }
    let mut superuser = one.superuser().await;
    let sessions: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM events WHERE tenant_id = $1 AND event_type = 'SessionStarted'",
    )
    .bind(TenantId::PLATFORM.uuid())
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    superuser.close().await.unwrap();
    assert_eq!(
        sessions as usize,
        1 + 2 * TURNS,
        "the person's first sign-in, and one for each turn of each server"
    );
}

/// What was taken in stays a duplicate when the quota is used up, also for a server that has not seen it come.
#[tokio::test]
async fn what_another_server_has_taken_in_is_a_duplicate_and_not_refused() {
    let one = TestApp::spawn().await;
    let owner = one.owner().await;
    let plan = json!({"plan": "free", "events_per_month": 2});
    let path = format!("/v1/admin/tenants/{}/plan", owner.tenant);
    one.administrator().await.post(&path, plan).await.ok();
    let key = owner.key().await;
    let other = TestApp::with(Setup { database_url: Some(one.database_url()), ..Setup::default() }).await;
    let there = other.anonymous.bearing(&key.secret);
    let batch = |messages: &[&str]| {
        let events: Vec<_> = messages.iter().map(|id| event(id)).collect();
        json!({"batch": events})
    };
    there.post("/v1/batch", batch(&["a"])).await.ok();
    key.post("/v1/batch", batch(&["b"])).await.ok();
    for server in [&*key, &there] {
        let answer = server.post("/v1/batch", batch(&["a", "b", "c"])).await.ok();
        assert_eq!(
            (&answer.json["data"]["accepted"], &answer.json["data"]["duplicates"]),
            (&json!(0), &json!(2))
        );
        let answer = server.post("/v1/batch", batch(&["a", "b"])).await.ok();
        assert_eq!(answer.json["data"]["duplicates"], 2);
    }
}

/// A server lets in on what it remembers, and the commit checks it: what another server has taken away does not last
/// until that memory fades.
#[tokio::test]
async fn what_one_server_takes_away_holds_at_once_at_the_other() {
    let one = TestApp::spawn().await;
    let owner = one.owner().await;
    let (removed, signed_out) = (one.member_of(&owner, "admin").await, one.member_of(&owner, "admin").await);
    let (revoked, rotated) = (owner.key().await, owner.key().await);
    // Before the other server is there, whose worker might send the mail from its own folder.
    let administrator = one.administrator().await;
    let other = TestApp::with(Setup { database_url: Some(one.database_url()), ..Setup::default() }).await;
    let there = |client: &Client| client.at(other.anonymous.base());
    let name = json!({"name": "Lab"});
    let workspaces = owner.path("/workspaces");
    let key_path = |id: &str| owner.project_path(&format!("/api-keys/{id}"));

    // The other server has just let all of them in.
    for member in [&removed, &signed_out] {
        there(member).post(&workspaces, name.clone()).await.ok();
    }
    for (key, message) in [(&revoked, "a"), (&rotated, "b")] {
        there(key).post("/v1/track", event(message)).await.ok();
    }
    owner.delete(&owner.path(&format!("/members/{}", removed.id))).await.expect(StatusCode::NO_CONTENT);
    there(&removed).post(&workspaces, name.clone()).await.problem(404, "not_found");
    signed_out.act("/v1/auth/logout").await.expect(StatusCode::NO_CONTENT);
    there(&signed_out).post(&workspaces, name.clone()).await.problem(401, "session_ended");
    owner.delete(&key_path(&revoked.id)).await.expect(StatusCode::NO_CONTENT);
    there(&revoked).post("/v1/track", event("c")).await.problem(401, "invalid_api_key");
    owner.act(&format!("{}/rotate", key_path(&rotated.id))).await.ok();
    there(&rotated).post("/v1/track", event("d")).await.problem(401, "invalid_api_key");

    there(&owner).post(&workspaces, name.clone()).await.ok();
    let freeze = format!("/v1/admin/tenants/{}/freeze", owner.tenant);
    administrator.post(&freeze, json!({"reason": "unpaid"})).await.ok();
    there(&owner).post(&workspaces, name).await.problem(423, "tenant_frozen");
}
