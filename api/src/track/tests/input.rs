//! What comes in, and what is made of it.

use std::{thread, time::Duration};

use super::*;

#[tokio::test]
async fn a_file_is_sent_in_batches_and_twice_changes_nothing() {
    let server = TestServer::start(|request, seen| {
        assert_eq!(request.line, "POST /annals/v1/batch HTTP/1.1");
        // base64("ak_secret:")
        assert!(request.headers.contains("authorization: Basic YWtfc2VjcmV0Og==\r\n"), "{}", request.headers);
        assert!(request.headers.contains("content-type: application/json\r\n"));
        request.accepted(seen)
    });
    let server = TestServer { url: format!("{}/annals/", server.url), ..server };
    let summary = track_text(&server, &[], &events(1_201)).await;
    assert_eq!(counts(&summary), (1_201, 1_201, 0, 0, 0));
    assert_eq!((server.seen.requests(), summary.lines, summary.complete), (3, 1_201, true));
    assert!(success(&summary));

    let summary = track_text(&server, &[], &events(1_201)).await;
    assert_eq!(counts(&summary), (1_201, 0, 1_201, 0, 0));
    assert!(success(&summary) && text(&summary).contains("       1,201 duplicates\n"));
}

#[tokio::test]
async fn an_empty_file_needs_no_server() {
    let server = TestServer::accepting();
    let summary = track_text(&server, &[], "\n \n").await;
    assert_eq!((counts(&summary), server.seen.requests(), summary.lines), ((0, 0, 0, 0, 0), 0, 2));
    assert!(success(&summary));
}

#[tokio::test]
async fn identical_lines_are_separate_events() {
    let server = TestServer::accepting();
    let input = "{\"type\":\"track\",\"event\":\"Purchase\"}\n".repeat(3);
    assert_eq!(counts(&track_text(&server, &[], &input).await), (3, 3, 0, 0, 0));
    assert_eq!(counts(&track_text(&server, &[], &input).await), (3, 0, 3, 0, 0));
    // A file that has grown adds what is new.
    assert_eq!(counts(&track_text(&server, &[], &input.repeat(2)).await), (6, 3, 3, 0, 0));
}

#[tokio::test]
async fn lines_that_are_no_events_are_reported_and_stop_nothing() {
    let server = TestServer::accepting();
    let mut input = events(2).into_bytes();
    input.extend(b"not json\n\n{\"a\":\"\xff\"}\n[1]\n");
    input.extend(format!("{{\"messageId\":\"large\",\"a\":\"{}\"}}\n", "x".repeat(40_000)).bytes());
    input.extend(format!("{{\"messageId\":\"endless\",\"a\":\"{}\"}}\n", "x".repeat(400_000)).bytes());
    input.extend(b"{\"messageId\":\"last\"}");
    let summary = track_with(&server, &["--batch-size", "2"], Cursor::new(input)).await;

    assert_eq!(counts(&summary), (3, 3, 0, 5, 0));
    assert!(success(&summary));
    let lines =
        |code: &str| summary.rejected_by_code[code].examples.iter().map(|e| e.line).collect::<Vec<_>>();
    assert_eq!((lines("malformed_json"), lines("event_too_large")), (vec![3, 5, 6], vec![7, 8]));
    assert!(text(&summary).contains("line 5: invalid UTF-8 at byte 7\n"), "{}", text(&summary));
}

#[tokio::test]
async fn events_of_a_slow_input_do_not_wait_for_a_full_batch() {
    let server = TestServer::accepting();
    let seen = Arc::clone(&server.seen);
    let (input, mut output) = io::pipe().unwrap();
    thread::spawn(move || {
        output.write_all(events(3).as_bytes()).unwrap();
        let started = Instant::now();
        while seen.requests() == 0 && started.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(50));
        }
        output.write_all(b"{\"messageId\":\"later\"}\n").unwrap();
    });
    let summary = track_with(&server, &[], input).await;
    assert_eq!((counts(&summary), server.seen.requests()), ((4, 4, 0, 0, 0), 2));
}

/// An input that breaks after its first lines.
struct Breaking(Cursor<String>);

impl Read for Breaking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("disk on fire")),
            read => Ok(read),
        }
    }
}

#[tokio::test]
async fn what_was_read_before_the_input_breaks_is_sent() {
    let server = TestServer::accepting();
    let summary = track_with(&server, &[], Breaking(Cursor::new(events(7)))).await;
    assert_eq!(counts(&summary), (7, 7, 0, 0, 0));
    assert_eq!(summary.stopped.as_deref(), Some("can't read on after line 7: disk on fire"));
    assert!(summary.exit_code() == ExitCode::FAILURE);
}
