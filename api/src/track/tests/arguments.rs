//! What is asked of the command.

use clap::CommandFactory;

use super::*;

#[tokio::test]
async fn a_file_that_is_not_there_is_a_wrong_argument() {
    for path in ["/nowhere/events.ndjson", "/"] {
        let args = args("http://127.0.0.1:9", &["--file", path]);
        assert!(matches!(open(&args), Err(TrackError::Open { .. })));
        assert!(run(args).await == ExitCode::from(2));
    }
}

#[test]
fn arguments_are_checked() {
    Cli::command().debug_assert();
    let parsed =
        args("https://annals.example/eu/", &["--max-retry-time", "2m", "--timeout", "7", "--file", "-"]);
    assert_eq!((parsed.max_retry_time.as_secs(), parsed.timeout.as_secs(), parsed.path()), (120, 7, None));
    assert!(!format!("{parsed:?}").contains("ak_secret"));
    for wrong in [
        ["--batch-size", "2501"],
        ["--batch-size", "0"],
        ["--in-flight", "65"],
        ["--timeout", "soon"],
        ["--key", " "],
        ["--url", "ftp://example.com"],
        ["--url", "http://user:password@example.com"],
    ] {
        let fixed = ["track", "--key", "k"];
        let fixed = if wrong[0] == "--key" { &fixed[..1] } else { &fixed[..] };
        assert!(Cli::try_parse_from(fixed.iter().chain(&wrong)).is_err(), "{wrong:?}");
    }
}
