//! Two tenants side by side: nothing of one is to be seen by the other.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    actors::{Owner, event},
    app::TestApp,
    client::{Answer, Client},
};

/// What a path of the OpenAPI document stands for.
struct Ids {
    tenant: String,
    workspace: String,
    project: String,
    key: String,
    invitation: String,
    member: String,
}

impl Ids {
    /// Ids that nothing has.
    fn unknown() -> Self {
        let unknown = |prefix: &str| format!("{prefix}_01h455vb4pex5vsknk084sn02q");
        Self {
            tenant: unknown("ten"),
            workspace: unknown("wsp"),
            project: unknown("prj"),
            key: unknown("key"),
            invitation: unknown("inv"),
            member: unknown("mem"),
        }
    }

    /// The ids of what there is in a tenant.
    async fn of(app: &TestApp, owner: &Owner) -> Self {
        let member = app.member_of(owner, "member").await.id;
        let invitation = app.invited(owner, "carol@example.com", "member").await.0;
        Self {
            tenant: owner.tenant.clone(),
            workspace: owner.workspace.clone(),
            project: owner.project.clone(),
            key: owner.key().await.id,
            invitation,
            member,
        }
    }

    fn path(&self, pattern: &str) -> String {
        let Self { tenant, workspace, project, key, invitation, member } = self;
        let path = pattern.replace("{tenant}", tenant).replace("{workspace}", workspace);
        let path = path.replace("{project}", project).replace("{key}", key);
        let path = path.replace("{invitation}", invitation).replace("{member}", member);
        let path = path.replace("{level}/{index}", "0/000.p/1").replace("{position}", "1");
        assert!(!path.contains('{'), "{pattern} has a placeholder that this test knows nothing of");
        path
    }
}

/// A body that a route of a tenant can read.
pub(crate) fn body(method: &Method, path: &str) -> Value {
    match (method.as_str(), path) {
        ("PATCH", path) if path.contains("/members/") => json!({"role": "auditor"}),
        ("POST", path) if path.ends_with("/invitations") => {
            json!({"email": "carol@example.com", "role": "auditor"})
        }
        ("POST", path) if path.ends_with("/subscription/change") => json!({"plan": "pro"}),
        _ => json!({"name": "Acme"}),
    }
}

/// Every method and pattern below a tenant.
pub(crate) async fn tenant_routes(client: &Client) -> Vec<(Method, String)> {
    let document = client.get("/openapi.json").await;
    let paths = document.json["paths"].as_object().unwrap();
    let routes = paths.iter().filter(|(path, _)| path.starts_with("/v1/tenants/{tenant}"));
    routes
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .keys()
                .map(|method| (method.to_uppercase().parse().unwrap(), path.clone()))
        })
        .collect()
}

async fn call(client: &Client, method: &Method, path: &str) -> Answer {
    let query = match path {
        path if path.ends_with("/usage") => "?from=2026-01-01T00:00:00Z",
        path if path.ends_with("/consistency") => "?from=1",
        _ => "",
    };
    let request = client.request(method.clone(), &format!("{path}{query}"));
    match *method {
        Method::POST | Method::PATCH => request.json(&body(method, path)).send().await,
        _ => request.send().await,
    }
}

#[tokio::test]
async fn of_another_tenant_there_is_nothing_to_tell_from_nothing() {
    let app = TestApp::spawn().await;
    let (owner, other) = (app.owner().await, app.owner().await);
    let (own, foreign, unknown) = (Ids::of(&app, &owner).await, Ids::of(&app, &other).await, Ids::unknown());
    other.key().await.batch(&[event("m1")]).await.ok();
    let head = other.head().await;
    let routes = tenant_routes(&app.anonymous).await;
    assert!(routes.len() > 25);
    for (method, pattern) in routes {
        let of_other = call(&owner, &method, &foreign.path(&pattern)).await.problem(404, "not_found");
        let of_nobody = call(&owner, &method, &unknown.path(&pattern)).await.problem(404, "not_found");
        assert_eq!(of_other.anonymized(), of_nobody.anonymized(), "{method} {pattern}");
        assert_eq!(header_names(&of_other), header_names(&of_nobody), "{method} {pattern}");

        // In one's own tenant, things of another are as unknown.
        let rest = pattern.strip_prefix("/v1/tenants/{tenant}").unwrap();
        // What a journal has is numbered, and each has its own.
        if rest.contains('{') && !rest.starts_with("/journal/") {
            let within = |ids: &Ids| format!("/v1/tenants/{}{}", own.tenant, ids.path(rest));
            let of_other = call(&owner, &method, &within(&foreign)).await.problem(404, "not_found");
            let of_nobody = call(&owner, &method, &within(&unknown)).await.problem(404, "not_found");
            assert_eq!(of_other.anonymized(), of_nobody.anonymized(), "{method} {pattern}");
        }
    }
    assert_eq!(other.head().await, head, "nothing has happened there");
}

fn header_names(answer: &Answer) -> Vec<String> {
    let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    // Told when the body was not read to its end, which is up to the network.
    names.retain(|name| name != "connection");
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_tenant_only() {
    let app = TestApp::spawn().await;
    let (owner, other) = (app.owner().await, app.owner().await);
    for owner in [&owner, &other] {
        app.member_of(owner, "member").await;
        for address in ["carol@example.com", "dave@example.com"] {
            app.invited(owner, address, "member").await;
        }
        owner.post(&owner.path("/workspaces"), json!({"name": "Lab"})).await.ok();
        let projects = owner.path(&format!("/workspaces/{}/projects", owner.workspace));
        owner.post(&projects, json!({"name": "Shop"})).await.ok();
        owner.key().await;
        owner.key().await.batch(&[event("m1"), event("m2")]).await.ok();
    }
    let lists = [
        "/audit",
        "/invitations",
        "/members",
        "/workspaces",
        "/workspaces/{workspace}/projects",
        "/projects/{project}/api-keys",
        "/projects/{project}/events",
    ];
    for list in lists {
        let path = |owner: &Owner| {
            owner.path(&list.replace("{workspace}", &owner.workspace).replace("{project}", &owner.project))
        };
        let position = owner.head().await;
        let first = owner.get(&format!("{}?limit=1&min_position={position}", path(&owner))).await.ok();
        let cursor =
            first.json["meta"]["next_cursor"].as_str().unwrap_or_else(|| panic!("{list}: {first:?}"));
        owner.get(&format!("{}?cursor={cursor}", path(&owner))).await.ok();
        let foreign = other.get(&format!("{}?cursor={cursor}", path(&other))).await;
        assert_eq!(foreign.problem(422, "validation_failed").faults(), ["?cursor=invalid_cursor"], "{list}");
    }
    // Every list that takes a cursor is among them.
    let document = app.anonymous.get("/openapi.json").await;
    for (path, item) in document.json["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        if parameters.clone().any(|parameter| parameter["name"] == "cursor") {
            let known = path.strip_prefix("/v1/tenants/{tenant}").is_some_and(|rest| lists.contains(&rest));
            assert!(known || path.starts_with("/v1/admin/"), "{path} is not looked at here");
        }
    }
}

#[tokio::test]
async fn what_is_listed_is_ones_own() {
    let app = TestApp::spawn().await;
    let (owner, other) = (app.owner().await, app.owner().await);
    app.invited(&other, "carol@example.com", "member").await;
    other.key().await.batch(&[event("m1")]).await.ok();
    let head = owner.head().await;
    for (method, pattern) in tenant_routes(&app.anonymous).await {
        if method != Method::GET {
            continue;
        }
        let path = pattern.replace("{tenant}", &owner.tenant).replace("{workspace}", &owner.workspace);
        let path = path.replace("{project}", &owner.project);
        if path.contains('{') {
            continue;
        }
        let separator = if path.ends_with("/usage") { "?from=2020-01-01T00:00:00Z&" } else { "?" };
        let separator = match path.as_str() {
            path if path.ends_with("/journal") => "?limit=500".to_owned(),
            // There is nothing to prove before the first checkpoint.
            path if path.ends_with("/consistency") => {
                owner.get(&owner.path("/journal/checkpoint?min_position=1")).await.ok();
                "?from=1".to_owned()
            }
            _ => format!("{separator}min_position={head}"),
        };
        let answer = owner.get(&format!("{path}{separator}")).await.ok();
        for foreign in [&other.tenant, &other.workspace, &other.project, &other.id, &other.email] {
            assert!(!answer.text.contains(foreign.as_str()), "{answer:?}");
        }
        assert!(!answer.text.contains("carol"), "{answer:?}");
    }
}
