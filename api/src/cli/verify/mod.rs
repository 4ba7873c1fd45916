//! `annals verify`

mod in_database;
mod in_export;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use domain::ids::TenantId;
use infrastructure::{
    examiner::Report,
    notary::{Checkpoint, PublicKey},
};

/// Check that journals are what was signed, with nothing to trust but a public key
///
/// Checks every event of a journal: that its leaf hash is that of its fields, that no position and no number in a stream
/// is missing, that time does not turn back, and that the tree over all of them is the one that was signed.
///
/// With a FILE from `annals export` or the API, this needs nothing but the public key, and no network:
///
/// annals verify journal.ndjson --key annals-0123456789abcdef+01234567+AQ…
///
/// With --database, it checks the journals in the database against what was signed, and so finds what was changed behind
/// the server's back: in the events, at the journal's end, and in what is kept to prove them (tiles, trees, checkpoints).
///
/// An export has one form, byte for byte. A line of another form is wrong, even if it means the same.
///
/// What is wrong is told with the first position that is. A journal may be of any length: notes about its streams go into
/// a temporary file, 32 bytes for each event.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit codes:\n  0  everything is as it was signed\n  1  something is wrong with a journal\n  2  \
                  it could not be checked: a file, a key or the database can't be read, or the usage is wrong"
)]
pub(super) struct VerifyArgs {
    /// The export to check; - is the standard input.
    #[arg(required_unless_present = "database", conflicts_with = "database")]
    file: Option<PathBuf>,
    /// The public key, or a file that holds it: what /.well-known/annals-journal-key says, obtained in a way that you
    /// trust. With --database by default the installation's own.
    #[arg(long, required_unless_present = "database")]
    key: Option<String>,
    /// A file with an earlier checkpoint, of which the journal must be a continuation.
    #[arg(long, value_name = "CHECKPOINT_FILE")]
    since: Option<PathBuf>,
    /// Check the journals in the database (DATABASE_URL, or that of the data directory).
    #[arg(long)]
    database: bool,
    /// Only the journal of this tenant (ten_…).
    #[arg(long, requires = "database")]
    tenant: Option<TenantId>,
}

/// Checks, says what it came to, and exits as `--help` says.
pub(super) async fn run(args: VerifyArgs) -> ExitCode {
    let verified = if args.database { in_database::verify(args).await } else { in_export::verify(&args) };
    match verified {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "annals verify: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// What a check came to.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Good,
    Wrong,
}

/// Tells what the examination of a journal came to.
fn tell(report: &Report) -> io::Result<Verdict> {
    let mut out = io::stdout().lock();
    let tenant = report.tenant.map_or_else(|| "the export".to_owned(), |tenant| tenant.to_string());
    if let Some(finding) = &report.finding {
        writeln!(out, "{tenant}: WRONG: {finding}")?;
        return Ok(Verdict::Wrong);
    }
    let root: String = report.root.iter().map(|byte| format!("{byte:02x}")).collect();
    let until = report.recorded_at.map_or_else(String::new, |time| format!(" until {}", time.to_rfc3339()));
    write!(out, "{tenant}: good: {} events{until}, root {root}", report.events)?;
    match report.unsigned {
        0 => writeln!(out)?,
        unsigned => writeln!(out, "; the last {unsigned} of them are not signed yet")?,
    }
    Ok(Verdict::Good)
}

/// The key that was given as text, or as the name of a file that holds it.
pub(super) fn key(text: &str) -> anyhow::Result<PublicKey> {
    match PublicKey::parse(text) {
        Err(_) if std::fs::exists(text).unwrap_or(false) => {
            let line = std::fs::read_to_string(text).with_context(|| format!("can't read {text}"))?;
            PublicKey::parse(&line).with_context(|| text.to_owned())
        }
        parsed => Ok(parsed?),
    }
}

/// The earlier checkpoint, if one was given.
fn since(args: &VerifyArgs, key: &PublicKey) -> anyhow::Result<Option<Checkpoint>> {
    let Some(path) = &args.since else { return Ok(None) };
    let note = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let opened = key.open(&note).with_context(|| format!("the checkpoint in {}", path.display()))?;
    Ok(Some(opened))
}
