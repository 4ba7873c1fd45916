//! `annals track`: sends a file of events to an Annals server.
//!
//! A thread reads lines into batches (`intake`), a few of which are on their way at any time (`transfer`,
//! `sender`); what came of each event ends up in the `summary`. Memory is bounded by the batches in flight, whatever
//! the length of the file or of a line in it.
//!
//! In reading order:

mod args;

// From a file to batches.
mod batch;
mod event;
mod intake;
mod lines;

// From batches to answers.
mod answer;
mod patience;
mod sender;
mod transfer;

// What the user sees.
mod progress;
mod summary;
mod tally;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use tokio::sync::mpsc;

pub use args::TrackArgs;
use intake::Intake;
use progress::Progress;
use sender::Sender;
use summary::Summary;

/// Why the command could not do its work at all. What happens to the events is in the [`Summary`].
#[derive(Debug, thiserror::Error)]
enum TrackError {
    /// There is nothing to read.
    #[error("can't read {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// The HTTP client can't be set up, for example for want of certificates.
    #[error("can't set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// Nobody reads the summary.
    #[error("can't write the summary: {0}")]
    Write(#[from] io::Error),
}

/// Sends what `args` say and reports it. The exit code is 0 when every event was answered for, 1 when some were not,
/// 2 when there is nothing to read, 130 when interrupted.
pub async fn run(args: TrackArgs) -> ExitCode {
    match track(args).await {
        Ok(summary) => summary.exit_code(),
        Err(error) => {
            progress::complain(&error.to_string());
            ExitCode::from(if matches!(error, TrackError::Open { .. }) { 2 } else { 1 })
        }
    }
}

async fn track(args: TrackArgs) -> Result<Summary, TrackError> {
    let (input, size) = open(&args)?;
    let progress = Arc::new(if args.quiet { Progress::silent() } else { Progress::on_stderr(size) });
    let summary = send(&args, input, Arc::clone(&progress), interrupts()).await?;
    progress.finish();

    if let Some(reason) = &summary.stopped {
        progress::complain(reason);
    }
    let mut stdout = io::stdout().lock();
    if args.json {
        summary.write_json(&mut stdout)?
    } else {
        summary.write_text(&mut stdout)?
    }
    stdout.flush()?;
    Ok(summary)
}

async fn send(
    args: &TrackArgs,
    input: Box<dyn Read + Send>,
    progress: Arc<Progress>,
    interrupts: mpsc::Receiver<()>,
) -> Result<Summary, TrackError> {
    let started = Instant::now();
    let sender = Sender::new(args, Arc::clone(&progress))?;
    let intake = Intake::start(input, args.batch_size);
    let transferred = transfer::transfer(&intake, sender, args.in_flight, &progress, interrupts).await;
    Ok(Summary::new(transferred, intake.finding(), started.elapsed()))
}

/// The input, and its size where that is known.
fn open(args: &TrackArgs) -> Result<(Box<dyn Read + Send>, Option<u64>), TrackError> {
    let Some(path) = args.path() else { return Ok((Box::new(io::stdin()), None)) };
    let open = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok((Box::new(file) as Box<dyn Read + Send>, size))
    };
    open().map_err(|source| TrackError::Open { path: path.to_owned(), source })
}

/// One message for each Ctrl-C.
fn interrupts() -> mpsc::Receiver<()> {
    let (interrupt, interrupts) = mpsc::channel(1);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && interrupt.send(()).await.is_ok() {}
    });
    interrupts
}
