//! The Unix socket, whose path the operating system limits to a hundred characters or so.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::USER;
use super::account::Account;
use super::error::{EmbeddedPostgresError, io_error};
use super::place::{make_private, short_hash};

/// Names the socket's file; nothing listens on it.
pub(super) const PORT: u16 = 5432;

/// What `sockaddr_un` holds, without the final NUL.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Makes the directory of the socket: in the cluster's, or, where that path is too long, in a short one derived from it.
pub(super) fn make_directory(home: &Path, account: &Account) -> Result<PathBuf, EmbeddedPostgresError> {
    let inside = home.join("socket");
    let directory = if fits(&inside) { inside } else { short_directory(home, account) };
    make_private(&directory, account).map_err(io_error("could not create", &directory))?;
    let metadata = fs::metadata(&directory).map_err(io_error("could not look at", &directory))?;
    if metadata.uid() != account.uid() || metadata.mode() & 0o077 != 0 {
        let error = io::Error::new(io::ErrorKind::PermissionDenied, "others own it or may enter it");
        return Err(io_error("PostgreSQL's socket would not be private in", &directory)(error));
    }
    Ok(directory)
}

/// Removes what a killed PostgreSQL left. Only for a holder of the data directory's lock, when no postmaster runs: a
/// lock file whose process id now belongs to another process would keep PostgreSQL from starting.
pub(super) fn remove_stale(directory: &Path) {
    for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
        fs::remove_file(directory.join(name)).ok();
    }
}

/// How to connect to the maintenance database.
pub(super) fn connect_options(directory: &Path) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(directory)
        .port(PORT)
        .username(USER)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable)
}

/// The same, saying nothing of the statements that it sends.
pub(super) fn quiet_connect_options(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().disable_statement_logging()
}

fn short_directory(home: &Path, account: &Account) -> PathBuf {
    let name = format!("annals-{}-{}", account.uid(), short_hash(home));
    // The runtime directory is the user's own, so another account could not enter it.
    if !account.is_other()
        && let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
        && runtime.is_absolute()
        && runtime.is_dir()
        && fits(&runtime.join(&name))
    {
        return runtime.join(name);
    }
    Path::new("/tmp").join(name)
}

/// PostgreSQL takes a list of directories, so a name that would have to be quoted in it does not fit, either.
fn fits(directory: &Path) -> bool {
    let socket = directory.join(format!(".s.PGSQL.{PORT}"));
    let path = socket.as_os_str().as_bytes();
    path.len() <= LONGEST_PATH
        && path.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@=:~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_strange_paths_do_not_fit() {
        let name_length = "/.s.PGSQL.5432".len();
        let longest = format!("/{}", "a".repeat(LONGEST_PATH - name_length - 1));
        assert!(fits(Path::new(&longest)));
        assert!(!fits(Path::new(&format!("{longest}a"))));
        assert!(!fits(Path::new("/data/a,b")));
        assert!(!fits(Path::new("/data/a b")));
        assert!(!fits(Path::new("/data/ä")));
    }

    #[test]
    fn the_short_directory_always_fits() {
        let account = Account::for_new_cluster().unwrap();
        let home = PathBuf::from(format!("/{}", "ä ".repeat(200)));
        let directory = short_directory(&home, &account);
        assert!(fits(&directory), "{}", directory.display());
        assert_eq!(directory, short_directory(&home, &account));
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", directory.path().join("socket")).unwrap();
        let account = Account::for_new_cluster().unwrap();
        assert!(make_directory(directory.path(), &account).is_err());
    }
}
