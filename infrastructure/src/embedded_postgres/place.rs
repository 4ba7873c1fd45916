//! Where the cluster is: in the data directory, unless PostgreSQL's account can't get there.
//!
//! As root, with a data directory below, say, `/root`, the unprivileged account may not enter it. The cluster then goes
//! to `/var/lib/annals`, under a name derived from the data directory's path, and a file in the data directory
//! remembers that.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::Durability;
use super::account::Account;
use super::error::{EmbeddedPostgresError, io_error};

/// The directory in the data directory, and the file that says where it is if it is not there.
const DIRECTORY: &str = "postgres";
const RECORD: &str = "postgres-location";

/// The place of a cluster, which may be yet to be made.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory of the cluster, its socket and its log.
    pub(super) home: PathBuf,
    /// Who it belongs to.
    pub(super) account: Account,
    record: Option<PathBuf>,
}

/// Makes the data directory if it is missing, and returns its real path.
pub(super) fn make_data_dir(data_dir: &Path) -> Result<PathBuf, EmbeddedPostgresError> {
    // Others find nothing to read in it, but PostgreSQL's account has to pass through.
    let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(data_dir)
        .map_err(io_error("could not create the data directory", data_dir))?;
    data_dir.canonicalize().map_err(io_error("could not find the data directory", data_dir))
}

impl Place {
    /// `data_dir` is the real path of an existing directory.
    pub(super) fn find(data_dir: &Path, durability: Durability) -> Result<Place, EmbeddedPostgresError> {
        let inside = data_dir.join(DIRECTORY);
        if has_cluster(&inside) {
            return Place::existing(inside);
        }
        let record = data_dir.join(RECORD);
        match fs::read_to_string(&record) {
            Ok(directory) => {
                let home = PathBuf::from(directory.trim_end_matches('\n'));
                if !has_cluster(&home) {
                    return Err(EmbeddedPostgresError::Gone { record, directory: home });
                }
                return Place::existing(home);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("could not read", &record)(error)),
        }

        let account = Account::for_new_cluster()?;
        if account.reaches(data_dir).map_err(io_error("could not look at", data_dir))? {
            return Ok(Place { home: inside, account, record: None });
        }
        let home = outside(data_dir, durability);
        move_aside_if_used(&home)?;
        Ok(Place { home, account, record: Some(record) })
    }

    fn existing(home: PathBuf) -> Result<Place, EmbeddedPostgresError> {
        let metadata = fs::metadata(&home).map_err(io_error("could not look at", &home))?;
        let account = Account::owning(&home, &metadata)?;
        if !account.reaches(&home).map_err(io_error("could not look at", &home))? {
            return Err(EmbeddedPostgresError::Unreachable {
                account: account.name().to_owned(),
                directory: home,
            });
        }
        Ok(Place { home, account, record: None })
    }

    /// Makes the directory, for its account only.
    pub(super) fn make(&self) -> Result<(), EmbeddedPostgresError> {
        if let Some(parent) = self.home.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(io_error("could not create", parent))?;
        }
        make_private(&self.home, &self.account).map_err(io_error("could not create", &self.home))
    }

    /// Remembers the place, once there is a cluster.
    pub(super) fn remember(&self) -> Result<(), EmbeddedPostgresError> {
        let Some(record) = &self.record else { return Ok(()) };
        let unfinished = record.with_extension("new");
        let mut line = self.home.as_os_str().as_bytes().to_owned();
        line.push(b'\n');
        fs::write(&unfinished, line)
            .and_then(|()| fs::rename(&unfinished, record))
            .map_err(io_error("could not write", record))
    }
}

/// Makes a directory that only the account may enter, or makes sure that the one that exists is such.
pub(super) fn make_private(directory: &Path, account: &Account) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Somebody else may have put a link there, in a directory such as /tmp.
    if !fs::symlink_metadata(directory)?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it exists, and is not a directory"));
    }
    account.take(directory)
}

/// Stands for a path in a name that must be short.
pub(super) fn short_hash(path: &Path) -> String {
    let hash = Sha256::digest(path.as_os_str().as_bytes());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn has_cluster(home: &Path) -> bool {
    home.join("data").join("PG_VERSION").exists()
}

fn outside(data_dir: &Path, durability: Durability) -> PathBuf {
    let base = match durability {
        Durability::Full => PathBuf::from("/var/lib/annals"),
        Durability::ForTests => std::env::temp_dir(),
    };
    let name = data_dir.file_name().map_or("annals".into(), |name| name.to_string_lossy());
    base.join(format!("{name}-{}", short_hash(data_dir)))
}

/// A cluster of this name that was in use belonged to a data directory that somebody deleted and made anew. They want an
/// empty one, and may miss the old one later.
fn move_aside_if_used(home: &Path) -> Result<(), EmbeddedPostgresError> {
    if !home.join("data").join("postmaster.opts").exists() {
        return Ok(());
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut name = home.as_os_str().to_owned();
    name.push(format!(".old-{seconds}"));
    tracing::warn!(
        database = %home.display(),
        moved_to = %Path::new(&name).display(),
        "the data directory is new, so the database that its predecessor left is moved aside",
    );
    fs::rename(home, &name).map_err(io_error("could not move aside", home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_derived_from_the_path() {
        let one = outside(Path::new("/root/annals-data"), Durability::Full);
        assert_eq!(one, outside(Path::new("/root/annals-data"), Durability::Full));
        assert_ne!(one, outside(Path::new("/root/b/annals-data"), Durability::Full));
        assert!(one.to_string_lossy().starts_with("/var/lib/annals/annals-data-"), "{}", one.display());
        assert_eq!(short_hash(Path::new("/")).len(), 16);
    }

    #[test]
    fn a_cluster_that_is_gone_is_an_error_and_not_an_empty_database() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(RECORD), "/nowhere/annals-data-1\n").unwrap();
        let error = Place::find(directory.path(), Durability::ForTests).unwrap_err().to_string();
        assert!(error.contains("/nowhere/annals-data-1") && error.contains(RECORD), "{error}");
    }
}
