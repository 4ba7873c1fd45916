//! Taking events in, and finding them again.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{TimeDelta, Utc};
use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    actors::{Key, Owner, event},
    app::TestApp,
    client::Answer,
};

/// Accepted, duplicates, and the codes of what was rejected with their places.
#[track_caller]
fn outcome(answer: &Answer) -> (u64, u64, Vec<(u64, String)>) {
    let data = &answer.json["data"];
    let rejected = data["rejected"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let rejected =
        rejected.iter().map(|one| (one["index"].as_u64().unwrap(), one["code"].as_str().unwrap().to_owned()));
    (data["accepted"].as_u64().unwrap(), data["duplicates"].as_u64().unwrap(), rejected.collect())
}

/// What has been used in the billing period: taken, refused.
async fn used(owner: &Owner) -> (u64, u64) {
    let path = owner.path(&format!("/usage/current?min_position={}", owner.head().await));
    let usage = owner.get(&path).await.ok();
    (usage.data()["used"].as_u64().unwrap(), usage.data()["refused"].as_u64().unwrap())
}

/// Agrees with a tenant on so many events a month.
async fn agree(app: &TestApp, owner: &Owner, events: u64) {
    let path = format!("/v1/admin/tenants/{}/plan", owner.tenant);
    let body = json!({"plan": "free", "events_per_month": events});
    app.administrator().await.post(&path, body).await.ok();
}

#[tokio::test]
async fn a_bad_event_does_not_fail_its_neighbours() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let future = (Utc::now() + TimeDelta::hours(2)).to_rfc3339();
    let batch = format!(
        r#"{{"batch": [
            {{"type":"track","event":"Good","userId":"u1","messageId":"m1"}},
            {{"type":"track","userId":"u1","messageId":"m2"}},
            {{"type":"identify","anonymousId":7,"traits":{{"plan":"pro"}}}},
            7,
            {{"type":"track","event":"Good","userId":"a\u0000b"}},
            {{"type":"track","event":"Good","userId":"u","properties":{{"a":"\u0000"}}}},
            {{"type":"track","event":"Good","userId":"u","properties":{{"a":1,"a":2}}}},
            {{"type":"track","event":"Good","userId":"u","properties":{{"a":"\ud800"}}}},
            {{"type":"track","event":"Good","userId":"\udc00"}},
            {{"type":"track","event":"Good","userId":"u","properties":{deep}}},
            {{"type":"track","event":"Good","userId":"u","timestamp":"{future}"}},
            {{"type":"track","event":"Good","userId":"u","timestamp":"0000-01-01T00:00:00Z"}},
            {{"type":"track","event":"Good","userId":"u","timestamp":"yesterday"}},
            {{"type":"track","event":"Good","userId":"u","properties":{{"a":1e999}}}},
            {{"type":"track","event":"Good","userId":"u","properties":{{"text":"{large}"}}}},
            {{"type":"track","event":"Good","userId":"u1","messageId":"m1"}},
            {{"type":"track","event":"Good","userId":"u1","timestamp":"1997-02-01T12:00:00Z","later":{deep}}}
        ]}}"#,
        deep = format!("{}1{}", "{\"a\":".repeat(70), "}".repeat(70)),
        large = "x".repeat(33_000),
    );
    let answer = key.request(Method::POST, "/v1/batch").raw(batch).send().await.ok();
    assert_eq!(answer.json["success"], true);
    let (accepted, duplicates, rejected) = outcome(&answer);
    let rejected: Vec<_> = rejected.iter().map(|(index, code)| (*index, code.as_str())).collect();
    assert_eq!(
        rejected,
        [
            (1, "missing_event_name"),
            (3, "malformed_event"),
            (4, "nul_character"),
            (5, "invalid_json"),
            (6, "invalid_json"),
            (7, "invalid_json"),
            (8, "malformed_event"),
            (9, "invalid_json"),
            (10, "timestamp_in_future"),
            (11, "timestamp_out_of_range"),
            (12, "invalid_timestamp"),
            (13, "invalid_json"),
            (14, "event_too_large"),
        ]
    );
    assert_eq!((accepted, duplicates), (3, 1));
    assert_eq!(answer.json["data"]["rejected"][0]["message_id"], "m2");
    assert_eq!(used(&owner).await, (3, 0));
}

#[tokio::test]
async fn absurd_dates_are_taken_and_found_or_refused_and_never_break_a_read_model() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let at = |timestamp: &str| json!({"type": "track", "event": "e", "userId": "u", "timestamp": timestamp});
    let events = [
        at("1900-01-01T00:00:00Z"),
        at("1999-12-31T23:59:60Z"),
        at("2024-02-29T23:59:59.999999999+14:00"),
        at("1970-01-01t00:00:00z"),
        at("1899-12-31T23:59:59Z"),
        at("9999-12-31T23:59:59Z"),
        at("+262142-01-01T00:00:00Z"),
        at("-0001-01-01T00:00:00Z"),
        at("2023-02-29T00:00:00Z"),
        at(""),
        json!({"type": "track", "event": "e", "userId": "u", "timestamp": 1_700_000_000}),
    ];
    let (accepted, _, rejected) = outcome(&key.batch(&events).await.ok());
    assert_eq!(accepted, 4, "{rejected:?}");
    assert_eq!(rejected.len(), 7, "{rejected:?}");
    let position = owner.head().await;
    let list = owner.get(&owner.project_path(&format!("/events?min_position={position}"))).await.ok();
    assert_eq!(list.items().len(), 4);
    let usage = "/usage?from=1800-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&interval=month";
    let usage = owner.get(&owner.path(&format!("{usage}&min_position={position}"))).await.ok();
    let counted: u64 = usage.items().iter().map(|point| point["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 4);
    for (from, to) in [
        ("-262143-01-01T00:00:00Z", "%2B262142-12-31T00:00:00Z"),
        ("2030-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ] {
        for path in [
            owner.path(&format!("/usage?from={from}&to={to}")),
            owner.path(&format!("/audit?from={from}&to={to}")),
            owner.project_path(&format!("/events?from={from}&to={to}")),
        ] {
            let answer = owner.get(&path).await;
            assert!([200, 422].contains(&answer.status), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_by_what_it_says_of_itself() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    // A day ahead, both of them.
    let sent_at = Utc::now() + TimeDelta::days(1);
    let timestamp = sent_at - TimeDelta::minutes(10);
    let body = json!({"sentAt": sent_at, "batch": [{"type": "track", "event": "e", "userId": "u", "timestamp": timestamp}]});
    let answer = key.post("/v1/batch", body).await.ok();
    assert_eq!(outcome(&answer).0, 1);
    let list =
        owner.get(&owner.project_path(&format!("/events?min_position={}", answer.position()))).await.ok();
    let happened: chrono::DateTime<Utc> = list.items()[0]["timestamp"].as_str().unwrap().parse().unwrap();
    let ago = Utc::now() - happened;
    assert!(ago > TimeDelta::minutes(9) && ago < TimeDelta::minutes(11), "{ago}");
}

#[tokio::test]
async fn a_message_counts_once_for_good() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let batch: Vec<_> = (0..10).map(|index| event(&format!("m{index}"))).collect();
    assert_eq!(outcome(&key.batch(&batch).await.ok()), (10, 0, vec![]));
    let head = owner.head().await;
    assert_eq!(outcome(&key.batch(&batch).await.ok()), (0, 10, vec![]));
    assert_eq!(outcome(&key.batch(&[event("n1"), event("n1"), event("m3")]).await.ok()), (1, 2, vec![]));
    // Without an id of its own, the same content is the same message.
    let anonymous = json!({"type": "page", "name": "Home", "anonymousId": "a"});
    assert_eq!(outcome(&key.batch(&[anonymous.clone(), anonymous.clone()]).await.ok()), (1, 1, vec![]));
    assert_eq!(outcome(&key.post("/v1/page", anonymous).await.ok()), (0, 1, vec![]));
    // The same id in another project is another message.
    let workspace = owner.path(&format!("/workspaces/{}/projects", owner.workspace));
    let project = owner.post(&workspace, json!({"name": "Shop"})).await.ok().text_of("id");
    let other = owner.key_of(&project).await;
    assert_eq!(outcome(&other.batch(&batch).await.ok()), (10, 0, vec![]));
    assert_eq!(used(&owner).await, (22, 0));
    // And the second batch appended nothing.
    let first = &owner.journal_after(head).await[0];
    assert_ne!(first["payload"]["message_id"], "m0", "{first}");
}

#[tokio::test]
async fn concurrent_deliveries_of_a_batch_count_it_once() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let batch: Vec<_> = (0..50).map(|index| event(&format!("m{index}"))).collect();
    let answers = join_all((0..8).map(|_| key.batch(&batch))).await;
    let outcomes: Vec<_> = answers.iter().map(outcome).collect();
    assert_eq!(outcomes.iter().map(|(accepted, ..)| accepted).sum::<u64>(), 50, "{outcomes:?}");
    assert_eq!(outcomes.iter().map(|(_, duplicates, _)| duplicates).sum::<u64>(), 350);
    assert_eq!(used(&owner).await, (50, 0));
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

#[tokio::test]
async fn segments_libraries_are_understood() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:", key.secret)));
    let basic = app.anonymous.authorized(basic);
    for (route, body) in [
        ("track", json!({"event": "Signed Up", "userId": "u"})),
        ("identify", json!({"userId": "u", "traits": {"name": "Ada"}})),
        ("page", json!({"name": "Home", "anonymousId": "a"})),
        ("screen", json!({"name": "Main", "anonymousId": "a"})),
        ("group", json!({"groupId": "g", "userId": "u"})),
        ("alias", json!({"previousId": "a", "userId": "u"})),
        ("events", json!({"type": "track", "event": "One", "userId": "u"})),
    ] {
        let answer = basic.post(&format!("/v1/{route}"), body.clone()).await.ok();
        assert_eq!(outcome(&answer), (1, 0, vec![]), "{route}");
        let mut other = body;
        other["type"] = json!(if route == "track" { "page" } else { "track" });
        if route != "events" {
            let answer = basic.post(&format!("/v1/{route}"), other).await.ok();
            assert_eq!(outcome(&answer), (0, 0, vec![(0, "wrong_type".to_owned())]), "{route}");
        }
    }
    let several =
        json!([{"type": "track", "event": "Two", "userId": "u"}, {"type": "nothing", "userId": "u"}]);
    let several = basic.post("/v1/events", several).await.ok();
    assert_eq!(outcome(&several), (1, 0, vec![(1, "unknown_type".to_owned())]));

    let batch = json!({"batch": [event("m1")], "context": {"library": "x"}, "writeKey": "y"}).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(batch.as_bytes()).unwrap();
    let request = key.request(Method::POST, "/v1/batch").header("content-encoding", "gzip");
    let answer = request.raw(gzip.finish().unwrap()).send().await.ok();
    assert_eq!(outcome(&answer).0, 1);
    // What a browser's sendBeacon says.
    let answer = key.request(Method::POST, "/v1/batch").body("text/plain", batch).send().await.ok();
    assert_eq!(outcome(&answer).1, 1);
    let path = owner.project_path(&format!("/events?min_position={}", owner.head().await));
    let kinds = owner.get(&path).await.ok().all("type");
    assert_eq!(kinds, ["track", "track", "track", "alias", "group", "screen", "page", "identify", "track"]);
}

#[tokio::test]
async fn a_batch_has_its_limits() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let many: Vec<_> = (0..2_501).map(|index| event(&format!("m{index}"))).collect();
    key.batch(&many).await.problem(413, "too_many_events");
    assert_eq!(outcome(&key.batch(&many[1..]).await.ok()), (2_500, 0, vec![]));
    let raw = async |body: Vec<u8>| key.request(Method::POST, "/v1/batch").raw(body).send().await;
    raw(vec![b' '; 4 * 1024 * 1024 + 1]).await.problem(413, "payload_too_large");
    key.request(Method::POST, "/v1/track")
        .raw(vec![b' '; 70_000])
        .send()
        .await
        .problem(413, "payload_too_large");
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 8 * 1024 * 1024]).unwrap();
    let bomb =
        key.request(Method::POST, "/v1/batch").header("content-encoding", "gzip").raw(bomb.finish().unwrap());
    bomb.send().await.problem(413, "payload_too_large");
    for body in ["", "{", "[]", "{}", r#"{"batch": 7}"#, r#"{"batch": [], "batch": []}"#, r#"{"batch": [{]}"#]
    {
        raw(body.into()).await.problem(400, "malformed_json");
    }
    raw(b"{\"batch\": [{\"type\": \"track\", \"event\": \"\xff\", \"userId\": \"u\"}]}".to_vec())
        .await
        .problem(400, "invalid_utf8");
    raw(br#"{"batch": [], "sentAt": "now"}"#.to_vec()).await.problem(400, "invalid_timestamp");
    let head = owner.head().await;
    assert_eq!(outcome(&raw(br#"{"batch": []}"#.to_vec()).await.ok()), (0, 0, vec![]));
    assert_eq!(owner.head().await, head);
    let html = key.request(Method::POST, "/v1/batch").body("text/html", "{}").send().await;
    html.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn events_are_found_by_name_person_and_time_and_page_by_page() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let events: Vec<Value> = (0..9)
        .map(|index| {
            let (name, user) = (["Seen", "Bought", "Seen"][index % 3], format!("u{}", index % 2));
            let timestamp = format!("2026-01-0{}T00:00:00Z", index + 1);
            json!({"type": "track", "event": name, "userId": user, "timestamp": timestamp, "messageId": format!("m{index}"),
                   "properties": {"price": 1.50}})
        })
        .collect();
    let position = key.batch(&events).await.ok().position();
    let path = |query: &str| owner.project_path(&format!("/events?min_position={position}&{query}"));
    let found = async |query: &str| {
        let answer = owner.get(&path(query)).await.ok();
        answer.all("message_id").iter().map(|id| id[1..].to_owned()).collect::<String>()
    };
    assert_eq!(found("").await, "876543210");
    assert_eq!(found("event=Bought").await, "741");
    assert_eq!(found("user_id=u1").await, "7531");
    assert_eq!(found("event=Seen&user_id=u1").await, "53");
    assert_eq!(found("from=2026-01-03T00:00:00Z&to=2026-01-05T00:00:00Z").await, "32");
    owner.get(&path("event=%00")).await.problem(422, "validation_failed");
    let (mut all, mut query) = (String::new(), "limit=4&event=Seen".to_owned());
    for _ in 0..2 {
        let page = owner.get(&path(&query)).await.ok();
        all.extend(page.all("message_id").iter().map(|id| id[1..].to_owned()));
        if let Some(cursor) = page.json["meta"]["next_cursor"].as_str() {
            let other = owner.get(&path(&format!("cursor={cursor}&event=Bought"))).await;
            assert_eq!(other.problem(422, "validation_failed").faults(), ["?cursor=invalid_cursor"]);
            query = format!("limit=4&event=Seen&cursor={cursor}");
        }
    }
    assert_eq!(all, "865320");
    let one = owner.get(&path("limit=1")).await.ok();
    // The digits as they were sent.
    assert!(one.text.contains(r#""properties":{"price":1.5}"#), "{one:?}");
    for filter in ["actor", "action", "target"] {
        owner.get(&owner.path(&format!("/audit?{filter}=%00"))).await.problem(422, "validation_failed");
        assert!(
            owner.get(&owner.path(&format!("/audit?{filter}=%F0%9F%98%80"))).await.ok().items().is_empty()
        );
    }
}

#[tokio::test]
async fn usage_is_a_series_by_the_events_own_time() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let key = owner.key().await;
    let at =
        |name: &str, time: &str| json!({"type": "track", "event": name, "userId": "u", "timestamp": time});
    let events = [
        at("Seen", "1997-01-31T23:59:59.999Z"),
        at("Seen", "1997-02-01T00:00:00Z"),
        at("Bought", "1997-02-01T00:30:00Z"),
        at("Seen", "1997-02-28T23:00:00-01:00"),
        json!({"type": "identify", "userId": "u", "timestamp": "1997-02-02T00:00:00Z"}),
    ];
    let position = key.batch(&events).await.ok().position();
    let series = async |query: &str| {
        let range = "from=1997-01-01T00:00:00Z&to=1997-04-01T00:00:00Z";
        let path = owner.path(&format!("/usage?{range}&min_position={position}&{query}"));
        let points = owner.get(&path).await.ok();
        let point = |point: &Value| {
            let start = point["start"].as_str().unwrap();
            let name =
                point["event"].as_str().or(point["project_id"].as_str()).unwrap_or_default().to_owned();
            (start[..13].to_owned(), name, point["count"].as_u64().unwrap())
        };
        points.items().iter().map(point).collect::<Vec<_>>()
    };
    let point = |start: &str, name: &str, count| (start.to_owned(), name.to_owned(), count);
    assert_eq!(
        series("interval=month").await,
        [point("1997-01-01T00", "", 1), point("1997-02-01T00", "", 3), point("1997-03-01T00", "", 1)]
    );
    assert_eq!(
        series("interval=month&group_by=event").await[1..4],
        [
            point("1997-02-01T00", "Bought", 1),
            point("1997-02-01T00", "Seen", 1),
            point("1997-02-01T00", "identify", 1)
        ]
    );
    assert_eq!(series("interval=month&group_by=project").await[0], point("1997-01-01T00", &owner.project, 1));
    assert_eq!(
        series("interval=hour").await[..2],
        [point("1997-01-31T23", "", 1), point("1997-02-01T00", "", 2)]
    );
    assert_eq!(series("").await.len(), 4);
    owner.get(&owner.path("/usage")).await.problem(422, "validation_failed");
    owner.get(&owner.path("/usage?from=x&interval=week")).await.problem(422, "validation_failed");
}
