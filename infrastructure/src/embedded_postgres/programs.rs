//! Finding the PostgreSQL server programs on this machine.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::OLDEST_MAJOR;
use super::account::Account;
use super::error::EmbeddedPostgresError;

/// Where packages put them when not in the PATH: the parent of a directory per version, how such a directory's name
/// begins, and the way from there to the programs. `scripts/find-postgres` has the same list.
const USUAL_PLACES: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/usr", "pgsql-", "bin"),
];

/// A directory with `initdb`, `postgres` and `pg_ctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    directory: PathBuf,
    major: u32,
}

impl Programs {
    /// The programs for the cluster in `data`: those of the version that made it, or, for one that is yet to be made,
    /// those in the PATH, then the newest.
    pub(super) fn find(data: &Path, account: &Account) -> Result<Programs, EmbeddedPostgresError> {
        let found: Vec<Programs> = installed()
            .into_iter()
            .filter(|programs| account.reaches(&programs.directory).unwrap_or(false))
            .collect();
        let made_by = fs::read_to_string(data.join("PG_VERSION")).ok();
        choose(found, made_by.as_deref().map(str::trim), data)
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    pub(super) fn pg_ctl(&self) -> PathBuf {
        self.directory.join("pg_ctl")
    }
}

fn choose(
    found: Vec<Programs>,
    made_by: Option<&str>,
    data: &Path,
) -> Result<Programs, EmbeddedPostgresError> {
    if let Some(wanted) = made_by {
        if let Some(programs) = found.iter().find(|programs| programs.major.to_string() == wanted) {
            return Ok(programs.clone());
        }
        if !found.is_empty() {
            return Err(EmbeddedPostgresError::OtherMajor {
                data: data.to_owned(),
                wanted: wanted.to_owned(),
                found: found.iter().map(|programs| programs.major).collect(),
            });
        }
    }
    match found.iter().find(|programs| programs.major >= OLDEST_MAJOR) {
        Some(programs) => Ok(programs.clone()),
        None => Err(match found.into_iter().next() {
            Some(Programs { directory, major }) => {
                EmbeddedPostgresError::ProgramsTooOld { directory, found: major }
            }
            None => EmbeddedPostgresError::ProgramsMissing,
        }),
    }
}

/// Those in the PATH in its order, then the others, the newest first.
fn installed() -> Vec<Programs> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<Programs> =
        in_path(&path).iter().filter_map(|directory| look_into(directory)).collect();
    let mut elsewhere: Vec<Programs> = USUAL_PLACES
        .iter()
        .flat_map(|place| in_place(*place))
        .filter_map(|directory| look_into(&directory))
        .collect();
    elsewhere.sort_by_key(|programs| std::cmp::Reverse(programs.major));
    found.append(&mut elsewhere);
    found
}

/// The real directory of each `initdb` in the PATH: packages put links there, and not to all of the programs.
fn in_path(path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path)
        .filter_map(|directory| directory.join("initdb").canonicalize().ok()?.parent().map(Path::to_owned))
        .collect()
}

fn in_place((parent, prefix, programs): (&str, &str, &str)) -> Vec<PathBuf> {
    fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
        .map(|entry| entry.path().join(programs))
        .collect()
}

fn look_into(directory: &Path) -> Option<Programs> {
    if !["initdb", "postgres", "pg_ctl"].iter().all(|program| directory.join(program).is_file()) {
        return None;
    }
    let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
    let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
    Some(Programs { directory: directory.to_owned(), major })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `postgres (PostgreSQL) 18beta1`
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(directory: &str, major: u32) -> Programs {
        Programs { directory: directory.into(), major }
    }

    #[test]
    fn reads_versions() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 17"), Some(17));
        assert_eq!(parse_major("bash: postgres: not found"), None);
        assert_eq!(parse_major("postgres (PostgreSQL) devel"), None);
    }

    #[test]
    fn a_new_cluster_takes_the_first_that_is_new_enough() {
        let found = vec![programs("/old", 12), programs("/path", 15), programs("/newest", 17)];
        assert_eq!(choose(found, None, Path::new("/data")).unwrap(), programs("/path", 15));
    }

    #[test]
    fn a_cluster_takes_the_version_that_made_it() {
        let found = vec![programs("/path", 15), programs("/newest", 17)];
        assert_eq!(choose(found.clone(), Some("17"), Path::new("/data")).unwrap(), programs("/newest", 17));
        let error = choose(found, Some("16"), Path::new("/data")).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 16") && error.contains("15, 17"), "{error}");
    }

    #[test]
    fn none_or_an_old_one_says_what_to_install() {
        let missing = choose(vec![], None, Path::new("/data")).unwrap_err().to_string();
        assert!(missing.contains("install") && missing.contains("DATABASE_URL"), "{missing}");
        let old = choose(vec![programs("/old", 12)], None, Path::new("/data")).unwrap_err().to_string();
        assert!(old.contains("12") && old.contains("/old"), "{old}");
    }

    #[test]
    fn follows_the_links_in_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real")).unwrap();
        fs::create_dir_all(root.join("links")).unwrap();
        fs::write(root.join("real/initdb"), "").unwrap();
        std::os::unix::fs::symlink(root.join("real/initdb"), root.join("links/initdb")).unwrap();
        let path = std::env::join_paths([root.join("nothing"), root.join("links")]).unwrap();
        assert_eq!(in_path(&path), [root.join("real")]);
    }
}
