//! Finding tracked events again, and counting them.

use serde_json::{Value, json};

use crate::{app::TestApp, tracking::outcome};

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
