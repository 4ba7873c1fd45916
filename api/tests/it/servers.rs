//! Two servers on one database, each with a memory of its own.

use domain::ids::TenantId;
use serde_json::json;
use sqlx::Connection;

use crate::{
    actors::{PASSWORD, event},
    app::{Setup, TestApp},
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
