//! What programs show to be let in.

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    actors::{Key, event},
    app::TestApp,
    tracking::used,
};

#[tokio::test]
async fn a_key_is_good_until_it_is_not() {
    let app = TestApp::spawn().await;
    let (owner, other) = (app.owner().await, app.owner().await);
    let (key, others) = (owner.key().await, other.key().await);
    let send = async |key: &Key| key.batch(&[event("m1")]).await;
    send(&key).await.ok();
    send(&others).await.ok();
    assert_eq!(used(&other).await, (1, 0), "the same message id is another tenant's message");

    let path = owner.project_path(&format!("/api-keys/{}", key.id));
    let rotated = owner.act(&format!("{path}/rotate")).await.ok();
    send(&key).await.problem(401, "invalid_api_key");
    let rotated = owner.bearing(&rotated.text_of("secret"));
    rotated.post("/v1/track", event("m2")).await.ok();
    owner.delete(&path).await.expect(StatusCode::NO_CONTENT);
    rotated.post("/v1/track", event("m3")).await.problem(401, "invalid_api_key");
    owner.act(&format!("{path}/rotate")).await.problem(410, "api_key_revoked");

    for credentials in ["ak_", "ak_x", &key.secret[..key.secret.len() - 1], &owner.refresh_token] {
        let answer = app.anonymous.bearing(credentials).post("/v1/track", event("m4")).await;
        answer.problem(401, "invalid_api_key");
    }
    app.anonymous.post("/v1/track", event("m4")).await.problem(401, "unauthenticated");

    let administrator = app.administrator().await;
    let admin = async |action: &str| {
        let path = format!("/v1/admin/tenants/{}/{action}", other.tenant);
        administrator.post(&path, json!({"reason": "unpaid"})).await.ok()
    };
    admin("freeze").await;
    send(&others).await.problem(423, "tenant_frozen");
    admin("unfreeze").await;
    send(&others).await.ok();
}

#[tokio::test]
async fn keys_are_listed_without_their_secrets_and_with_their_use() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let (used, unused) = (owner.key().await, owner.key().await);
    let answer = used.batch(&[event("m1")]).await.ok();
    let list =
        owner.get(&owner.project_path(&format!("/api-keys?min_position={}", answer.position()))).await.ok();
    assert_eq!(list.all("id"), [unused.id.as_str(), &used.id]);
    assert!(
        list.items()[0]["last_used_at"].is_null() && list.items()[1]["last_used_at"].is_string(),
        "{list:?}"
    );
    let journal = format!("{:?}{}", owner.journal().await, list.text);
    assert!(!journal.contains(&used.secret) && !journal.contains(&used.secret[46..]), "{journal}");
}
