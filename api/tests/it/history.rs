//! A history with everything in it that can happen to a tenant.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    actors::{Owner, Person, event},
    app::TestApp,
};

/// Lets a tenant live, and gives its owner.
pub(crate) async fn lively(app: &TestApp, administrator: &Person) -> Owner {
    let owner = app.owner().await;
    let (path, admin) = (|rest: &str| owner.path(rest), format!("/v1/admin/tenants/{}", owner.tenant));
    owner
        .patch(&path(""), json!({"name": "Acme & Co", "slug": format!("s{}", owner.tenant.replace('_', ""))}))
        .await
        .ok();
    owner.post(&path("/subscription/change"), json!({"plan": "pro"})).await.ok();
    people(app, &owner).await;

    let workspace =
        owner.post(&path("/workspaces"), json!({"name": "Lab \u{1f9ea}"})).await.ok().text_of("id");
    let projects = path(&format!("/workspaces/{workspace}/projects"));
    let project = owner.post(&projects, json!({"name": "Beagle"})).await.ok().text_of("id");
    owner.patch(&path(&format!("/projects/{project}")), json!({"name": "Terrier"})).await.ok();

    let (first, second) = (owner.key().await, owner.key_of(&project).await);
    first.batch(&events()).await.ok();
    first.batch(&events()).await.ok();
    second.batch(&events()).await.ok();
    owner.act(&path(&format!("/projects/{project}/api-keys/{}/rotate", second.id))).await.ok();
    owner
        .delete(&owner.project_path(&format!("/api-keys/{}", first.id)))
        .await
        .expect(StatusCode::NO_CONTENT);

    administrator.post(&format!("{admin}/freeze"), json!({"reason": "unpaid"})).await.ok();
    administrator.act(&format!("{admin}/unfreeze")).await.ok();
    owner.act(&path("/subscription/cancel")).await.ok();
    owner.act(&path("/subscription/resume")).await.ok();
    let plan = json!({"plan": "free", "events_per_month": 2, "seats": 5});
    administrator.post(&format!("{admin}/plan"), plan).await.ok();
    let third = owner.key().await;
    third.batch(&[event("over"), event("quota")]).await.problem(402, "quota_exceeded");
    owner
}

/// Every way in and out.
async fn people(app: &TestApp, owner: &Owner) {
    let path = |rest: &str| owner.path(rest);
    let (admin, member) = (app.member_of(owner, "admin").await, app.member_of(owner, "member").await);
    let leaver = app.member_of(owner, "auditor").await;
    owner.patch(&path(&format!("/members/{}", member.id)), json!({"role": "owner"})).await.ok();
    owner.patch(&path(&format!("/members/{}", member.id)), json!({"role": "auditor"})).await.ok();
    leaver.act(&path("/members/leave")).await.expect(StatusCode::NO_CONTENT);
    owner.delete(&path(&format!("/members/{}", admin.id))).await.expect(StatusCode::NO_CONTENT);
    let (_, token) = app.invited(owner, &leaver.email, "member").await;
    leaver.post("/v1/invitations/accept", json!({"token": token})).await.ok();
    let (_, token) = app.invited(owner, &admin.email, "member").await;
    admin.post("/v1/invitations/decline", json!({"token": token})).await.ok();
    let revoked = owner.invite("carol@example.com", "member").await.ok().text_of("id");
    owner.act(&path(&format!("/invitations/{revoked}/revoke"))).await.ok();
    let resent = owner.invite("carol@example.com", "member").await.ok().text_of("id");
    owner.act(&path(&format!("/invitations/{resent}/resend"))).await.ok();
    app.login(&member.email, "wrong password").await.problem(401, "invalid_credentials");
    app.register(&member.email, "another password").await.ok();
    member.act("/v1/auth/logout").await.ok();
}

/// Events of every kind, at the edges of what is taken.
fn events() -> Vec<Value> {
    let mut events = vec![
        json!({"type": "identify", "userId": "u1", "traits": {"name": "Ada", "deep": {"a": [1, 2.50, null]}}}),
        json!({"type": "page", "anonymousId": "a1", "name": "Home", "context": {"ip": "::1"}}),
        json!({"type": "screen", "anonymousId": "a1"}),
        json!({"type": "group", "userId": "u1", "groupId": "g"}),
        json!({"type": "alias", "userId": "u1", "previousId": "a1"}),
        json!({"type": "track", "event": "x".repeat(255), "userId": "\u{10ffff}", "timestamp": "1900-01-01T00:00:00Z"}),
        json!({"type": "track", "event": "Leap", "userId": 7, "timestamp": "1999-12-31T23:59:60Z"}),
    ];
    events.extend((0..120).map(|index| {
        let timestamp = format!("1997-{:02}-01T{:02}:30:00Z", index % 12 + 1, index % 24);
        json!({"type": "track", "event": format!("Event {}", index % 7), "userId": format!("u{}", index % 11),
               "messageId": format!("m{index}"), "timestamp": timestamp, "properties": {"index": index}})
    }));
    events
}
