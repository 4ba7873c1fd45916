//! What the server says, and what it comes to.

use serde_json::json;

use super::{
    server::{Reply, answer},
    *,
};

#[tokio::test]
async fn a_request_that_is_too_large_is_split() {
    let server = TestServer::start(|request, seen| match request.events().len() {
        4.. => Reply::Answer(413, "", "<html>too large</html>".to_owned()),
        _ => request.accepted(seen),
    });
    let summary = track_text(&server, &[], &events(30)).await;
    assert_eq!(counts(&summary), (30, 30, 0, 0, 0));

    let server =
        TestServer::start(|_, _| Reply::Answer(413, "", json!({"code": "body_too_large"}).to_string()));
    let summary = track_text(&server, &[], &events(3)).await;
    assert_eq!((counts(&summary), summary.rejected_by_code["body_too_large"].events), ((3, 0, 0, 3, 0), 3));
}

#[tokio::test]
async fn rejections_are_counted_by_code_with_their_lines() {
    let server = TestServer::start(|request, _| {
        let rejected = json!([
            {"index": 1, "message_id": "m-x", "code": "timestamp_in_future", "detail": "is a year ahead"},
            {"index": 3, "message_id": null, "code": "quota_exceeded"},
        ]);
        Reply::Answer(200, "", answer(request.events().len() - 3, 1, rejected))
    });
    let input = format!("\n{}", events(20));
    let summary = track_text(&server, &["--batch-size", "10", "--in-flight", "1"], &input).await;
    assert_eq!(counts(&summary), (20, 14, 2, 4, 0));
    assert!(success(&summary));
    let text = text(&summary);
    assert!(text.contains("               2 timestamp_in_future\n"), "{text}");
    assert!(
        text.contains("line 3, m-x: is a year ahead\n") && text.contains("line 15: no detail\n"),
        "{text}"
    );
    let mut json = vec![];
    summary.write_json(&mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["sent"], &json["rejected_by_code"]["quota_exceeded"]["events"]),
        (&json!(20), &json!(2))
    );
}

#[tokio::test]
async fn events_over_the_limit_of_the_plan_are_counted_and_the_rest_goes_on() {
    let server = TestServer::start(|request, seen| {
        let problem =
            |data| json!({"title": "Payment Required", "code": "quota_exceeded", "data": data}).to_string();
        let over =
            json!({"index": 0, "message_id": "m", "code": "quota_exceeded", "detail": "100 000 a month"});
        match request.nth {
            0 => Reply::Answer(402, "", problem(json!(null))),
            1 => Reply::Answer(402, "", problem(json!({"accepted": 0, "duplicates": 9, "rejected": [over]}))),
            _ => request.accepted(seen),
        }
    });
    let summary = track_text(&server, &["--batch-size", "10", "--in-flight", "1"], &events(25)).await;
    assert_eq!(counts(&summary), (25, 5, 9, 11, 0));
    assert_eq!(summary.rejected_by_code["quota_exceeded"].events, 11);
    assert!(success(&summary));
}

#[tokio::test]
async fn a_refused_request_rejects_its_events_with_the_code_of_the_problem() {
    for (status, body, code) in
        [(400, json!({"code": "nul_character"}), "nul_character"), (422, json!("?"), "unprocessable")]
    {
        let server = TestServer::start(move |request, seen| match request.nth {
            0 => Reply::Answer(status, "", body.to_string()),
            _ => request.accepted(seen),
        });
        let summary = track_text(&server, &["--batch-size", "10", "--in-flight", "1"], &events(15)).await;
        assert_eq!((counts(&summary), summary.rejected_by_code[code].events), ((15, 5, 0, 10, 0), 10));
        assert_eq!(summary.rejected_by_code[code].examples[4].message_id.as_deref(), Some("m-5"));
    }
}

#[tokio::test]
async fn a_wrong_key_or_address_ends_it_at_once() {
    let elsewhere = "location: https://elsewhere.example/\r\n";
    for (status, headers, body, reason) in [
        (401, "", "{}", "the server does not know the key"),
        (403, "", r#"{"detail":"lacks the scope events.write"}"#, "lacks the scope"),
        (404, "", "<html>", "nothing at this address"),
        (308, elsewhere, "", "the server has another address"),
        (423, "", r#"{"detail":"The tenant is frozen."}"#, "The tenant is frozen."),
        (200, "", "<html>It works!</html>", "not that of Annals"),
        (200, "", r#"{"data":{"accepted":1,"duplicates":0,"rejected":[]}}"#, "not that of Annals"),
    ] {
        let server = TestServer::start(move |_, _| Reply::Answer(status, headers, body.to_owned()));
        let summary = track_text(&server, &["--batch-size", "10"], &events(100_000)).await;
        assert!(summary.stopped.as_ref().unwrap().contains(reason), "{status}: {:?}", summary.stopped);
        assert!(server.seen.requests() <= 8 && summary.exit_code() == ExitCode::FAILURE);
        assert_eq!((summary.accepted, summary.unacknowledged), (0, summary.lines));
        assert!(!text(&summary).contains("ak_secret"));
    }
}
