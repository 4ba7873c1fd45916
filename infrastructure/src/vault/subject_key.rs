//! A person's key, unwrapped and as its table has it.

use std::collections::HashMap;

use application::error::Error;
use domain::{ids::TenantId, personal::ERASED};
use uuid::Uuid;

use super::{cipher::Key, keyring::Keyring, sealed_text};

/// A person's key.
#[derive(Clone)]
pub(crate) struct SubjectKey {
    pub(super) id: Uuid,
    pub(super) key: Key,
}

/// The keys of people; `None`: it is destroyed.
pub(crate) type SubjectKeys = HashMap<Uuid, Option<SubjectKey>>;

/// A key as the table has it.
pub(super) struct Row {
    pub(super) subject_id: Uuid,
    pub(super) key_id: Uuid,
    pub(super) wrapped_by: String,
    pub(super) wrapped: Option<Vec<u8>>,
}

impl Row {
    /// The key; `None` if it is destroyed. That its wrapping key is not there is an error and never taken for that.
    pub(super) fn unwrap(&self, keyring: &Keyring) -> Result<Option<Key>, Error> {
        let Some(wrapped) = &self.wrapped else { return Ok(None) };
        let key = keyring.find(&self.wrapped_by)?.unwrap(wrapped, self.subject_id, self.key_id);
        key.map(Some).ok_or_else(|| {
            let (key, wrapped_by) = (self.key_id, &self.wrapped_by);
            Error::internal(format!("the key {key} is damaged: {wrapped_by} does not unwrap it"))
        })
    }
}

/// Seals a text with somebody's key; of somebody who is erased nothing is kept.
pub(crate) fn seal(text: &str, key: Option<&SubjectKey>, tenant: TenantId) -> String {
    key.map_or_else(|| ERASED.to_owned(), |SubjectKey { id, key }| sealed_text::seal(text, *id, key, tenant))
}
