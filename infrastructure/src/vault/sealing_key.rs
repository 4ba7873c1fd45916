//! A key that people's keys are wrapped with.

use uuid::Uuid;

use super::cipher::Key;
use crate::keys::MasterKey;

/// A key that people's keys are wrapped with, and what it is called. The name comes from the key and tells nothing of it.
#[derive(Clone)]
pub struct SealingKey {
    name: String,
    key: Key,
}

/// Among keys is a text that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {number} is not 32 bytes in base64; make one with `openssl rand -base64 32`")]
pub struct MalformedKey {
    /// Which one, counted from 1.
    pub number: usize,
}

impl SealingKey {
    /// The one that belongs to a secret. The installation's own has one too, which wraps until it is replaced.
    pub fn of(secret: &MasterKey) -> Self {
        let name = secret.derive("name of the key that wraps subject keys");
        let name = name[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name, key: secret.derive("subject keys").into() }
    }

    /// Those that belong to the secrets that are in a list, separated by commas.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, MalformedKey> {
        list.split(',').enumerate().map(|(index, text)| Self::parse(text, index + 1)).collect()
    }

    pub(super) fn parse(text: &str, number: usize) -> Result<Self, MalformedKey> {
        MasterKey::parse(text).map(|secret| Self::of(&secret)).map_err(|_| MalformedKey { number })
    }

    /// What rows call it that are wrapped with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Wraps the key `id` of `subject`.
    pub(super) fn wrap(&self, key: &Key, subject: Uuid, id: Uuid) -> Vec<u8> {
        self.key.seal(key.bytes(), &context(subject, id))
    }

    /// The key that was wrapped, if it was with this one and for this subject and id.
    pub(super) fn unwrap(&self, wrapped: &[u8], subject: Uuid, id: Uuid) -> Option<Key> {
        let bytes: [u8; 32] = self.key.open(wrapped, &context(subject, id))?.try_into().ok()?;
        Some(bytes.into())
    }
}

impl SealingKey {
    /// Seals a private value that leaves with a journal; it opens only with the same `context`.
    pub(super) fn seal(&self, value: &[u8], context: &[u8]) -> Vec<u8> {
        self.key.seal(value, context)
    }

    /// The value that was sealed, if it was with this key and context.
    pub(super) fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        self.key.open(sealed, context)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SealingKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A wrapped key opens for its own row only.
fn context(subject: Uuid, id: Uuid) -> [u8; 32] {
    let mut context = [0; 32];
    context[..16].copy_from_slice(subject.as_bytes());
    context[16..].copy_from_slice(id.as_bytes());
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    #[test]
    fn a_list_is_in_its_order_and_a_fault_in_it_is_found_without_being_repeated() {
        let keys = SealingKey::parse_list(&format!("{ONE}, {OTHER}\n")).unwrap();
        let of = |text| SealingKey::of(&MasterKey::parse(text).unwrap());
        assert_eq!(keys.iter().map(SealingKey::name).collect::<Vec<_>>(), [of(ONE).name(), of(OTHER).name()]);
        for (list, number) in
            [("", 1), ("short", 1), (&*format!("{ONE},"), 2), (&format!("{ONE} {OTHER}"), 1)]
        {
            let fault = SealingKey::parse_list(list).unwrap_err();
            assert_eq!(fault, MalformedKey { number });
            assert!(!fault.to_string().contains("AAEC"));
        }
    }

    #[test]
    fn a_wrapped_key_opens_with_its_own_and_for_its_row() {
        let keys = SealingKey::parse_list(&format!("{ONE},{OTHER}")).unwrap();
        let (key, subject, id) = (Key::random(), Uuid::now_v7(), Uuid::now_v7());
        let wrapped = keys[0].wrap(&key, subject, id);
        assert_eq!(keys[0].unwrap(&wrapped, subject, id).unwrap().bytes(), key.bytes());
        assert!(keys[1].unwrap(&wrapped, subject, id).is_none());
        assert!(keys[0].unwrap(&wrapped, id, subject).is_none());
    }

    #[test]
    fn its_name_is_all_that_is_shown_of_it() {
        let key = SealingKey::of(&MasterKey::parse(ONE).unwrap());
        assert_eq!(format!("{key:?}"), format!("SealingKey {{ name: {:?}, .. }}", key.name()));
    }
}
