//! `annals import`

mod copy;
mod foreign;
mod people;
mod progress;
mod restore;
mod sections;
mod survey;

use std::path::PathBuf;

use clap::Args;
use domain::ids::TenantId;

use self::{foreign::Foreign, restore::Restore};
use crate::config::Config;

/// Restore a journal from an export, or bring in the events of another cqrs-es system
///
/// With a FILE from `annals export`, its journal is restored here:
///
/// annals import journal.ndjson --key annals-0123456789abcdef+01234567+AQ… --people people.ndjson
///
/// The file is verified first, as `annals verify` does it, and nothing is imported from a file that is not what was signed.
/// Its events are appended as they were, so that they have the same positions and hashes here. The journal must not exist
/// here yet, or hold just the file's first events: what was interrupted goes on where it was, and a newer export of the
/// same journal brings the rest. Restore the platform's journal (ten_00000000000000000000000000) before its tenants', and
/// let nobody work with a journal while it is restored. No mail is sent again.
///
/// With --from-postgres-es, the events of another cqrs-es system come into the journal of a tenant that exists. They are
/// kept as they are, payload and metadata byte for byte, and nobody here looks into them: each of its aggregates becomes a
/// stream in which event n is its event n. A database of postgres-es has no order beyond that, so aggregates are imported
/// by type and id, each from its first event to its last. What was interrupted goes on where it was; what has grown is
/// imported from where it had ended.
///
/// A server may run meanwhile.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ImportArgs {
    /// An export of a journal. It says itself whose it is.
    #[arg(required_unless_present = "from_postgres_es", conflicts_with = "from_postgres_es")]
    file: Option<PathBuf>,
    /// The public key that FILE must be signed with, or a file that holds it: what /.well-known/annals-journal-key of the
    /// installation that exported it says, obtained in a way that you trust.
    #[arg(long, requires = "file", required_unless_present = "from_postgres_es")]
    key: Option<String>,
    /// The keys of the people whom the journal names, and the hashes of their passwords: what `annals export --people` wrote
    /// with FILE. It takes the secret key of the installation that exported them. Without it, what the journal says about
    /// people reads [erased], and nobody is found by their address; importing again with it makes up for that.
    #[arg(long, value_name = "PEOPLE_FILE", requires = "file")]
    people: Option<PathBuf>,
    /// A database as the crate postgres-es makes it: postgres://user:password@host/database. It is only read. The
    /// environment is the better place for a password, which everybody on the machine sees in a command.
    #[arg(long, value_name = "URL", env = "ANNALS_IMPORT_URL", hide_env_values = true, requires = "tenant")]
    from_postgres_es: Option<String>,
    /// The tenant (ten_…) whose journal the events of a postgres-es database go to.
    #[arg(long, requires = "from_postgres_es")]
    tenant: Option<TenantId>,
    /// Only aggregates of this type; can be given several times. By default all.
    #[arg(long = "aggregate", value_name = "TYPE", requires = "from_postgres_es")]
    aggregates: Vec<String>,
    /// Say what there is to import, or why it would be refused, and import nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Whether to import or only to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Import,
    Count,
}

pub(super) async fn run(config: Config, args: ImportArgs) -> anyhow::Result<()> {
    let mode = if args.dry_run { Mode::Count } else { Mode::Import };
    match (args.file, args.key, args.from_postgres_es, args.tenant) {
        (Some(file), Some(key), None, None) => {
            Restore { file, key, people: args.people, mode }.run(config).await
        }
        (None, None, Some(source), Some(tenant)) => {
            Foreign { source, tenant, aggregates: args.aggregates, mode }.run(config).await
        }
        _ => anyhow::bail!("a file with its key, or a database with the tenant that it goes to"),
    }
}
