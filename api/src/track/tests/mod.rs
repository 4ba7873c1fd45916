//! The whole command against a real server, from the input to the summary.

mod answers;
mod arguments;
mod ending;
mod input;
mod retries;
mod server;

use std::io::Cursor;

use clap::Parser;

use super::*;
use server::TestServer;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: TrackArgs,
}

fn args(url: &str, more: &[&str]) -> TrackArgs {
    let fixed = ["track", "--quiet", "--key", "ak_secret", "--url", url];
    Cli::try_parse_from(fixed.iter().chain(more)).unwrap().args
}

async fn track_with(server: &TestServer, more: &[&str], input: impl Read + Send + 'static) -> Summary {
    let (_interrupt, interrupts) = mpsc::channel(1);
    let progress = Arc::new(Progress::silent());
    send(&args(&server.url, more), Box::new(input), progress, interrupts).await.unwrap()
}

async fn track_text(server: &TestServer, more: &[&str], input: &str) -> Summary {
    track_with(server, more, Cursor::new(input.to_owned())).await
}

fn events(count: usize) -> String {
    (1..=count)
        .map(|n| format!("{{\"type\":\"track\",\"messageId\":\"m-{n}\",\"properties\":{{\"n\":{n}}}}}\n"))
        .collect()
}

fn text(summary: &Summary) -> String {
    let mut text = vec![];
    summary.write_text(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn success(summary: &Summary) -> bool {
    summary.exit_code() == ExitCode::SUCCESS
}

fn counts(summary: &Summary) -> (u64, u64, u64, u64, u64) {
    let Summary { sent, accepted, duplicates, rejected, unacknowledged, .. } = *summary;
    (sent, accepted, duplicates, rejected, unacknowledged)
}
