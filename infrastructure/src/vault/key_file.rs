//! The file that sealing keys are kept in where they are not configured: a key a line, the newest first.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};

use super::sealing_key::{MalformedKey, SealingKey};
use crate::keys::write_private;

/// How the file begins.
const HEADING: &str =
    "# What the keys of people are wrapped with, the newest first. `annals keys rotate` keeps this file.\n";

/// The file of sealing keys, which there need not be.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

/// Sealing keys can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// A line is no key.
    #[error("{}: {fault}", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, not counting comments.
        fault: MalformedKey,
    },
    /// It can't be read or written.
    #[error("can't read or write {}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else changes it.
    #[error("another rotation is under way: it has {} locked", .0.display())]
    Locked(PathBuf),
}

/// The only one who may change the file, until dropped; a process that is killed does not leave it locked.
#[derive(Debug)]
pub struct KeyFileLock {
    file: KeyFile,
    _lock: File,
}

/// A line and the key that it is.
struct Line {
    text: SecretString,
    key: SealingKey,
}

impl KeyFile {
    /// The file at a path.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its keys, the newest first; none if there is no file.
    pub(super) fn keys(&self) -> Result<Vec<SealingKey>, KeyFileError> {
        Ok(self.lines()?.into_iter().map(|line| line.key).collect())
    }

    /// Keeps others from changing it, or fails if somebody does.
    pub fn lock(&self) -> Result<KeyFileLock, KeyFileError> {
        // A file of its own, because this one is replaced by each change.
        let mut path = OsString::from(&self.path);
        path.push(".lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let lock = opened.map_err(|source| self.failed(source))?;
        match lock.try_lock() {
            Ok(()) => Ok(KeyFileLock { file: self.clone(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(KeyFileError::Locked(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(self.failed(source)),
        }
    }

    fn lines(&self) -> Result<Vec<Line>, KeyFileError> {
        let text: SecretString = match fs::read_to_string(&self.path) {
            Ok(text) => text.into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let lines = text.expose_secret().lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).enumerate();
        keys.map(|(index, text)| {
            let key = SealingKey::parse(text, index + 1);
            let key = key.map_err(|fault| KeyFileError::Malformed { path: self.path.clone(), fault })?;
            Ok(Line { text: text.into(), key })
        })
        .collect()
    }

    fn failed(&self, source: io::Error) -> KeyFileError {
        KeyFileError::File { path: self.path.clone(), source }
    }
}

impl KeyFileLock {
    /// Puts a key before all others that nobody has had before. It is on the disk when this returns.
    pub fn add(&self) -> Result<(), KeyFileError> {
        let fresh: SecretString = STANDARD.encode(rand::rng().random::<[u8; 32]>()).into();
        let lines = self.file.lines()?;
        self.write([&fresh].into_iter().chain(lines.iter().map(|line| &line.text)))
    }

    /// Forgets all keys but the one that is called `name`, and says what they were called.
    pub fn keep_only(&self, name: &str) -> Result<Vec<String>, KeyFileError> {
        let lines = self.file.lines()?;
        let (kept, forgotten): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.key.name() == name);
        if !forgotten.is_empty() {
            self.write(kept.into_iter().map(|line| &line.text))?;
        }
        Ok(forgotten.into_iter().map(|line| line.key.name().to_owned()).collect())
    }

    fn write<'k>(&self, keys: impl Iterator<Item = &'k SecretString>) -> Result<(), KeyFileError> {
        let mut text = HEADING.to_owned();
        keys.for_each(|key| text.extend([key.expose_secret(), "\n"]));
        let text = SecretString::from(text);
        write_private(&self.file.path, text.expose_secret()).map_err(|source| self.file.failed(source))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(file: &KeyFile) -> Vec<String> {
        file.keys().unwrap().iter().map(|key| key.name().to_owned()).collect()
    }

    #[test]
    fn keys_are_added_in_front_and_forgotten_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("sealing.keys"));
        assert_eq!(names(&file), Vec::<String>::new());
        let lock = file.lock().unwrap();
        lock.add().unwrap();
        let first = names(&file);
        lock.add().unwrap();
        let both = names(&file);
        assert_eq!((both.len(), &both[1..]), (2, &first[..]));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(lock.keep_only(&both[0]).unwrap(), first);
        assert_eq!(names(&file), both[..1]);
        assert_eq!(lock.keep_only(&both[0]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn one_at_a_time_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("sealing.keys"));
        let lock = file.lock().unwrap();
        assert!(matches!(file.lock(), Err(KeyFileError::Locked(_))));
        drop(lock);
        file.lock().unwrap();
    }

    #[test]
    fn garbage_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("sealing.keys"));
        file.lock().unwrap().add().unwrap();
        let good = fs::read_to_string(file.path()).unwrap();
        for garbage in ["Z2FyYmFnZQ==", "garbage", &good[good.len() - 40..]] {
            fs::write(file.path(), format!("{good}{garbage}\n")).unwrap();
            let fault = file.keys().unwrap_err();
            assert!(matches!(&fault, KeyFileError::Malformed { fault: MalformedKey { number: 2 }, .. }));
            let said = format!("{fault} {fault:?}");
            assert!(said.contains("sealing.keys") && !said.contains(garbage.trim()), "{said}");
            // Nor is it overwritten.
            assert!(file.lock().unwrap().add().is_err());
            assert!(fs::read_to_string(file.path()).unwrap().contains(garbage));
        }
    }
}
