//! Taking events in.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{TimeDelta, Utc};
use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::{
    actors::{Owner, event},
    app::TestApp,
    client::Answer,
};

/// Accepted, duplicates, and the codes of what was rejected with their places.
#[track_caller]
pub(crate) fn outcome(answer: &Answer) -> (u64, u64, Vec<(u64, String)>) {
    let data = &answer.json["data"];
    let rejected = data["rejected"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let rejected =
        rejected.iter().map(|one| (one["index"].as_u64().unwrap(), one["code"].as_str().unwrap().to_owned()));
    (data["accepted"].as_u64().unwrap(), data["duplicates"].as_u64().unwrap(), rejected.collect())
}

/// What has been used in the billing period: taken, refused.
pub(crate) async fn used(owner: &Owner) -> (u64, u64) {
    let path = owner.path(&format!("/usage/current?min_position={}", owner.head().await));
    let usage = owner.get(&path).await.ok();
    (usage.data()["used"].as_u64().unwrap(), usage.data()["refused"].as_u64().unwrap())
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
