//! A text that is sealed: `sealed:1:`, the key's id in hexadecimal, `:`, and nonce and ciphertext in base64url.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{ids::TenantId, personal::SEALED};
use uuid::Uuid;

use super::cipher::Key;

/// A sealed text, taken apart.
pub(super) struct SealedText<'t> {
    /// The key that opens it.
    pub(super) key_id: Uuid,
    base64: &'t str,
}

impl<'t> SealedText<'t> {
    /// The sealed text that `text` is, if it is one.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (key_id, base64) = text.strip_prefix(SEALED)?.split_once(':')?;
        Some(Self { key_id: Uuid::try_parse(key_id).ok()?, base64 })
    }

    /// What it says, if `key` opens it in the journal of `tenant`.
    pub(super) fn open(&self, key: &Key, tenant: TenantId) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(self.base64).ok()?;
        String::from_utf8(key.open(&sealed, &context(self.key_id, tenant))?).ok()
    }
}

/// Seals a text for the journal of `tenant`.
pub(super) fn seal(text: &str, key_id: Uuid, key: &Key, tenant: TenantId) -> String {
    let sealed = key.seal(text.as_bytes(), &context(key_id, tenant));
    format!("{SEALED}{}:{}", key_id.simple(), URL_SAFE_NO_PAD.encode(sealed))
}

/// Where a text belongs: what is sealed for one tenant's journal does not open in another's.
fn context(key_id: Uuid, tenant: TenantId) -> [u8; 32] {
    let mut context = [0; 32];
    context[..16].copy_from_slice(tenant.uuid().as_bytes());
    context[16..].copy_from_slice(key_id.as_bytes());
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_in_its_journal_only() {
        let (key_id, key, tenant) = (Uuid::now_v7(), Key::random(), TenantId::random());
        let text = seal("Ada Lovelace", key_id, &key, tenant);
        let sealed = SealedText::parse(&text).unwrap();
        assert_eq!(sealed.key_id, key_id);
        assert_eq!(sealed.open(&key, tenant).as_deref(), Some("Ada Lovelace"));
        assert_eq!(sealed.open(&key, TenantId::random()), None);
        assert!(!text.contains("Ada"));
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "Ada", "[erased]", "sealed:1:", "sealed:1:x:y", "sealed:2:00:AA"] {
            assert!(SealedText::parse(text).is_none(), "{text}");
        }
    }
}
