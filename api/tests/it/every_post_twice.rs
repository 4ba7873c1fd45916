//! Every POST of the OpenAPI document, sent again with the same idempotency key.

use std::collections::BTreeMap;

use api::limited::{SIGN_IN, SIGN_UP};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    actors::{Owner, PASSWORD, event},
    app::TestApp,
    client::{Answer, Client},
};

/// The routes after which their caller is no longer let in: sent again, they are refused.
const LAST: &[&str] = &["/v1/auth/logout", "/v1/me/erase", "/v1/tenants/{tenant}/members/leave"];

/// A request that succeeds.
struct Sendable {
    client: Client,
    path: String,
    body: Option<Value>,
    cookie: Option<String>,
}

impl Sendable {
    async fn send(&self, key: &str) -> Answer {
        let mut request = self.client.request(Method::POST, &self.path).header("idempotency-key", key);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        match &self.body {
            Some(body) => request.json(body).send().await,
            None => request.send().await,
        }
    }
}

/// A request to the route with this pattern, and all that it takes to succeed.
async fn sendable(app: &TestApp, pattern: &str) -> Sendable {
    let owner = app.owner().await;
    let client = (**owner).clone();
    let own = |rest: &str| owner.path(rest);
    let name = || Some(json!({"name": "Lab"}));
    let (client, path, body) = match pattern {
        "/v1/auth/register" => {
            let body = json!({"email": "ada.new@example.com", "password": PASSWORD, "name": "Ada"});
            (app.anonymous.clone(), pattern.to_owned(), Some(body))
        }
        "/v1/auth/verify-email" => {
            let email = app.registered().await.0;
            let token = app.token_mailed(&email, "verify-email", 1).await;
            (app.anonymous.clone(), pattern.to_owned(), Some(json!({"token": token})))
        }
        "/v1/auth/verify-email/resend" => {
            (app.anonymous.clone(), pattern.to_owned(), Some(json!({"email": "nobody@example.com"})))
        }
        "/v1/auth/login" => {
            let body = json!({"email": owner.email, "password": PASSWORD});
            (app.anonymous.clone(), pattern.to_owned(), Some(body))
        }
        "/v1/auth/refresh" => {
            let cookie = Some(format!("refresh_token={}", owner.refresh_token));
            return Sendable { client: app.anonymous.clone(), path: pattern.to_owned(), body: None, cookie };
        }
        "/v1/auth/logout" => (client, pattern.to_owned(), None),
        "/v1/me/erase" => {
            let person = app.person().await;
            ((*person).clone(), pattern.to_owned(), Some(json!({"password": PASSWORD})))
        }
        "/v1/admin/users/{user}/erase" => {
            let person = app.person().await;
            let me = person.get("/v1/me").await.ok();
            let path = format!("/v1/admin/users/{}/erase", me.data()["user"]["id"].as_str().unwrap());
            ((*app.administrator().await).clone(), path, Some(json!({"reason": "they asked for it"})))
        }
        "/v1/tenants" => (client, pattern.to_owned(), name()),
        "/v1/invitations/preview" | "/v1/invitations/accept" | "/v1/invitations/decline" => {
            let person = app.person().await;
            let token = app.invited(&owner, &person.email, "member").await.1;
            ((*person).clone(), pattern.to_owned(), Some(json!({"token": token})))
        }
        "/v1/tenants/{tenant}/workspaces" => (client, own("/workspaces"), name()),
        "/v1/tenants/{tenant}/workspaces/{workspace}/projects" => {
            (client, own(&format!("/workspaces/{}/projects", owner.workspace)), name())
        }
        "/v1/tenants/{tenant}/projects/{project}/api-keys" => {
            (client, owner.project_path("/api-keys"), name())
        }
        "/v1/tenants/{tenant}/projects/{project}/api-keys/{key}/rotate" => {
            let id = owner.key().await.id;
            (client, owner.project_path(&format!("/api-keys/{id}/rotate")), None)
        }
        "/v1/tenants/{tenant}/invitations" => {
            (client, own("/invitations"), Some(json!({"email": "carol@example.com", "role": "auditor"})))
        }
        "/v1/tenants/{tenant}/invitations/{invitation}/resend"
        | "/v1/tenants/{tenant}/invitations/{invitation}/revoke" => {
            let id = app.invited(&owner, "carol@example.com", "member").await.0;
            let action = pattern.rsplit('/').next().unwrap();
            (client, own(&format!("/invitations/{id}/{action}")), None)
        }
        "/v1/tenants/{tenant}/members/leave" => {
            let member = app.member_of(&owner, "member").await;
            ((**member).clone(), own("/members/leave"), None)
        }
        "/v1/tenants/{tenant}/subscription/change" => {
            (client, own("/subscription/change"), Some(json!({"plan": "pro"})))
        }
        "/v1/tenants/{tenant}/subscription/cancel" => (client, own("/subscription/cancel"), None),
        "/v1/tenants/{tenant}/subscription/resume" => {
            owner.act(&own("/subscription/cancel")).await.ok();
            (client, own("/subscription/resume"), None)
        }
        "/v1/batch" => {
            let body = json!({"batch": [event("m1"), {"type": "nonsense"}, event("m1"), event("m2")]});
            (program(&owner).await, pattern.to_owned(), Some(body))
        }
        "/v1/events" | "/v1/track" => (program(&owner).await, pattern.to_owned(), Some(event("m1"))),
        "/v1/identify" | "/v1/page" | "/v1/screen" | "/v1/group" | "/v1/alias" => {
            let body = json!({"userId": "u1", "groupId": "g1", "previousId": "u0"});
            (program(&owner).await, pattern.to_owned(), Some(body))
        }
        "/v1/admin/tenants/{tenant}/freeze"
        | "/v1/admin/tenants/{tenant}/unfreeze"
        | "/v1/admin/tenants/{tenant}/plan" => {
            app.caught_up().await;
            let action = pattern.rsplit('/').next().unwrap();
            let body = match action {
                "freeze" => Some(json!({"reason": "unpaid"})),
                "plan" => Some(json!({"plan": "enterprise", "seats": 7})),
                _ => None,
            };
            let path = format!("/v1/admin/tenants/{}/{action}", owner.tenant);
            ((*app.administrator().await).clone(), path, body)
        }
        "/v1/admin/projections/{projection}/rebuild" => {
            let path = "/v1/admin/projections/usage/rebuild".to_owned();
            ((*app.administrator().await).clone(), path, Some(json!({"tenant_id": owner.tenant})))
        }
        _ => panic!("say here how POST {pattern} succeeds, so that it can be sent twice"),
    };
    Sendable { client, path, body, cookie: None }
}

async fn program(owner: &Owner) -> Client {
    (*owner.key().await).clone()
}

/// Where every journal ends, and how many jobs were asked for.
async fn written(app: &TestApp) -> BTreeMap<String, i64> {
    let query = "SELECT tenant_id::text, position FROM journal_heads";
    let heads: Vec<(String, i64)> =
        sqlx::query_as(query).fetch_all(&mut app.superuser().await).await.unwrap();
    heads.into_iter().collect()
}

#[tokio::test]
async fn every_post_can_be_sent_again() {
    let app = TestApp::spawn().await;
    let document = app.anonymous.get("/openapi.json").await.ok().json;
    let mut posts = 0;
    for (pattern, item) in document["paths"].as_object().unwrap() {
        let operation = &item["post"];
        if operation.is_null() {
            continue;
        }
        posts += 1;
        // All of them come from one address.
        for policy in [SIGN_IN, SIGN_UP] {
            app.annals.app.limits.forget(policy, "127.0.0.1").await.unwrap();
        }
        let parameters = operation["parameters"].as_array().unwrap();
        let header = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
        assert!(header.is_some_and(|header| header["in"] == "header"), "POST {pattern}");
        for status in ["409", "422"] {
            let refusal = operation["responses"][status]["description"].as_str().unwrap_or_default();
            assert!(refusal.contains("idempotency_key_"), "POST {pattern}: {refusal}");
        }
        let request = sendable(&app, pattern).await;
        let first = request.send("k-1").await.ok();
        let before = written(&app).await;
        let second = request.send("\"k-1\"").await;
        // Who is erased ends in a job, which goes on appending in its own time.
        if !pattern.ends_with("/erase") {
            assert_eq!(written(&app).await, before, "POST {pattern} was carried out again");
        }
        if LAST.contains(&pattern.as_str()) {
            assert!(matches!(second.status, 401 | 404), "{second:?}");
            continue;
        }
        second.replays(&first);
    }
    assert!(posts > 30);
}
