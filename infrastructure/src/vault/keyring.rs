//! The keys that people's keys are wrapped with: one wraps, all of them unwrap.

use std::sync::{Mutex, MutexGuard, PoisonError};

use application::error::Error;

use super::{
    key_file::{KeyFile, KeyFileError},
    sealing_key::SealingKey,
};
use crate::keys::MasterKey;

/// All sealing keys that a process has.
///
/// Which of them wraps is for the database to say, because all servers must agree on it; before it has said so, in an
/// installation that is new, it is the newest.
#[derive(Debug)]
pub struct Keyring {
    /// From the configuration, the newest first.
    given: Vec<SealingKey>,
    file: Option<KeyFile>,
    /// From the file as it was read last.
    filed: Mutex<Vec<SealingKey>>,
    /// That of the installation's secret.
    own: SealingKey,
    /// What the key is called that wraps, as the database has said last.
    wrapping: Mutex<Option<String>>,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration.
    Given,
    /// The file of sealing keys.
    File,
    /// The installation's secret.
    Secret,
}

/// Something is wrapped with a key that this process does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "people's keys are wrapped with the sealing key {name}, which this process does not have: it is missing in \
     ANNALS_SEALING_KEYS{}, or belongs to another secret key", file_of(.file)
)]
pub struct UnknownKey {
    /// What the key is called.
    pub name: String,
    /// Where it was looked for, too.
    pub file: Option<KeyFile>,
}

impl Keyring {
    /// The key of `secret`, those `given` in the configuration (the newest first) and those in `file`.
    pub fn new(secret: &MasterKey, given: Vec<SealingKey>, file: KeyFile) -> Result<Self, KeyFileError> {
        let keyring = Self { given, file: Some(file), ..Self::from(secret) };
        keyring.reload()?;
        Ok(keyring)
    }

    /// The newest key: the one to replace others with.
    pub fn newest(&self) -> SealingKey {
        let filed = self.filed().first().cloned();
        self.given.first().cloned().or(filed).unwrap_or_else(|| self.own.clone())
    }

    /// Reads the file again.
    pub fn reload(&self) -> Result<(), KeyFileError> {
        if let Some(file) = &self.file {
            let keys = file.keys()?;
            *self.filed() = keys;
        }
        Ok(())
    }

    /// Where the key comes from that is called `name`; `None` if there is no such key here.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        let is_meant = |key: &SealingKey| key.name() == name;
        if self.given.iter().any(is_meant) {
            Some(Origin::Given)
        } else if self.filed().iter().any(is_meant) {
            Some(Origin::File)
        } else {
            is_meant(&self.own).then_some(Origin::Secret)
        }
    }

    /// What all keys are called, the newest first.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let mut names: Vec<String> = Vec::new();
        for key in self.given.iter().chain(self.filed().iter()).chain([&self.own]) {
            if !names.iter().any(|name| name == key.name()) {
                names.push(key.name().to_owned());
            }
        }
        names.into_iter()
    }

    /// What the keys of the configuration are called, the newest first.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.given.iter().map(SealingKey::name)
    }

    /// The key that is called `name`. One that is not known may have come into the file since it was read.
    pub(super) fn find(&self, name: &str) -> Result<SealingKey, Error> {
        if let Some(key) = self.known(name) {
            return Ok(key);
        }
        self.reload().map_err(Error::internal)?;
        self.known(name)
            .ok_or_else(|| Error::internal(UnknownKey { name: name.to_owned(), file: self.file.clone() }))
    }

    /// The key that wraps. The one that the database has told of last may have been replaced and forgotten since; then it is
    /// the newest one, which the database refuses if it is another that wraps, and tells.
    pub(super) fn wrapping(&self) -> SealingKey {
        let told = self.told().clone();
        told.and_then(|name| self.find(&name).ok()).unwrap_or_else(|| self.newest())
    }

    /// The database says which key wraps.
    pub(super) fn wraps(&self, name: &str) {
        *self.told() = Some(name.to_owned());
    }

    fn known(&self, name: &str) -> Option<SealingKey> {
        let filed = self.filed();
        let mut keys = self.given.iter().chain(filed.iter()).chain([&self.own]);
        keys.find(|key| key.name() == name).cloned()
    }

    fn filed(&self) -> MutexGuard<'_, Vec<SealingKey>> {
        self.filed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Option<String>> {
        self.wrapping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&MasterKey> for Keyring {
    /// The key of the secret alone.
    fn from(secret: &MasterKey) -> Self {
        let own = SealingKey::of(secret);
        Self { given: Vec::new(), file: None, filed: Mutex::default(), own, wrapping: Mutex::default() }
    }
}

fn file_of(file: &Option<KeyFile>) -> String {
    file.as_ref().map(|file| format!(" and in {}", file.path().display())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    #[test]
    fn a_key_that_has_come_into_the_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("sealing.keys"));
        let keyring = Keyring::new(&MasterKey::parse(ONE).unwrap(), Vec::new(), file.clone()).unwrap();
        assert_eq!(keyring.origin(keyring.newest().name()), Some(Origin::Secret));
        file.lock().unwrap().add().unwrap();
        let new = file.keys().unwrap().remove(0);
        assert_eq!(keyring.origin(new.name()), None);
        assert_eq!(keyring.find(new.name()).unwrap().name(), new.name());
        assert_eq!(keyring.origin(new.name()), Some(Origin::File));
        // What is spoilt later takes nothing away that is known.
        fs::write(file.path(), "garbage").unwrap();
        assert_eq!(keyring.find(new.name()).unwrap().name(), new.name());
        let Error::Internal(fault) = keyring.find("0123").unwrap_err() else { panic!() };
        assert!(fault.to_string().contains("sealing.keys"), "{fault}");
    }

    #[test]
    fn a_key_that_was_replaced_and_forgotten_gives_way_to_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("sealing.keys"));
        file.lock().unwrap().add().unwrap();
        let keyring = Keyring::new(&MasterKey::parse(ONE).unwrap(), Vec::new(), file.clone()).unwrap();
        keyring.wraps(keyring.newest().name());
        fs::write(file.path(), OTHER).unwrap();
        let newest = file.keys().unwrap().remove(0);
        // Reading what the new one has wrapped forgets the old one.
        keyring.find(newest.name()).unwrap();
        assert_eq!(keyring.wrapping().name(), newest.name());
    }

    #[test]
    fn what_nobody_has_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("sealing.keys"));
        let given = SealingKey::parse_list(OTHER).unwrap();
        let keyring = Keyring::new(&MasterKey::parse(ONE).unwrap(), given, file).unwrap();
        let Error::Internal(fault) = keyring.find("0123456789abcdef").unwrap_err() else { panic!() };
        for word in ["0123456789abcdef", "ANNALS_SEALING_KEYS", "sealing.keys"] {
            assert!(fault.to_string().contains(word), "{fault}");
        }
        let shown = format!("{keyring:?} {fault:?}");
        assert!(!shown.contains("AAEC") && !shown.contains("ICEi") && !shown.contains("32, 33"), "{shown}");
    }

    #[test]
    fn the_database_says_which_key_wraps() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("sealing.keys"));
        let given = SealingKey::parse_list(OTHER).unwrap();
        let newest = given[0].name().to_owned();
        let secret = MasterKey::parse(ONE).unwrap();
        let keyring = Keyring::new(&secret, given, file).unwrap();
        assert_eq!(keyring.wrapping().name(), newest);
        let own = SealingKey::of(&secret);
        keyring.wraps(own.name());
        assert_eq!(keyring.wrapping().name(), own.name());
        assert_eq!(keyring.newest().name(), newest);
    }
}
