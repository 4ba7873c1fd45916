//! What a plan takes, and what becomes of the rest.

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    actors::{Owner, event},
    app::TestApp,
    tracking::{outcome, used},
};

/// Agrees with a tenant on so many events a month.
async fn agree(app: &TestApp, owner: &Owner, events: u64) {
    let path = format!("/v1/admin/tenants/{}/plan", owner.tenant);
    let body = json!({"plan": "free", "events_per_month": events});
    app.administrator().await.post(&path, body).await.ok();
}

#[tokio::test]
async fn the_quota_is_exact_under_concurrent_batches() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    agree(&app, &owner, 333).await;
    let key = owner.key().await;
    let batch = |sender: usize| (0..50).map(|index| event(&format!("{sender}-{index}"))).collect::<Vec<_>>();
    let answers = join_all((0..16).map(|sender| {
        let (key, batch) = (&key, batch(sender));
        async move { key.batch(&batch).await }
    }))
    .await;
    let mut accepted = 0;
    for answer in &answers {
        let (taken, duplicates, rejected) = outcome(answer);
        accepted += taken;
        assert_eq!((taken + rejected.len() as u64, duplicates), (50, 0));
        assert!(rejected.iter().all(|(_, code)| code == "quota_exceeded"), "{answer:?}");
        assert_eq!(answer.status, if taken == 0 { 402 } else { 200 });
    }
    assert_eq!(accepted, 333);
    assert_eq!(used(&owner).await, (333, 16 * 50 - 333));
    // What was refused may come again; what was taken is a duplicate, and no reason for a 402.
    let refused = key.batch(&[event("another")]).await.problem(402, "quota_exceeded");
    assert_eq!(outcome(&refused), (0, 0, vec![(0, "quota_exceeded".to_owned())]));
    let taken = owner.journal().await;
    let taken = taken.iter().find(|one| one["type"] == "EventTracked").unwrap();
    let taken = event(taken["payload"]["message_id"].as_str().unwrap());
    let mixed = key.batch(&[taken, event("another")]).await.ok();
    assert_eq!(outcome(&mixed), (0, 1, vec![(1, "quota_exceeded".to_owned())]));
    agree(&app, &owner, 334).await;
    assert_eq!(outcome(&key.batch(&[event("another")]).await.ok()), (1, 0, vec![]));
    assert_eq!(used(&owner).await.0, 334);
    let current = owner.get(&owner.path("/usage/current")).await.ok();
    assert_eq!(current.data()["limit"], 334);
}

#[tokio::test]
async fn a_plan_that_bills_goes_on_past_its_events() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let path = format!("/v1/admin/tenants/{}/plan", owner.tenant);
    let plan = json!({"plan": "pro", "events_per_month": 2});
    app.administrator().await.post(&path, plan).await.ok();
    let key = owner.key().await;
    assert_eq!(outcome(&key.batch(&[event("a"), event("b"), event("c")]).await.ok()), (3, 0, vec![]));
    let path = owner.path(&format!("/usage/current?min_position={}", owner.head().await));
    let usage = owner.get(&path).await.ok();
    let usage = ["used", "limit", "overage", "percentage"].map(|field| usage.data()[field].clone());
    assert_eq!(json!(usage), json!([3, 2, 1, 150.0]));
    // Without a subscription nothing is taken.
    owner.act(&owner.path("/subscription/cancel")).await.ok();
    key.batch(&[event("d")]).await.problem(402, "quota_exceeded");
    owner.act(&owner.path("/subscription/resume")).await.ok();
    key.batch(&[event("d")]).await.ok();
}
