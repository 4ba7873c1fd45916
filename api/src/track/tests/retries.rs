//! What is sent again, and for how long.

use std::{thread, time::Duration};

use serde_json::json;

use super::{server::Reply, *};

#[tokio::test]
async fn a_server_that_is_not_ready_is_asked_again_when_it_wants() {
    for status in [408, 429, 500, 503] {
        let server = TestServer::start(move |request, seen| match request.nth {
            0 => Reply::Answer(status, "retry-after: 1\r\n", String::new()),
            1 => Reply::Answer(502, "", "<html>Bad gateway</html>".to_owned()),
            _ => request.accepted(seen),
        });
        let started = Instant::now();
        let summary = track_text(&server, &[], &events(10)).await;
        assert_eq!((counts(&summary), server.seen.requests()), ((10, 10, 0, 0, 0), 3));
        assert!(started.elapsed() >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_broken_connection_loses_nothing_and_counts_nothing_twice() {
    let server = TestServer::start(|request, seen| match request.nth {
        0 => Reply::Broken(request.accept(seen)),
        1 => Reply::Broken(String::from("  ")),
        _ => request.accepted(seen),
    });
    let summary = track_text(&server, &["--in-flight", "1"], &events(700)).await;
    assert_eq!(counts(&summary), (700, 200, 500, 0, 0));
    assert_eq!(server.seen.message_ids().len(), 700);
}

#[tokio::test]
async fn a_server_that_starts_late_is_waited_for() {
    let server = TestServer::accepting();
    // An address where nobody listens, until somebody does.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let late = TestServer { url: format!("http://{address}"), seen: Arc::clone(&server.seen) };
    let target = server.url.trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(600));
        let (mut client, _) = std::net::TcpListener::bind(address).unwrap().accept().unwrap();
        let mut upstream = std::net::TcpStream::connect(target).unwrap();
        let (mut back, mut answers) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        thread::spawn(move || io::copy(&mut answers, &mut back));
        io::copy(&mut client, &mut upstream)
    });
    assert_eq!(counts(&track_text(&late, &[], &events(5)).await), (5, 5, 0, 0, 0));
}

#[tokio::test]
async fn patience_ends_and_the_rest_is_named() {
    let server = TestServer::start(|request, seen| {
        let bad = request.events().iter().any(|event| event["messageId"] == "m-25");
        let problem = json!({"title": "Unavailable", "detail": "the database\u{1b}[2J is away"});
        if bad { Reply::Answer(503, "", problem.to_string()) } else { request.accepted(seen) }
    });
    let more = ["--batch-size", "10", "--in-flight", "1", "--max-retry-time", "1s"];
    let summary = track_text(&server, &more, &events(1_000)).await;

    assert_eq!((summary.accepted, summary.complete), (20, false));
    assert!(summary.exit_code() == ExitCode::FAILURE);
    assert_eq!(summary.unacknowledged_lines.len(), 1);
    let lines = &summary.unacknowledged_lines[0];
    // What was read is named to the last line; what was not, is not.
    assert_eq!((lines.first_line, lines.last_line), (21, summary.lines));
    assert_eq!(lines.events, summary.unacknowledged);
    assert!(summary.lines < 100, "{}", summary.lines);
    let text = text(&summary);
    assert!(
        text.contains("the database\u{fffd}[2J is away") && text.contains("Nothing after line"),
        "{text}"
    );
}
