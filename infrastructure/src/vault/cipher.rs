//! Sealing bytes: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), whose nonces are long enough to be random.

use std::sync::Arc;

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretBox};

const NONCE: usize = 24;

/// A key of 256 bits; wiped from memory with its last copy.
#[derive(Clone)]
pub(crate) struct Key(Arc<SecretBox<[u8; 32]>>);

impl Key {
    /// A key that nobody has had before.
    pub(super) fn random() -> Self {
        rand::rng().random::<[u8; 32]>().into()
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }

    /// Seals bytes; they open only with the same `context`.
    pub(super) fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = rand::rng().random();
        let payload = Payload { msg: plain, aad: context };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).expect("it is far below 256 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// What was sealed, if it was sealed with this key and context.
    pub(super) fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: context };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.bytes().into())
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Arc::new(SecretBox::new(Box::new(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_and_context_only() {
        let key = Key::random();
        let sealed = key.seal(b"Ada", b"here");
        assert_eq!(key.open(&sealed, b"here").as_deref(), Some(b"Ada".as_slice()));
        assert_eq!(key.open(&sealed, b"there"), None);
        assert_eq!(Key::random().open(&sealed, b"here"), None);
        assert_ne!(key.seal(b"Ada", b"here"), sealed);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(key.open(&changed, b"here"), None);
            assert_eq!(key.open(&sealed[..index], b"here"), None);
        }
    }
}
