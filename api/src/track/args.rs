//! The arguments of `annals track`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use reqwest::Url;
use secrecy::SecretString;

/// What `annals track` is told on the command line or through the environment.
#[derive(Clone, Debug, Args)]
#[command(
    about = "Sends a file of events to an Annals server",
    long_about = "Sends events to an Annals server: one event a line, as JSON in Segment's format (NDJSON).\n\n\
        Events go in batches, several at a time. A batch that was not acknowledged is sent again, so the command \
        survives a restart of the server, and running it twice changes nothing: the server knows each event by its \
        messageId. An event that has none gets one made of its line number and its content, so identical lines of a \
        file count separately, and the same file sent again counts once. (The same line at the same place of another \
        file is then taken for the same event: give such events a messageId.)\n\n\
        Lines that are no event (malformed, over 32 KB) are reported and stop nothing. Blank lines are skipped. \
        Timestamps are taken as they are.",
    after_long_help = "Exit codes:\n  \
        0    every event was answered for: accepted, a duplicate, or rejected with a code\n  \
        1    some events were not acknowledged; the summary says which lines\n  \
        2    wrong usage, or a file that can't be opened\n  \
        130  interrupted by Ctrl-C (what was on its way is finished first; a second Ctrl-C does not wait)\n\n\
        Examples:\n  \
        ANNALS_API_KEY=ak_… annals track --file events.ndjson\n  \
        zcat events.ndjson.gz | annals track --url https://annals.example.com --json"
)]
pub struct TrackArgs {
    /// The file to send; `-` or nothing for standard input
    #[arg(short, long, value_name = "PATH")]
    pub file: Option<PathBuf>,

    /// The server's address
    #[arg(long, env = "ANNALS_URL", default_value = "http://127.0.0.1:8080", value_parser = parse_url)]
    pub url: Url,

    /// The project's API key. Others can see arguments in the process list: prefer the environment variable
    #[arg(long, env = "ANNALS_API_KEY", hide_env_values = true, value_parser = parse_key)]
    pub key: SecretString,

    /// Events in a request, at most; 1 to 2500
    #[arg(long, value_name = "EVENTS", default_value_t = 500, value_parser = parse_within::<1, 2500>)]
    pub batch_size: usize,

    /// Requests on their way at the same time; 1 to 64
    #[arg(long, value_name = "REQUESTS", default_value_t = 4, value_parser = parse_within::<1, 64>)]
    pub in_flight: usize,

    /// How long to wait for an answer, in seconds or as in `90s`, `5m`, `1h`
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// How long to repeat a request that fails, counted from its first failure
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub max_retry_time: Duration,

    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,

    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

impl TrackArgs {
    /// The file to read, or none for standard input.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| *path != Path::new("-"))
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url: Url =
        text.parse().map_err(|error| format!("{error}; expected something like http://127.0.0.1:8080"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must start with http:// or https://".to_owned());
    }
    if url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err("must be an address only, without user, query or fragment".to_owned());
    }
    Ok(url)
}

fn parse_key(text: &str) -> Result<SecretString, String> {
    match text.trim() {
        "" => Err("must not be empty".to_owned()),
        key => Ok(key.into()),
    }
}

fn parse_within<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "is not a number".to_owned())?;
    if (LEAST..=MOST).contains(&number) { Ok(number) } else { Err(format!("must be {LEAST} to {MOST}")) }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        text.split_at(text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).len());
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("must be a number followed by s, m or h".to_owned()),
    };
    let number: u32 =
        number.parse().map_err(|_| "must be a whole number followed by s, m or h".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}
