//! Forgetting people: nothing of them can be read any more, and nothing of the journal has changed.

use std::{fs, path::Path};

use ::projections::{ALL, rebuild};
use domain::{ids::TenantId, recorded_event::RecordedEvent};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::{
    actors::{Owner, PASSWORD, refresh_token},
    app::{TestApp, eventually},
    client::Client,
    tables::assert_same,
};

const EMAIL: &str = "ada.zephyrine@example.com";
const NAME: &str = "Ada Zephyrine Quux";
const IP: &str = "127.84.2.9";
const USER_AGENT: &str = "Difference-Engine/1843";
/// What must not be left.
const TRACES: &[&str] = &[EMAIL, NAME, IP, USER_AGENT];

/// The person who is going to be forgotten.
struct Ada {
    client: Client,
    id: String,
    member: String,
    refresh_token: String,
}

/// Ada signs up, joins the owner's tenant, does this and that there, and invites a friend.
async fn ada(app: &TestApp, owner: &Owner, friend: &str) -> Ada {
    let anonymous = app.anonymous.from(IP, USER_AGENT);
    let body = json!({"email": EMAIL, "password": PASSWORD, "name": NAME});
    let registered = anonymous.post("/v1/auth/register", body.clone()).await.expect(StatusCode::CREATED);
    anonymous.post("/v1/auth/register", body).await.expect(StatusCode::CREATED);
    let token = app.token_mailed(EMAIL, "verify-email", 1).await;
    let body = json!({"token": token, "password": PASSWORD});
    anonymous.post("/v1/auth/verify-email", body).await.ok();
    let wrong = json!({"email": EMAIL, "password": "wrong password"});
    anonymous.post("/v1/auth/login", wrong).await.problem(401, "invalid_credentials");
    let login = anonymous.post("/v1/auth/login", json!({"email": EMAIL, "password": PASSWORD})).await.ok();
    let cookie = format!("refresh_token={}", refresh_token(&login));
    let refresh = anonymous.request(reqwest::Method::POST, "/v1/auth/refresh").header("cookie", &cookie);
    let refreshed = refresh.send().await.ok();
    let client = anonymous.bearing(&refreshed.text_of("access_token"));

    let token = app.invited(owner, EMAIL, "admin").await.1;
    let joined = client.post("/v1/invitations/accept", json!({"token": token})).await.ok();
    client.post(&owner.path("/workspaces"), json!({"name": "Lab"})).await.ok();
    let invitation = json!({"email": friend, "role": "member"});
    client.post(&owner.path("/invitations"), invitation).await.ok();
    Ada {
        client,
        id: registered.data()["user"]["id"].as_str().unwrap().to_owned(),
        member: joined.text_of("member_id"),
        refresh_token: refresh_token(&refreshed),
    }
}

impl TestApp {
    /// Waits until a user is erased.
    async fn erased(&self, user: &str) {
        let stream = user.parse::<domain::ids::UserId>().unwrap().uuid();
        let mut superuser = self.superuser().await;
        eventually("the erasure", async || {
            let erased = "SELECT 1 FROM events WHERE stream_id = $1 AND event_type = 'SubjectErased'";
            sqlx::query(erased).bind(stream).fetch_optional(&mut superuser).await.unwrap().map(drop)
        })
        .await;
    }

    /// Every row of every table of the database that holds one of these texts.
    async fn rows_with(&self, texts: &[&str]) -> Vec<String> {
        let mut superuser = self.superuser().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
             WHERE relkind IN ('r', 'm', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
        )
        .fetch_all(&mut superuser)
        .await
        .unwrap();
        assert!(tables.iter().any(|table| table == "public.events"), "{tables:?}");
        assert!(tables.iter().any(|table| table.starts_with("graphile_worker.")), "{tables:?}");
        let mut found = Vec::new();
        for table in tables {
            let query = format!("SELECT row_to_json(t)::text FROM {table} AS t");
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut superuser).await.unwrap();
            let rows = rows.into_iter().filter(|row| texts.iter().any(|text| row.contains(text)));
            found.extend(rows.map(|row| format!("{table}: {row}")));
        }
        found
    }

    /// All events of a journal, as they are stored.
    async fn stored(&self, tenant: TenantId) -> Vec<RecordedEvent> {
        self.annals.app.journal.read(tenant, 0, 10_000).await.unwrap()
    }

    async fn audited_of(&self, owner: &Owner, user: &str) -> Vec<Value> {
        let path = owner.path(&format!("/audit?limit=500&actor={user}"));
        owner.get(&path).await.items().to_vec()
    }
}

/// The files below a folder that hold one of these texts.
fn files_with(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, texts));
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).replace("=\r\n", "");
        if texts.iter().any(|trace| text.contains(trace)) {
            found.push(text);
        }
    }
    found
}

#[tokio::test]
async fn of_who_is_erased_nothing_is_left_and_nothing_of_the_journal_changes() {
    let app = TestApp::spawn().await;
    let (owner, other) = (app.owner().await, app.owner().await);
    let tenant: TenantId = owner.tenant.parse().unwrap();
    let pending = other.invite(EMAIL, "member").await.ok().text_of("id");
    let ada = ada(&app, &owner, "grace@example.com").await;
    app.caught_up().await;
    app.invitation_mailed("grace@example.com", &grace(&owner).await, 1).await;

    // Who may see her does; in the tables there are only sealed texts.
    let member = owner.get(&owner.path(&format!("/members/{}", ada.member))).await.ok();
    assert_eq!((member.text_of("email"), member.text_of("name")), (EMAIL.to_owned(), NAME.to_owned()));
    let entry = app.audited_of(&owner, &ada.id).await.remove(0);
    assert_eq!((&entry["actor"]["name"], &entry["context"]["ip"]), (&json!(NAME), &json!(IP)));
    assert_eq!(entry["context"]["user_agent"], USER_AGENT);
    assert_eq!(app.rows_with(TRACES).await, Vec::<String>::new());
    assert!(!files_with(app.data_dir(), &[EMAIL]).is_empty(), "there are mails to her");
    let before = app.stored(tenant).await;

    let erase = async |password: &str| ada.client.post("/v1/me/erase", json!({"password": password})).await;
    erase("wrong password").await.problem(403, "wrong_password");
    let queued = erase(PASSWORD).await.expect(StatusCode::ACCEPTED);
    assert_eq!(queued.data()["status"], "queued");
    assert_eq!(ada.client.get("/v1/me").await.status, 401, "at once");
    app.erased(&ada.id).await;
    app.caught_up().await;

    assert_eq!(app.rows_with(TRACES).await, Vec::<String>::new());
    assert_eq!(files_with(app.data_dir(), &[EMAIL, IP, USER_AGENT]), Vec::<String>::new());
    // Mails that others got about her are theirs.
    assert!(files_with(app.data_dir(), &[NAME]).iter().all(|mail| mail.contains("To: grace@example.com")));

    nobody_is_there(&app, &ada).await;
    owner.get(&owner.path(&format!("/members/{}", ada.member))).await.problem(404, "not_found");
    let withdrawn = other.get(&other.path(&format!("/invitations/{pending}"))).await.ok();
    assert_eq!(
        (withdrawn.text_of("state"), withdrawn.text_of("email")),
        ("revoked".into(), "[erased]".into())
    );
    let invitations = owner.get(&owner.path("/invitations")).await;
    let shown: Vec<_> =
        invitations.items().iter().map(|one| (one["email"].clone(), one["invited_by"].clone())).collect();
    let (erased, inviter) = (json!("[erased]"), json!("Ada Lovelace"));
    assert_eq!(shown, [(json!("grace@example.com"), erased.clone()), (erased, inviter)]);
    let entries = app.audited_of(&owner, &ada.id).await;
    assert!(entries.len() >= 3, "{entries:?}");
    for entry in &entries {
        assert_eq!((&entry["actor"]["name"], &entry["actor"]["id"]), (&json!("[erased]"), &json!(ada.id)));
        assert_eq!(
            (&entry["context"]["ip"], &entry["context"]["user_agent"]),
            (&json!("[erased]"), &json!("[erased]"))
        );
    }
    let journal = owner.get(&owner.path("/audit?limit=500")).await;
    for trace in TRACES {
        assert!(!journal.text.contains(trace), "{trace}: {}", journal.text);
    }
    assert_eq!(owner.get(&owner.path("/audit?action=member.erased")).await.items().len(), 1);

    // Every hash is what it was, and still that of what is stored.
    let after = app.stored(tenant).await;
    assert!(after.len() > before.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.leaf_hash, after.leaf_hash);
        assert_eq!(before.payload.get(), after.payload.get());
    }
    let platform = app.stored(TenantId::PLATFORM).await;
    assert!(after.iter().chain(&platform).all(|event| event.computed_leaf_hash() == event.leaf_hash));

    // And a rebuild gives what is there.
    let tables = app.tables().await;
    for projection in ALL.iter().filter(|projection| projection.is_rebuildable()) {
        for extent in rebuild::extents(&app.annals.database, None).await.unwrap() {
            rebuild::rebuild(&app.annals.database, *projection, extent.tenant, |_| {}).await.unwrap();
        }
    }
    assert_same(&tables, &app.tables().await, "rebuilt");
}

/// Nobody gets in as the erased any more.
async fn nobody_is_there(app: &TestApp, ada: &Ada) {
    app.login(EMAIL, PASSWORD).await.problem(401, "invalid_credentials");
    ada.client.get("/v1/me").await.problem(401, "session_ended");
    let cookie = format!("refresh_token={}", ada.refresh_token);
    let refresh = app.anonymous.request(reqwest::Method::POST, "/v1/auth/refresh").header("cookie", &cookie);
    refresh.send().await.problem(401, "session_ended");
}

async fn grace(owner: &Owner) -> String {
    let invitations = owner.get(&owner.path("/invitations")).await;
    let grace = invitations.items().iter().find(|one| one["email"] == "grace@example.com");
    grace.unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_erased_address_can_become_somebody_else() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let first = ada(&app, &owner, "grace@example.com").await;
    first.client.post("/v1/me/erase", json!({"password": PASSWORD})).await.expect(StatusCode::ACCEPTED);
    app.erased(&first.id).await;
    let second = ada(&app, &owner, "mary@example.com").await;
    assert_ne!(second.id, first.id);
    app.caught_up().await;
    let member = owner.get(&owner.path(&format!("/members/{}", second.member))).await.ok();
    assert_eq!(member.text_of("email"), EMAIL);
    let names =
        app.audited_of(&owner, &first.id).await.into_iter().map(|entry| entry["actor"]["name"].clone());
    assert!(names.collect::<Vec<_>>().iter().all(|name| name == "[erased]"));
}

#[tokio::test]
async fn the_last_owner_of_a_tenant_stays() {
    let app = TestApp::spawn().await;
    let (owner, administrator) = (app.owner().await, app.administrator().await);
    app.caught_up().await;
    let own = owner.post("/v1/me/erase", json!({"password": PASSWORD})).await.problem(409, "last_owner");
    assert!(own.json["detail"].as_str().unwrap().contains(&owner.tenant), "{own:?}");
    let path = format!("/v1/admin/users/{}/erase", owner.id);
    let reason = json!({"reason": "asked by letter"});
    administrator.post(&path, reason.clone()).await.problem(409, "last_owner");
    let heir = app.member_of(&owner, "owner").await;
    // Also from a tenant that is frozen.
    let freeze = format!("/v1/admin/tenants/{}/freeze", owner.tenant);
    administrator.post(&freeze, json!({"reason": "unpaid"})).await.ok();
    app.caught_up().await;
    administrator.post(&path, reason.clone()).await.expect(StatusCode::ACCEPTED);
    administrator.post(&path, reason.clone()).await.expect(StatusCode::ACCEPTED);
    app.erased(&owner.id).await;
    app.caught_up().await;
    let members = heir.get(&owner.path("/members")).await;
    assert_eq!(members.items().len(), 1, "{members:?}");
    administrator.post(&path, reason.clone()).await.expect(StatusCode::ACCEPTED);
    let nobody = format!("/v1/admin/users/{}/erase", domain::ids::UserId::random());
    administrator.post(&nobody, reason).await.problem(404, "not_found");
}

#[tokio::test]
async fn an_erasure_that_was_interrupted_goes_on() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let ada = ada(&app, &owner, "grace@example.com").await;
    app.caught_up().await;
    app.stop_workers().await;
    ada.client.post("/v1/me/erase", json!({"password": PASSWORD})).await.expect(StatusCode::ACCEPTED);
    app.login(EMAIL, PASSWORD).await.problem(401, "invalid_credentials");
    // Another process takes over what this one did not even begin.
    let stop = tokio_util::sync::CancellationToken::new();
    let workers = api::work::start(std::sync::Arc::clone(&app.annals), stop.clone()).await.unwrap();
    app.erased(&ada.id).await;
    stop.cancel();
    workers.finish().await;
    assert_eq!(app.rows_with(TRACES).await, Vec::<String>::new());
}
