//! How the command ends before its input does.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::{server::Reply, *};

/// An input without end, as large as it is read.
struct Endless {
    read: Arc<AtomicUsize>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = b"{\"type\":\"track\",\"event\":\"Tick\"}\n";
        let lines = buffer.len() / line.len();
        assert!(lines > 0);
        buffer[..lines * line.len()].copy_from_slice(&line.repeat(lines));
        self.read.fetch_add(lines * line.len(), Ordering::SeqCst);
        Ok(lines * line.len())
    }
}

#[tokio::test]
async fn a_slow_server_slows_the_reading_and_ctrl_c_ends_it_cleanly() {
    let server = TestServer::start(|request, seen| {
        thread::sleep(Duration::from_millis(100));
        request.accepted(seen)
    });
    let read = Arc::new(AtomicUsize::new(0));
    let input = Box::new(Endless { read: Arc::clone(&read) });
    let (interrupt, interrupts) = mpsc::channel(1);
    let args = args(&server.url, &["--batch-size", "100", "--in-flight", "3"]);
    let tracking =
        tokio::spawn(async move { send(&args, input, Arc::new(Progress::silent()), interrupts).await });
    server.seen.wait_for(15).await;
    interrupt.send(()).await.unwrap();
    let summary = tracking.await.unwrap().unwrap();

    assert_eq!(server.seen.most_at_once.load(Ordering::SeqCst), 3);
    // What has gone through, what waits (two batches and a draft), what is buffered, and not more.
    assert!(read.load(Ordering::SeqCst) < 1024 * 1024, "{read:?}");
    // All that was read has been sent, and answered for.
    assert_eq!(counts(&summary), (summary.lines, summary.lines, 0, 0, 0));
    assert!(summary.lines > 1_000 && !summary.complete);
    assert!(summary.exit_code() == ExitCode::from(130));
}

#[tokio::test]
async fn a_second_ctrl_c_waits_for_nothing() {
    let server = TestServer::start(|_, _| {
        thread::sleep(Duration::from_secs(60));
        Reply::Broken(String::new())
    });
    let (interrupt, interrupts) = mpsc::channel(2);
    let args = args(&server.url, &["--batch-size", "100"]);
    let started = Instant::now();
    let tracking = tokio::spawn(async move {
        let input = Box::new(Cursor::new(events(1_050)));
        send(&args, input, Arc::new(Progress::silent()), interrupts).await
    });
    server.seen.wait_for(4).await;
    interrupt.send(()).await.unwrap();
    interrupt.send(()).await.unwrap();
    let summary = tracking.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!((summary.sent, summary.accepted, summary.unacknowledged), (400, 0, summary.lines));
    assert_eq!(summary.unacknowledged_lines.len(), 1);
}

#[tokio::test]
async fn ctrl_c_does_not_wait_for_a_server_that_is_away() {
    let server = TestServer::start(|_, _| Reply::Answer(503, "retry-after: 100\r\n", String::new()));
    let (interrupt, interrupts) = mpsc::channel(1);
    let args = args(&server.url, &[]);
    let started = Instant::now();
    let tracking = tokio::spawn(async move {
        send(&args, Box::new(Cursor::new(events(10))), Arc::new(Progress::silent()), interrupts).await
    });
    server.seen.wait_for(1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    interrupt.send(()).await.unwrap();
    let summary = tracking.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    // One more try, as a farewell.
    assert_eq!((server.seen.requests(), summary.unacknowledged), (2, 10));
}
