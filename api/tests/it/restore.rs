//! `annals import FILE`: a journal that `annals export` wrote comes back in another installation as it was.

use std::fs;

use ::projections::restore::Restorer;
use domain::ids::{TenantId, UserId};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::Executor;

use crate::{
    actors::{Owner, PASSWORD, event},
    app::{TestApp, eventually},
    place::Place,
    tables::assert_same,
};

const PLATFORM: &str = "ten_00000000000000000000000000";
const OTHER_SECRET: &str = "HxweHRscGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwI=";

async fn public_key(app: &TestApp) -> String {
    app.anonymous.get("/.well-known/annals-journal-key").await.ok().text.trim().to_owned()
}

/// A tenant in which something of everything that is claimed has happened. Tells the token of its open invitation.
async fn lived(app: &TestApp) -> (Owner, String) {
    let owner = app.owner().await;
    owner.key().await.batch(&[event("m1"), event("m2")]).await.ok();
    app.member_of(&owner, "admin").await;
    let (revoked, _) = app.invited(&owner, "revoked@example.com", "member").await;
    owner.post(&owner.path(&format!("/invitations/{revoked}/revoke")), json!({})).await.ok();
    let (_, token) = app.invited(&owner, "open@example.com", "member").await;
    owner.patch(&owner.path(""), json!({"slug": "renamed"})).await.ok();
    (owner, token)
}

#[tokio::test]
async fn a_journal_comes_back_as_it_was() {
    let (here, there) = (Place::new().await, Place::new().await);
    let app = here.app(true).await;
    let (owner, token) = lived(&app).await;
    let person = app.person().await;
    let api_key = owner.key().await;
    app.caught_up().await;
    app.stop_workers().await;
    let key = public_key(&app).await;
    let (platform, tenant) =
        (here.export(PLATFORM, "platform").await, here.export(&owner.tenant, "tenant").await);

    let counted = there.succeed(&["import", &platform.journal, "--key", &key, "--dry-run"]).await;
    assert!(counted.contains("events to import, 0 are here"), "{counted}");
    assert_eq!(there.events().await, 0);
    for exported in [&platform, &tenant] {
        let said = there.import(exported, &key).await;
        let verified = there.succeed(&["verify", &exported.journal, "--key", &key]).await;
        let root = verified.trim().rsplit(' ').next().unwrap();
        assert!(said.contains(&format!("root {root} at ")), "{said} {verified}");
        assert!(said.contains(" 0 were here before") && !said.contains("have no key"), "{said}");
    }
    assert_eq!(there.journals().await, here.journals().await);
    assert_eq!(there.holders().await, here.holders().await);
    there.succeed(&["verify", "--database"]).await;
    // Again, there is nothing to do.
    let said = there.import(&tenant, &key).await;
    assert!(said.contains(": 0 events imported, "), "{said}");

    // Read models are the same, row for row, and nobody gets a mail again.
    let restored = there.app(true).await;
    let tables = app.tables().await;
    assert!(!tables["invitations"].is_empty() && !tables["tracked_events"].is_empty());
    assert_same(&tables, &restored.tables().await, "a restored installation");
    assert_eq!(restored.jobs().await, 0);

    // Life goes on: passwords, sessions and API keys of before are good, and what is taken is taken.
    drop(restored);
    let restored = there.app(true).await;
    restored.signed_in(&person.id, &person.email).await;
    let cookie = format!("refresh_token={}", owner.refresh_token);
    let refresh =
        restored.anonymous.request(reqwest::Method::POST, "/v1/auth/refresh").header("cookie", &cookie);
    let access = refresh.send().await.ok().text_of("access_token");
    let owner_there = restored.anonymous.bearing(&access);
    assert_eq!(owner_there.get("/v1/me").await.ok().data()["user"]["email"], owner.email);
    let program = restored.anonymous.bearing(&api_key.secret);
    let batch = program.post("/v1/batch", json!({"batch": [event("m1"), event("m3")]})).await.ok();
    assert_eq!(batch.data()["duplicates"], 1);
    let again = json!({"email": "open@example.com", "role": "member"});
    let again = owner_there.post(&owner.path("/invitations"), again).await;
    again.problem(409, "invitation_pending");
    let free = json!({"email": "revoked@example.com", "role": "member"});
    owner_there.post(&owner.path("/invitations"), free).await.expect(StatusCode::CREATED);
    let registered = restored.register("open@example.com", PASSWORD).await.expect(StatusCode::CREATED);
    let link = restored.token_mailed("open@example.com", "verify-email", 1).await;
    restored.verify(&link).await.ok();
    let id = registered.data()["user"]["id"].as_str().unwrap().to_owned();
    let invited = restored.signed_in(&id, "open@example.com").await;
    invited.post("/v1/invitations/accept", json!({"token": token})).await.ok();

    // An address is its owner's, and the slug of before the renaming anybody's.
    restored.register(&person.email, PASSWORD).await.expect(StatusCode::CREATED);
    restored.await_mails(&person.email, 1).await;
    let users = there.rows("SELECT 1 FROM events WHERE event_type = 'RegistrationRepeated'").await;
    assert_eq!(users.len(), 1);
    owner_there.patch(&owner.path(""), json!({"slug": "renamed-again"})).await.ok();
    let other = json!({"name": "Other", "slug": "renamed"});
    invited.post("/v1/tenants", other).await.expect(StatusCode::CREATED);
    assert_eq!(restored.mails(&owner.email).len(), 0);
}

/// After all that claims and gives back, the claims are what the rules make of the streams alone.
#[tokio::test]
async fn claims_are_what_streams_hold() {
    let place = Place::new().await;
    let app = place.app(true).await;
    let (owner, _) = lived(&app).await;
    let declined = app.person().await;
    let token = app.invited(&owner, &declined.email, "member").await.1;
    declined.post("/v1/invitations/decline", json!({"token": token})).await.ok();
    let (open, _) = app.invited(&owner, &declined.email, "member").await;
    let erased = app.person().await;
    app.invited(&owner, &erased.email, "member").await;
    erased.post("/v1/me/erase", json!({"password": PASSWORD})).await;
    eventually("the erasure", async || {
        let done = place.rows("SELECT 1 FROM events WHERE event_type = 'SubjectErased'").await;
        (!done.is_empty()).then_some(())
    })
    .await;
    let claims = place.claims().await;
    assert!(claims.iter().any(|claim| claim.contains("slug")) && !open.is_empty());
    let recount = async || {
        for tenant in [PLATFORM, &owner.tenant] {
            let tenant: TenantId = tenant.parse().unwrap();
            Restorer::new(app.annals.database.clone(), tenant).finish(&[]).await.unwrap();
        }
    };
    recount().await;
    assert_eq!(place.claims().await, claims);
    place.superuser().await.execute("DELETE FROM claims").await.unwrap();
    recount().await;
    assert_eq!(place.claims().await, claims);
    let stale = "UPDATE claims SET value = value || 'x'";
    place.superuser().await.execute(stale).await.unwrap();
    recount().await;
    assert_eq!(place.claims().await, claims);
}

#[tokio::test]
async fn what_is_not_the_same_journal_is_not_restored() {
    let (here, there) = (Place::new().await, Place::new().await);
    let app = here.app(true).await;
    let (owner, _) = lived(&app).await;
    let key = public_key(&app).await;
    let tenant = here.export(&owner.tenant, "tenant").await;
    let import = ["import", &tenant.journal, "--key", &key];

    // A file in which something was changed, by whatever.
    let text = fs::read_to_string(&tenant.journal).unwrap();
    let tampered = here.file("tampered").to_str().unwrap().to_owned();
    fs::write(&tampered, text.replace("Acme", "Acne")).unwrap();
    let said = there.fail(&["import", &tampered, "--key", &key]).await;
    assert!(said.contains("position 1: the leaf hash is not that"), "{said}");
    let (body, _) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&tampered, format!("{body}\n")).unwrap();
    let said = there.fail(&["import", &tampered, "--key", &key]).await;
    assert!(said.contains("no checkpoint covers"), "{said}");
    let other_key = "annals-139e3940e64b5491+fda439a8+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    let said = there.fail(&["import", &tenant.journal, "--key", other_key]).await;
    assert!(said.contains("it is signed with"), "{said}");
    let said = there.fail(&["import", &tenant.journal]).await;
    assert!(said.contains("--key"), "{said}");
    let said = there
        .fail(&[
            "import",
            &tenant.journal,
            "--key",
            &key,
            "--from-postgres-es",
            "postgres://x",
            "--tenant",
            PLATFORM,
        ])
        .await;
    assert!(said.contains("cannot be used with"), "{said}");
    assert_eq!(there.events().await, 0);

    // A slug that somebody has.
    let taken = there.app(true).await;
    let squatter = taken.owner().await;
    squatter.patch(&squatter.path(""), json!({"slug": "renamed"})).await.ok();
    let before = there.events().await;
    let said = there.fail(&import).await;
    let expected = format!("the slug \"renamed\" belongs to {} here", squatter.tenant);
    assert!(said.contains(&expected), "{said}");
    assert_eq!(there.events().await, before);
    squatter.patch(&squatter.path(""), json!({"slug": "squatter"})).await.ok();
    there.succeed(&import).await;

    // A journal that has gone on here, and one that has gone on there and then here.
    let said = there.succeed(&import).await;
    assert!(said.contains(": 0 events imported"), "{said}");
    let position: i64 = sqlx::query_scalar("SELECT max(position) FROM events WHERE tenant_id = $1")
        .bind(owner.tenant.parse::<TenantId>().unwrap().uuid())
        .fetch_one(&mut there.superuser().await)
        .await
        .unwrap();
    let administrator = taken.administrator().await;
    let freeze = format!("/v1/admin/tenants/{}/freeze", owner.tenant);
    administrator.post(&freeze, json!({"reason": "moved"})).await.ok();
    let said = there.succeed(&import).await;
    assert!(said.contains("the journal here is longer than the file"), "{said}");
    owner.post(&owner.path("/workspaces"), json!({"name": "Lab"})).await.ok();
    let newer = here.export(&owner.tenant, "newer").await;
    let before = there.events().await;
    let said = there.fail(&["import", &newer.journal, "--key", &key]).await;
    assert!(said.contains(&format!("the event at position {} differs", position + 1)), "{said}");
    assert_eq!(there.events().await, before);
}

#[tokio::test]
async fn what_was_interrupted_goes_on_and_what_has_grown_comes_after() {
    let (here, there) = (Place::new().await, Place::new().await);
    let app = here.app(true).await;
    let (owner, _) = lived(&app).await;
    let api_key = owner.key().await;
    let batch = async |name: &str| {
        let events: Vec<_> = (0..2_000).map(|index| event(&format!("{name}-{index}"))).collect();
        api_key.batch(&events).await.ok();
    };
    batch("early").await;
    let key = public_key(&app).await;
    let early = here.export(&owner.tenant, "early").await;
    for name in 0..5 {
        batch(&name.to_string()).await;
    }
    app.invited(&owner, "late@example.com", "member").await;
    let late = here.export(&owner.tenant, "late").await;
    there.import(&early, &key).await;
    let mut seen = there.events().await;
    assert_ne!(seen, 0);

    // A server runs meanwhile, and has looked at the tenant.
    let server = there.app(true).await;
    server.caught_up().await;
    let mut kills = 0;
    loop {
        let arguments = ["import", &late.journal, "--key", &key, "--people", &late.people];
        let mut import = there.command(&arguments).spawn().unwrap();
        let grown = eventually("an import that goes on", async || {
            let events = there.events().await;
            if events > seen {
                return Some(events);
            }
            import.try_wait().unwrap().map(|_| events)
        })
        .await;
        let is_over = import.try_wait().unwrap().is_some();
        import.kill().unwrap();
        import.wait().unwrap();
        if is_over || kills == 3 {
            break;
        }
        kills += 1;
        seen = grown;
    }
    assert!(kills > 0, "it was over before it could be killed");
    there.import(&late, &key).await;
    let of_tenant = |rows: Vec<String>| {
        let tenant = owner.tenant.parse::<TenantId>().unwrap().uuid().to_string();
        rows.into_iter()
            .filter(|row| row.contains(&format!("\"tenant_id\":\"{tenant}\"")))
            .collect::<Vec<_>>()
    };
    assert_eq!(of_tenant(there.journals().await), of_tenant(here.journals().await));
    server.caught_up().await;
    assert_eq!(server.mails("open@example.com").len() + server.mails("late@example.com").len(), 0);
    there.succeed(&["verify", "--database"]).await;
    let said = there.import(&early, &key).await;
    assert!(said.contains("the journal here is longer than the file"), "{said}");
}

#[tokio::test]
async fn people_are_read_with_their_keys_only_and_who_is_erased_stays_erased() {
    let (here, mut there) = (Place::new().await, Place::new().await);
    let app = here.app(true).await;
    let (owner, _) = lived(&app).await;
    let erased = app.person().await;
    app.invited(&owner, &erased.email, "member").await;
    app.caught_up().await;
    let key = public_key(&app).await;
    let (platform, tenant) =
        (here.export(PLATFORM, "platform").await, here.export(&owner.tenant, "tenant").await);

    // Without them, and then with another secret.
    let platform_alone = ["import", &platform.journal, "--key", &key];
    let said = there.succeed(&platform_alone).await;
    assert!(said.contains("people have no key here: what is recorded about them reads [erased]"), "{said}");
    let emails = "SELECT 1 FROM claims WHERE kind = 'email'";
    assert_eq!(there.rows(emails).await.len(), 0);
    let mut elsewhere = Place::new().await;
    elsewhere.secret = OTHER_SECRET;
    let said = elsewhere.fail(&[&platform_alone[..], &["--people", &platform.people]].concat()).await;
    assert!(said.contains("wrapped with a key that this installation does not have"), "{said}");
    assert_eq!(elsewhere.events().await, 0);
    let said = there.fail(&[&platform_alone[..], &["--people", &tenant.people]].concat()).await;
    assert!(said.contains("it was written with another export"), "{said}");

    // The keys come later, and with them the claims. Somebody was given another key here by then, because they went on
    // with a session of before.
    let user = owner.id.parse::<UserId>().unwrap().uuid();
    let restored = there.app(true).await;
    let cookie = format!("refresh_token={}", owner.refresh_token);
    let refresh =
        restored.anonymous.request(reqwest::Method::POST, "/v1/auth/refresh").header("cookie", &cookie);
    let access = refresh.send().await.ok().text_of("access_token");
    let owner_there = restored.anonymous.bearing(&access);
    assert_eq!(owner_there.get("/v1/me").await.ok().data()["user"]["email"], "[erased]");
    let said = there.import(&platform, &key).await;
    assert!(said.contains(" 0 events imported") && !said.contains("have no key"), "{said}");
    assert!(said.contains("the journal here is longer than the file"), "{said}");
    assert_eq!(there.rows(emails).await.len(), here.rows(emails).await.len());
    let past = there.rows("SELECT subject_id, past_of FROM subject_keys WHERE past_of IS NOT NULL").await;
    assert!(past.len() == 1 && past[0].contains(&format!("\"past_of\":\"{user}\"")), "{past:?}");
    drop(restored);
    let restored = there.app(true).await;
    let owner_there = restored.anonymous.bearing(&access);
    assert_eq!(owner_there.get("/v1/me").await.ok().data()["user"]["email"], owner.email);

    // Who is erased loses both.
    let of_user =
        format!("SELECT 1 FROM subject_keys WHERE '{user}' IN (subject_id, past_of) AND wrapped IS NOT NULL");
    assert_eq!(there.rows(&of_user).await.len(), 2);
    owner_there.post("/v1/me/erase", json!({"password": PASSWORD})).await.expect(StatusCode::ACCEPTED);
    let done = "SELECT 1 FROM events WHERE event_type = 'SubjectErased'";
    eventually("the erasure", async || (!there.rows(done).await.is_empty()).then_some(())).await;
    assert_eq!(there.rows(&of_user).await.len(), 0);
    there.import(&platform, &key).await;
    assert_eq!(there.rows(&of_user).await.len(), 0);
    drop(restored);

    // Somebody is erased here after the files were written. Neither they nor their address come back out of the files.
    erased.post("/v1/me/erase", json!({"password": PASSWORD})).await;
    eventually("the erasure", async || (!here.rows(done).await.is_empty()).then_some(())).await;
    let living = "SELECT key_id FROM subject_keys WHERE wrapped IS NOT NULL";
    let before = here.rows(living).await;
    here.import(&platform, &key).await;
    let said = here.import(&tenant, &key).await;
    assert!(said.contains(" 1 are erased"), "{said}");
    assert_eq!(here.rows(living).await, before);

    // Neither does their password.
    let secret =
        format!("SELECT 1 FROM secrets WHERE stream_id = '{}'", erased.id.parse::<UserId>().unwrap().uuid());
    assert_eq!(here.rows(&secret).await.len(), 0);

    // In another installation that learns of the erasure, too: first the platform, then a tenant's older files.
    let newer = here.export(PLATFORM, "newer").await;
    there = Place::new().await;
    there.import(&newer, &key).await;
    there.import(&tenant, &key).await;
    let restored = there.app(true).await;
    assert!(!restored.tables().await["invitations"].is_empty());
    let keys = "SELECT key_id FROM subject_keys WHERE wrapped IS NOT NULL AND subject_id <> '00000000-0000-0000-0000-000000000000'";
    let there_keys = there.rows(keys).await;
    let here_keys = here.rows(keys).await;
    assert!(there_keys.iter().all(|key| here_keys.contains(key)), "{there_keys:?} {here_keys:?}");
}

/// Nothing reacts to what is restored but this: it was asked for, and its job may be lost.
#[tokio::test]
async fn who_has_asked_to_be_forgotten_is_forgotten_after_a_restore() {
    let (here, there) = (Place::new().await, Place::new().await);
    let app = here.app(false).await;
    let person = app.person().await;
    person.post("/v1/me/erase", json!({"password": PASSWORD})).await.expect(StatusCode::ACCEPTED);
    let platform = here.export(PLATFORM, "platform").await;
    there.import(&platform, &public_key(&app).await).await;
    assert_eq!(there.claims().await.len(), 1);
    let _restored = there.app(true).await;
    let done = "SELECT 1 FROM events WHERE event_type = 'SubjectErased'";
    eventually("the erasure", async || (!there.rows(done).await.is_empty()).then_some(())).await;
    assert_eq!(there.claims().await.len(), 0);
    let keys = "SELECT 1 FROM subject_keys WHERE wrapped IS NOT NULL AND subject_id <> tenant_id";
    assert_eq!(there.rows(keys).await.len(), 0);
}
