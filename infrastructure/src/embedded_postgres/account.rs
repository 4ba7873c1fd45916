//! Who PostgreSQL runs as: this process's own account, or, because PostgreSQL refuses to be root, an unprivileged one.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User, getegid, geteuid};

use super::error::EmbeddedPostgresError;

/// Tried in this order when this process is root.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The account that PostgreSQL and its files belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// For a cluster that is yet to be made.
    pub(super) fn for_new_cluster() -> Result<Account, EmbeddedPostgresError> {
        if !geteuid().is_root() {
            return Ok(Account::own());
        }
        UNPRIVILEGED
            .iter()
            .filter_map(|name| User::from_name(name).ok().flatten())
            .find(|user| !user.uid.is_root())
            .map(|user| Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(EmbeddedPostgresError::NoAccount)
    }

    /// The owner of a cluster that exists: root may act for them, everybody else only for themselves.
    pub(super) fn owning(directory: &Path, metadata: &Metadata) -> Result<Account, EmbeddedPostgresError> {
        let (uid, gid) = (metadata.uid(), metadata.gid());
        if uid == geteuid().as_raw() && uid != 0 {
            return Ok(Account::own());
        }
        if !geteuid().is_root() || uid == 0 {
            return Err(EmbeddedPostgresError::ForeignOwner { directory: directory.to_owned(), owner: uid });
        }
        let name =
            User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or(uid.to_string(), |user| user.name);
        Ok(Account { name, uid, gid })
    }

    fn own() -> Account {
        let name = User::from_uid(geteuid()).ok().flatten().map_or(geteuid().to_string(), |user| user.name);
        Account { name, uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether this process has to change who it is to run something as this account.
    pub(super) fn is_other(&self) -> bool {
        self.uid != geteuid().as_raw()
    }

    /// A command that runs as this account, in `directory`, out of reach of the terminal's Ctrl-C, and not steered
    /// by the environment (PGPORT, PGDATA, a locale that does not exist).
    pub(super) fn command(&self, program: impl AsRef<OsStr>, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory).process_group(0).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if self.is_other() {
            // This drops the supplementary groups, too.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes a file or directory this account's.
    pub(super) fn take(&self, path: &Path) -> io::Result<()> {
        if self.is_other() { chown(path, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// Whether this account may enter the directory and all above it.
    pub(super) fn reaches(&self, directory: &Path) -> io::Result<bool> {
        if !self.is_other() {
            return Ok(true);
        }
        for directory in directory.canonicalize()?.ancestors() {
            let metadata = fs::metadata(directory)?;
            if !self.may_enter(metadata.mode(), metadata.uid(), metadata.gid()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// POSIX: exactly one of the three classes counts, the first that fits.
    fn may_enter(&self, mode: u32, owner: u32, group: u32) -> bool {
        let execute = if owner == self.uid {
            0o100
        } else if group == self.gid {
            0o010
        } else {
            0o001
        };
        mode & execute != 0
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn the_first_class_that_fits_decides() {
        let account = Account { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert!(account.may_enter(0o755, 0, 0));
        assert!(account.may_enter(0o711, 0, 0));
        assert!(!account.may_enter(0o700, 0, 0));
        assert!(account.may_enter(0o700, 101, 0));
        assert!(!account.may_enter(0o077, 101, 0), "the owner is no `other`");
        assert!(account.may_enter(0o710, 0, 104));
        assert!(!account.may_enter(0o701, 0, 104), "the group is no `other`");
    }

    #[test]
    fn never_root() {
        assert_ne!(Account::for_new_cluster().map(|account| account.uid).unwrap_or(1), 0);
    }
}
