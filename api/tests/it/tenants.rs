//! Founding a tenant and changing what belongs to it.

use futures_util::future::join;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    actors::{Owner, types},
    app::{TestApp, eventually},
    client::Answer,
};

#[tokio::test]
async fn a_tenant_is_founded_in_one_commit() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    let answer = person.post("/v1/tenants", json!({"name": "Acme Ltd."})).await.expect(StatusCode::CREATED);
    let tenant = answer.text_of("id");
    let path = format!("/v1/tenants/{tenant}");
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert_eq!((answer.text_of("slug").as_str(), answer.text_of("state").as_str()), ("acme-ltd", "active"));
    assert_eq!(answer.position(), 7);
    let journal = person.get(&format!("{path}/journal")).await.ok();
    assert_eq!(
        types(journal.items()),
        [
            "TenantCreated",
            "WorkspaceCreated",
            "ProjectCreated",
            "MemberJoined",
            "OwnershipGranted",
            "SubscriptionStarted",
            "SeatTaken"
        ]
    );
    for (index, event) in journal.items().iter().enumerate() {
        assert_eq!(event["position"], index + 1);
        assert_eq!(event["recorded_at"], journal.items()[0]["recorded_at"]);
        assert_eq!(event["metadata"]["request_id"], answer.header("x-request-id").unwrap());
        assert_eq!(event["metadata"]["actor"]["id"], person.id);
    }
    let read = async |rest: &str| person.get(&format!("{path}{rest}?min_position=7")).await.ok();
    assert_eq!(read("").await.text_of("name"), "Acme Ltd.");
    let members = read("/members").await;
    assert_eq!(
        (members.all("user_id"), members.all("role")),
        (vec![person.id.clone()], vec!["owner".to_owned()])
    );
    assert_eq!(read("/workspaces").await.all("id"), [answer.text_of("workspace_id")]);
    let subscription = read("/subscription").await;
    let terms = ["plan", "state", "events_per_month", "seats", "seats_taken", "overage"]
        .map(|field| subscription.data()[field].clone());
    assert_eq!(json!(terms), json!(["free", "active", 100_000, 3, 1, "refused"]));
    let memberships = eventually("the membership", async || {
        let me = person.get("/v1/me").await.ok();
        Some(me.data()["memberships"].clone()).filter(|memberships| *memberships != json!([]))
    })
    .await;
    assert_eq!((&memberships[0]["tenant"]["id"], &memberships[0]["role"]), (&json!(tenant), &json!("owner")));
}

#[tokio::test]
async fn a_slug_is_one_tenants() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    let found = async |body: Value| person.post("/v1/tenants", body).await;
    found(json!({"name": "Acme", "slug": "acme"})).await.expect(StatusCode::CREATED);
    found(json!({"name": "Acme", "slug": "acme"})).await.problem(409, "slug_taken");
    let suggested = found(json!({"name": "Acme"})).await.expect(StatusCode::CREATED).text_of("slug");
    assert!(suggested.starts_with("acme-"), "{suggested}");
    let other = app.owner().await;
    let rename = async |slug: &str| other.patch(&other.path(""), json!({"slug": slug})).await;
    rename("acme").await.problem(409, "slug_taken");
    rename("zenith").await.ok();
    let before = other.get(&other.path("")).await.text_of("slug");
    rename("acme-2").await.ok();
    // What was given up is free again.
    found(json!({"name": "Zenith", "slug": "zenith"})).await.expect(StatusCode::CREATED);
    assert_ne!(before, "acme-2");
    rename("Not A Slug").await.problem(422, "validation_failed");
}

#[tokio::test]
async fn simultaneous_founders_get_one_slug_between_them() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    let founding = || person.post("/v1/tenants", json!({"name": "Acme", "slug": "acme"}));
    let answers = futures_util::future::join_all((0..8).map(|_| founding())).await;
    let (founded, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(founded.len(), 1);
    for answer in refused {
        answer.problem(409, "slug_taken");
    }
}

#[tokio::test]
async fn tenants_that_take_each_others_slugs_are_refused_in_order() {
    let app = TestApp::spawn().await;
    let (one, other) = (app.owner().await, app.owner().await);
    for round in 0..6 {
        let slugs = [format!("one-{round}"), format!("other-{round}")];
        change(&one, json!({"slug": slugs[0]})).await.ok();
        change(&other, json!({"slug": slugs[1]})).await.ok();
        let swap = join(change(&one, json!({"slug": slugs[1]})), change(&other, json!({"slug": slugs[0]})));
        for answer in <[Answer; 2]>::from(swap.await) {
            assert!([200, 409].contains(&answer.status), "{answer:?}");
        }
    }
}

async fn change(owner: &Owner, body: Value) -> Answer {
    owner.patch(&owner.path(""), body).await
}

#[tokio::test]
async fn a_change_is_made_in_the_version_that_was_seen() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let seen = owner.get(&owner.path("?min_position=7")).await.ok();
    let rename = async |path: &str, version: &str, name: &str| {
        let request = owner.request(Method::PATCH, path).header("if-match", version);
        request.json(&json!({"name": name})).send().await
    };
    let path = owner.path("");
    let renamed = rename(&path, &seen.etag(), "Acme & Co").await.ok();
    assert_ne!(renamed.etag(), seen.etag());
    assert_eq!(renamed.text_of("name"), "Acme & Co");
    rename(&path, &seen.etag(), "Too late").await.problem(412, "precondition_failed");
    rename(&path, "*", "Any").await.ok();
    rename(&path, "seven", "None").await.problem(400, "malformed_if_match");
    let project = owner.get(&owner.project_path("?min_position=7")).await.ok();
    rename(&owner.project_path(""), &project.etag(), "Shop").await.ok();
    rename(&owner.project_path(""), &project.etag(), "Shop 2").await.problem(412, "precondition_failed");
    assert_eq!(owner.get(&owner.path("?min_position=9")).await.ok().text_of("name"), "Any");
    // What changes nothing appends nothing.
    let head = owner.head().await;
    assert_eq!(change(&owner, json!({"name": "Any"})).await.ok().position(), head);
}

#[tokio::test]
async fn a_simultaneous_change_of_one_version_is_made_once() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let version = owner.get(&owner.path("?min_position=7")).await.ok().etag();
    let rename = |index: u32| {
        let request = owner.request(Method::PATCH, &owner.path("")).header("if-match", &version);
        request.json(&json!({"name": format!("Acme {index}")})).send()
    };
    let answers = futures_util::future::join_all((0..8).map(rename)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), 7, "{answers:?}");
}

#[tokio::test]
async fn workspaces_and_projects_are_listed_page_by_page() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let mut ids = vec![owner.workspace.clone()];
    let mut position = 0;
    for name in ["Lab", "Shop", "Press", "Farm"] {
        let answer = owner.post(&owner.path("/workspaces"), json!({"name": name})).await;
        let answer = answer.expect(StatusCode::CREATED);
        let location = answer.header("location").unwrap();
        let made = owner.get(&format!("{location}?min_position={}", answer.position())).await.ok();
        assert_eq!((made.text_of("name").as_str(), made.etag()), (name, answer.etag()));
        ids.push(answer.text_of("id"));
        position = answer.position();
    }
    let mut listed = Vec::new();
    let mut path = owner.path(&format!("/workspaces?limit=2&min_position={position}"));
    for more in [true, true, false] {
        let page = owner.get(&path).await.ok();
        assert!(page.position() >= position);
        listed.extend(page.all("id"));
        let meta = &page.json["meta"];
        assert_eq!(meta["has_more"], more);
        assert_eq!(meta["next_cursor"].is_string(), more);
        let cursor = meta["next_cursor"].as_str().unwrap_or_default();
        path = owner.path(&format!("/workspaces?limit=2&cursor={cursor}"));
    }
    assert_eq!(listed, ids);

    let projects = owner.path(&format!("/workspaces/{}/projects", ids[1]));
    let project = owner.post(&projects, json!({"name": "Beagle"})).await.expect(StatusCode::CREATED);
    let page = owner.get(&format!("{projects}?min_position={}", project.position())).await.ok();
    assert_eq!(page.all("id"), [project.text_of("id")]);
    let nowhere = owner.path("/workspaces/wsp_01h455vb4pex5vsknk084sn02q/projects");
    owner.post(&nowhere, json!({"name": "Lost"})).await.problem(404, "not_found");
}
