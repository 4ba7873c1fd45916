//! The keys that what is recorded about people is sealed with, one for each person: whoever destroys a person's key makes
//! all of it unreadable, in every journal, read model and backup of them, and changes none of it.
//!
//! A key is kept wrapped with a sealing key, which can be replaced. A person is a user, or an address that has no account
//! (yet): then they have an id that is derived from the address with a secret, which tells nobody the address.

// What is sealed, and with what. In reading order:
mod cipher;
pub(crate) mod erasing;
mod named;
mod sealed_text;
mod subject_key;

// Sealing keys, and where they come from.
mod key_file;
mod keyring;
mod rotation;
mod sealing_key;

// Looking keys up.
mod addresses;
mod cache;
mod source;

// Taking keys elsewhere.
pub mod transfer;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use application::error::Error;
use domain::{ids::TenantId, personal::ERASED};
use uuid::Uuid;

pub(crate) use self::{
    addresses::Addresses,
    cipher::Key,
    source::Source,
    subject_key::{SubjectKey, SubjectKeys, seal},
};
use self::{
    addresses::{ADDRESSES, is_address},
    cache::Cache,
    sealed_text::SealedText,
    subject_key::Row,
};
pub use self::{
    key_file::{KeyFile, KeyFileError, KeyFileLock},
    keyring::{Keyring, Origin, UnknownKey},
    named::Named,
    rotation::{Rotation, RotationError, WrappedKeys, wrapped_keys},
    sealing_key::{MalformedKey, SealingKey},
};
use crate::database::database_error;

/// How often keys are offered: once more when another key wraps than this process knew of, and that may repeat itself.
const OFFERS: usize = 4;

/// Looks up people's keys, and seals and opens with them.
pub struct Vault {
    /// `None`: it is locked.
    keyring: Option<Keyring>,
    addresses: OnceLock<Key>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_subject: Cache<Option<SubjectKey>>,
    by_id: Cache<Option<Key>>,
}

impl Vault {
    /// The vault of the installation with these sealing keys.
    pub fn new(keyring: impl Into<Keyring>) -> Arc<Self> {
        Self::with(Some(keyring.into()))
    }

    /// A vault that nobody has the key of: for commands that look at nothing that says something about people.
    pub fn locked() -> Arc<Self> {
        Self::with(None)
    }

    fn with(keyring: Option<Keyring>) -> Arc<Self> {
        Arc::new(Self { keyring, addresses: OnceLock::new(), known: Mutex::default() })
    }

    /// The keys of `subjects`, made where there are none.
    pub(crate) async fn keys_of(
        &self,
        mut source: Source<'_>,
        subjects: &BTreeSet<Uuid>,
    ) -> Result<SubjectKeys, Error> {
        let mut keys = SubjectKeys::new();
        let mut missing = Vec::new();
        for subject in subjects {
            match self.known().by_subject.get(subject) {
                Some(key) => drop(keys.insert(*subject, key)),
                None => missing.push(*subject),
            }
        }
        for _ in 0..OFFERS {
            if missing.is_empty() {
                return Ok(keys);
            }
            keys.extend(self.offer(source.again(), &missing).await?);
            missing.retain(|subject| !keys.contains_key(subject));
            if !missing.is_empty() && !missing.contains(&ADDRESSES) {
                // Another key wraps now. Their row says which.
                missing.push(ADDRESSES);
                keys.remove(&ADDRESSES);
            }
        }
        Err(Error::internal("the key that people's keys are wrapped with is being replaced again and again"))
    }

    /// The keys of those of `subjects` that have one, or get the one that is made for them here. All do, unless they would
    /// be wrapped with a key that no longer wraps.
    async fn offer(&self, source: Source<'_>, subjects: &[Uuid]) -> Result<SubjectKeys, Error> {
        let keyring = self.keyring()?;
        let wrapping = keyring.wrapping();
        let offered: Vec<(Uuid, Key)> = subjects.iter().map(|_| (Uuid::now_v7(), Key::random())).collect();
        let ids: Vec<Uuid> = offered.iter().map(|(id, _)| *id).collect();
        let wrap = |(subject, (id, key)): (&Uuid, &(Uuid, Key))| wrapping.wrap(key, *subject, *id);
        let wrapped: Vec<Vec<u8>> = subjects.iter().zip(&offered).map(wrap).collect();
        let query = sqlx::query_as!(
            Row,
            r#"SELECT subject_id AS "subject_id!", key_id AS "key_id!", wrapped_by AS "wrapped_by!", wrapped
               FROM offer_subject_keys($1, $2, $3, $4)"#,
            subjects,
            &ids,
            wrapping.name(),
            &wrapped
        );
        let (is_committed, rows) = match source {
            Source::Connection(connection) => (false, query.fetch_all(connection).await),
            Source::Pool(database) => (true, query.fetch_all(database.pool()).await),
        };
        let mut keys = SubjectKeys::new();
        for row in rows.map_err(database_error)? {
            if row.subject_id == ADDRESSES {
                keyring.wraps(&row.wrapped_by);
            }
            let (subject, is_new) = (row.subject_id, ids.contains(&row.key_id));
            let key = row.unwrap(keyring)?.map(|key| SubjectKey { id: row.key_id, key });
            // One that was made in a transaction may never have existed. An address may come again after it was erased,
            // with another key.
            if (is_committed || !is_new) && !is_address(subject) && subject != ADDRESSES {
                self.known().by_subject.insert(subject, key.clone());
            }
            keys.insert(subject, key);
        }
        Ok(keys)
    }

    /// Opens texts from the journal of `tenant`, those that are sealed; of what is erased [`ERASED`] is left.
    pub(crate) async fn open(
        &self,
        source: Source<'_>,
        tenant: TenantId,
        texts: Vec<&mut String>,
    ) -> Result<(), Error> {
        let ids: BTreeSet<Uuid> =
            texts.iter().filter_map(|text| SealedText::parse(text)).map(|sealed| sealed.key_id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let keys = self.keys_by_id(source, ids).await?;
        for text in texts {
            let Some(sealed) = SealedText::parse(text) else { continue };
            let key = keys.get(&sealed.key_id).and_then(Option::as_ref);
            let opened = key.map(|key| sealed.open(key, tenant));
            if let Some(None) = opened {
                tracing::warn!(%tenant, key = %sealed.key_id, "a sealed text is damaged, or not where it belongs");
            }
            *text = opened.flatten().unwrap_or_else(|| ERASED.to_owned());
        }
        Ok(())
    }

    async fn keys_by_id(
        &self,
        source: Source<'_>,
        ids: BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, Option<Key>>, Error> {
        let mut keys: HashMap<Uuid, Option<Key>> = HashMap::new();
        let mut missing = Vec::new();
        for id in ids {
            match self.known().by_id.get(&id) {
                Some(key) => drop(keys.insert(id, key)),
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Ok(keys);
        }
        let query = sqlx::query_as!(
            Row,
            r#"SELECT subject_id AS "subject_id!", key_id AS "key_id!", wrapped_by AS "wrapped_by!", wrapped
               FROM subject_keys_by_id($1)"#,
            &missing
        );
        let rows = match source {
            Source::Connection(connection) => query.fetch_all(connection).await,
            Source::Pool(database) => query.fetch_all(database.pool()).await,
        };
        keys.extend(missing.into_iter().map(|id| (id, None)));
        for row in rows.map_err(database_error)? {
            keys.insert(row.key_id, row.unwrap(self.keyring()?)?);
        }
        let mut known = self.known();
        keys.iter().for_each(|(id, key)| known.by_id.insert(*id, key.clone()));
        Ok(keys)
    }

    /// The key that ids of addresses are derived with.
    pub(crate) async fn addresses(&self, source: Source<'_>) -> Result<Addresses, Error> {
        if let Some(key) = self.addresses.get() {
            return Ok(Addresses(key.clone()));
        }
        let is_committed = matches!(source, Source::Pool(_));
        let keys = self.keys_of(source, &BTreeSet::from([ADDRESSES])).await?;
        let key = keys.into_values().flatten().next();
        let key = key.ok_or_else(|| Error::internal("the key of addresses is never destroyed"))?.key;
        if is_committed {
            let _ = self.addresses.set(key.clone());
        }
        Ok(Addresses(key))
    }

    /// Forgets all keys that it knows, because some are destroyed.
    pub(crate) fn forget(&self) {
        let mut known = self.known();
        known.by_subject.clear();
        known.by_id.clear();
    }

    /// The sealing keys; an error if it is locked.
    pub fn keyring(&self) -> Result<&Keyring, Error> {
        self.keyring.as_ref().ok_or_else(|| Error::internal("this command has no secret key"))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Vault").finish_non_exhaustive()
    }
}
