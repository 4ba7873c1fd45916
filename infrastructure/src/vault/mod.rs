//! The keys that what is recorded about people is sealed with, one for each person: whoever destroys a person's key makes
//! all of it unreadable, in every journal, read model and backup of them, and changes none of it.
//!
//! A key is kept wrapped with a key derived from the installation's secret. A person is a user, or an address that has no
//! account (yet): then they have an id that is derived from the address with a secret, which tells nobody the address.

mod cache;
mod cipher;
pub(crate) mod erasing;
mod named;
mod sealed_text;
pub mod transfer;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use application::error::Error;
use domain::{ids::TenantId, personal::ERASED};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use self::cipher::Key;
pub use self::named::Named;
use self::{cache::Cache, sealed_text::SealedText};
use crate::{
    database::{Database, database_error},
    keys::MasterKey,
};

/// The subject whose key addresses are turned into ids with. It is no person, and is never erased.
const ADDRESSES: Uuid = Uuid::nil();

/// Looks up people's keys, and seals and opens with them.
pub struct Vault {
    /// `None`: it is locked.
    wrapping: Option<Wrapping>,
    addresses: OnceLock<Key>,
    known: Mutex<Known>,
}

/// A key that keys are wrapped with, and what it is called.
struct Wrapping {
    name: String,
    key: Key,
}

#[derive(Default)]
struct Known {
    by_subject: Cache<Option<SubjectKey>>,
    by_id: Cache<Option<Key>>,
}

/// A person's key.
#[derive(Clone)]
pub(crate) struct SubjectKey {
    id: Uuid,
    key: Key,
}

/// The keys of people; `None`: it is destroyed.
pub(crate) type SubjectKeys = HashMap<Uuid, Option<SubjectKey>>;

/// How the keys' table is reached.
pub(crate) enum Source<'c> {
    /// With a connection of the pool, if one is needed.
    Pool(&'c Database),
    /// In the transaction that is under way, because who holds a connection must not wait for another one.
    Connection(&'c mut PgConnection),
}

impl Source<'_> {
    pub(crate) fn again(&mut self) -> Source<'_> {
        match self {
            Self::Pool(database) => Source::Pool(database),
            Self::Connection(connection) => Source::Connection(connection),
        }
    }
}

/// A key as the table has it.
struct Row {
    subject_id: Uuid,
    key_id: Uuid,
    wrapped_by: String,
    wrapped: Option<Vec<u8>>,
}

impl Vault {
    /// The vault of the installation with this secret.
    pub fn new(secret: &MasterKey) -> Arc<Self> {
        let wrapping = Some(Wrapping::of(secret));
        Arc::new(Self { wrapping, addresses: OnceLock::new(), known: Mutex::default() })
    }

    /// A vault that nobody has the key of: for commands that look at nothing that says something about people.
    pub fn locked() -> Arc<Self> {
        Arc::new(Self { wrapping: None, addresses: OnceLock::new(), known: Mutex::default() })
    }

    /// The keys of `subjects`, made where there are none.
    pub(crate) async fn keys_of(
        &self,
        source: Source<'_>,
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
        if missing.is_empty() {
            return Ok(keys);
        }
        let offered: Vec<(Uuid, Key)> = missing.iter().map(|_| (Uuid::now_v7(), Key::random())).collect();
        let is_committed = matches!(source, Source::Pool(_));
        for row in self.offer(source, &missing, &offered).await? {
            let (subject, is_new) = (row.subject_id, offered.iter().any(|(id, _)| *id == row.key_id));
            let key = self.unwrap(&row)?.map(|key| SubjectKey { id: row.key_id, key });
            // One that was made in a transaction may never have existed. An address may come again after it was erased,
            // with another key.
            if (is_committed || !is_new) && !is_address(subject) {
                self.known().by_subject.insert(subject, key.clone());
            }
            keys.insert(subject, key);
        }
        Ok(keys)
    }

    async fn offer(
        &self,
        source: Source<'_>,
        subjects: &[Uuid],
        offered: &[(Uuid, Key)],
    ) -> Result<Vec<Row>, Error> {
        let ids: Vec<Uuid> = offered.iter().map(|(id, _)| *id).collect();
        let wrapping =
            self.wrapping.as_ref().ok_or_else(|| Error::internal("this command has no secret key"))?;
        let wrap = |(subject, (id, key)): (&Uuid, &(Uuid, Key))| {
            wrapping.key.seal(key.bytes(), &wrapped_context(*subject, *id))
        };
        let wrapped: Vec<Vec<u8>> = subjects.iter().zip(offered).map(wrap).collect();
        let query = sqlx::query_as!(
            Row,
            r#"SELECT subject_id AS "subject_id!", key_id AS "key_id!", wrapped_by AS "wrapped_by!", wrapped
               FROM subject_keys_of($1, $2, $3, $4)"#,
            subjects,
            &ids,
            wrapping.name,
            &wrapped
        );
        match source {
            Source::Connection(connection) => query.fetch_all(connection).await,
            Source::Pool(database) => query.fetch_all(database.pool()).await,
        }
        .map_err(database_error)
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
            keys.insert(row.key_id, self.unwrap(&row)?);
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

    fn unwrap(&self, row: &Row) -> Result<Option<Key>, Error> {
        let Some(wrapped) = &row.wrapped else { return Ok(None) };
        let named = self.wrapping.iter().find(|wrapping| wrapping.name == row.wrapped_by);
        let wrapping =
            named.ok_or_else(|| Error::internal("people's keys are wrapped with another secret key"))?;
        let key = wrapping.key.open(wrapped, &wrapped_context(row.subject_id, row.key_id));
        let key: Option<[u8; 32]> = key.and_then(|key| key.try_into().ok());
        key.map(|key| Some(key.into())).ok_or_else(|| Error::internal("a person's key is damaged"))
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

impl Wrapping {
    fn of(secret: &MasterKey) -> Self {
        let name = secret.derive("name of the key that wraps subject keys");
        let name = name[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name, key: secret.derive("subject keys").into() }
    }
}

/// Seals a text with somebody's key; of somebody who is erased nothing is kept.
pub(crate) fn seal(text: &str, key: Option<&SubjectKey>, tenant: TenantId) -> String {
    key.map_or_else(|| ERASED.to_owned(), |SubjectKey { id, key }| sealed_text::seal(text, *id, key, tenant))
}

/// Turns addresses into ids.
pub(crate) struct Addresses(Key);

impl Addresses {
    /// The id of an address: the same one for the same address, and without the key no way to tell which.
    pub(crate) fn id(&self, address: &str) -> Uuid {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.bytes()).expect("HMAC takes a key of any length");
        mac.update(address.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Uuid::new_v8(bytes)
    }
}

/// Whether a subject is an address: users' ids are not derived.
fn is_address(subject: Uuid) -> bool {
    subject.get_version_num() == 8
}

/// A wrapped key opens for its own row only.
fn wrapped_context(subject: Uuid, id: Uuid) -> [u8; 32] {
    let mut context = [0; 32];
    context[..16].copy_from_slice(subject.as_bytes());
    context[16..].copy_from_slice(id.as_bytes());
    context
}
