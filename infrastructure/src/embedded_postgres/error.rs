//! Why the private PostgreSQL could not be started, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::OLDEST_MAJOR;

/// Why the private PostgreSQL could not be started. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedPostgresError {
    /// The machine has no PostgreSQL server programs.
    #[error(
        "no PostgreSQL server programs found (initdb, postgres, pg_ctl, version {OLDEST_MAJOR} or newer). \
         Install them ({}), or set DATABASE_URL to use a PostgreSQL that runs elsewhere",
        install_command()
    )]
    ProgramsMissing,

    /// All PostgreSQL programs on the machine are too old.
    #[error(
        "the PostgreSQL programs in {} are version {found}, and {OLDEST_MAJOR} or newer is needed. \
         Install them ({}), or set DATABASE_URL to use a PostgreSQL that runs elsewhere",
        .directory.display(), install_command()
    )]
    ProgramsTooOld {
        /// Where they are.
        directory: PathBuf,
        /// Their major version.
        found: u32,
    },

    /// The cluster was made by a major version that is not installed.
    #[error(
        "the database in {} was made by PostgreSQL {wanted}, and this machine has only {}. \
         Install PostgreSQL {wanted} again, or convert the database with pg_upgrade", .data.display(), list(.found)
    )]
    OtherMajor {
        /// The cluster.
        data: PathBuf,
        /// The major version that made it.
        wanted: String,
        /// The major versions on this machine.
        found: Vec<u32>,
    },

    /// Another server holds the data directory.
    #[error(
        "another Annals server (process {holder}) already uses the data directory {}. \
         Stop that one first, or give this one a directory of its own with ANNALS_DATA_DIR", .data_dir.display()
    )]
    InUse {
        /// Its process id, if it could be read.
        holder: String,
        /// The data directory.
        data_dir: PathBuf,
    },

    /// Running as root, and there is no account that PostgreSQL could run as instead.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor a user `nobody`. \
         Create one (useradd --system postgres), or start Annals as another user"
    )]
    NoAccount,

    /// The cluster belongs to somebody else.
    #[error(
        "the database in {} belongs to the user with id {owner}, and this process runs as {}. \
         Start Annals as the user who started it before, or as root", .directory.display(), nix::unistd::geteuid()
    )]
    ForeignOwner {
        /// The cluster's directory.
        directory: PathBuf,
        /// Its owner's user id.
        owner: u32,
    },

    /// The account that PostgreSQL runs as may not enter a directory on the way to the cluster.
    #[error(
        "PostgreSQL runs as the user {account}, who may not enter {}. \
         Allow it (chmod o+x on it and on the directories above it)", .directory.display()
    )]
    Unreachable {
        /// The account.
        account: String,
        /// The cluster's directory.
        directory: PathBuf,
    },

    /// The cluster was put elsewhere, and is not there any more.
    #[error(
        "the database of this data directory is missing: {} says that it is in {}. \
         Restore it, or delete that file to begin with an empty database", .record.display(), .directory.display()
    )]
    Gone {
        /// The file that remembers the place.
        record: PathBuf,
        /// The place.
        directory: PathBuf,
    },

    /// `initdb` failed.
    #[error("a PostgreSQL cluster could not be made in {}; initdb said:\n{output}", .directory.display())]
    InitDb {
        /// Where it was to be made.
        directory: PathBuf,
        /// What initdb printed.
        output: String,
    },

    /// A postmaster that an earlier server left behind does not stop.
    #[error(
        "PostgreSQL (process {pid}), left running by an earlier server in {}, does not stop. \
         Look what keeps it, or kill it (kill -QUIT {pid}), then start Annals again:\n{output}", .directory.display()
    )]
    OrphanStays {
        /// The postmaster.
        pid: i32,
        /// The cluster's directory.
        directory: PathBuf,
        /// What pg_ctl printed.
        output: String,
    },

    /// PostgreSQL ended instead of starting.
    #[error("PostgreSQL did not start ({status}). The end of its log, {}:\n{tail}", .log.display())]
    DidNotStart {
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },

    /// PostgreSQL runs, but did not accept a connection in time.
    #[error(
        "PostgreSQL did not accept a connection within {seconds} s (the last attempt: {last}). \
         The end of its log, {}:\n{tail}", .log.display()
    )]
    NotReady {
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// Why the last attempt failed.
        last: String,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },

    /// The database could not be created in the running cluster.
    #[error("the database `annals` could not be created in the private PostgreSQL: {0}")]
    CreateDatabase(#[source] sqlx::Error),

    /// The operating system refused something.
    #[error("{what}: {error}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
}

/// `.map_err(io_error("could not create", path))`
pub(super) fn io_error(what: &str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedPostgresError {
    let what = format!("{what} {}", path.display());
    move |error| EmbeddedPostgresError::Io { what, error }
}

fn install_command() -> &'static str {
    if cfg!(target_os = "macos") {
        "brew install postgresql@17"
    } else if Path::new("/usr/bin/dnf").exists() {
        "sudo dnf install postgresql-server"
    } else if Path::new("/usr/bin/pacman").exists() {
        "sudo pacman -S postgresql"
    } else if Path::new("/sbin/apk").exists() {
        "sudo apk add postgresql"
    } else {
        "sudo apt-get install postgresql"
    }
}

fn list(majors: &[u32]) -> String {
    majors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
