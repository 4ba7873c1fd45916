//! What is known of requests with an idempotency key, made unreadable.
//!
//! An answer may hold an API key or a session's tokens, and a body a password. So the database gets keyed hashes instead of
//! the key and the body, and the answer encrypted. All keys come from the installation's secret *and* from the
//! idempotency key, which is stored nowhere: who has the database and the secret still can't read an answer, nor try out
//! passwords against a fingerprint, without the key that the client has made up.

use application::{error::Error, once::Identity};
use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use domain::ids::TenantId;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

/// Long enough to be drawn at random without ever meeting itself.
const NONCE_BYTES: usize = 24;

/// Makes [`Seal`]s with the installation's key.
pub struct AnswerSeals {
    key: SecretBox<[u8; 32]>,
}

/// A request with an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest<'a> {
    /// The tenant of the route, or the platform.
    pub scope: TenantId,
    /// Who asks.
    pub principal: &'a str,
    /// Method and path.
    pub route: &'a str,
    /// The idempotency key.
    pub key: &'a str,
    /// What is sent along, which another request with the same key must have in common.
    pub content: [&'a [u8]; 2],
}

/// What one request's answer is sealed and found with.
pub struct Seal {
    identity: Identity,
    key: SecretBox<[u8; 32]>,
}

impl AnswerSeals {
    /// Seals under `key`. Under another key no earlier answer is found.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: SecretBox::new(Box::new(key)) }
    }

    /// The seal of one request's answer.
    pub fn of(&self, request: &KeyedRequest<'_>) -> Seal {
        let KeyedRequest { scope, principal, route, key, content } = request;
        let scope_bytes = scope.uuid().into_bytes();
        let own = hash(
            self.key.expose_secret(),
            &[&scope_bytes, principal.as_bytes(), route.as_bytes(), key.as_bytes()],
        );
        let fingerprint_key = hash(&own, &[b"fingerprint"]);
        let fingerprint = hash(&fingerprint_key, content);
        let identity = Identity { scope: *scope, request: hash(&own, &[b"request"]), fingerprint };
        Seal { identity, key: SecretBox::new(Box::new(hash(&own, &[b"answer"]))) }
    }
}

impl Seal {
    /// What the request is known by.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The answer, encrypted.
    pub fn close(&self, answer: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE_BYTES] = rand::rng().random();
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), self.payload(answer));
        let sealed = sealed.map_err(|_| Error::internal("an answer can't be encrypted"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The answer that was encrypted.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let spoilt = || Error::internal("a kept answer is not what was kept");
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(spoilt)?;
        self.cipher().decrypt(&XNonce::from(*nonce), self.payload(sealed)).map_err(|_| spoilt())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.key.expose_secret()))
    }

    /// Bound to what was sent, so that an answer can't be put in the place of another.
    fn payload<'a>(&'a self, content: &'a [u8]) -> Payload<'a, 'a> {
        Payload { msg: content, aad: &self.identity.fingerprint }
    }
}

/// HMAC-SHA256 over parts, each behind its length, so that none can be moved from one to the next.
fn hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> KeyedRequest<'static> {
        let (principal, route) = ("usr_1", "POST /v1/tenants");
        KeyedRequest { scope: TenantId::PLATFORM, principal, route, key: "k1", content: [b"", b"{}"] }
    }

    #[test]
    fn everything_that_a_key_is_scoped_to_makes_another_request() {
        let seals = AnswerSeals::new([7; 32]);
        let known = seals.of(&request()).identity();
        assert_eq!(seals.of(&request()).identity(), known);
        for other in [
            KeyedRequest { scope: TenantId::random(), ..request() },
            KeyedRequest { principal: "usr_2", ..request() },
            KeyedRequest { route: "POST /v1/tenant", key: "sk1", ..request() },
            KeyedRequest { key: "k2", ..request() },
        ] {
            let other = seals.of(&other).identity();
            assert!(other.request != known.request && other.fingerprint != known.fingerprint);
        }
        for content in [[b"".as_slice(), b"{ }"], [b"{}", b""]] {
            let other = seals.of(&KeyedRequest { content, ..request() }).identity();
            assert!(other.request == known.request && other.fingerprint != known.fingerprint);
        }
        assert_ne!(AnswerSeals::new([8; 32]).of(&request()).identity().request, known.request);
    }

    #[test]
    fn an_answer_opens_for_its_own_request_only() {
        let seals = AnswerSeals::new([7; 32]);
        let seal = seals.of(&request());
        let mut sealed = seal.close(b"ak_secret").unwrap();
        assert!(!sealed.windows(9).any(|bytes| bytes == b"ak_secret"));
        assert_ne!(seal.close(b"ak_secret").unwrap(), sealed);
        assert_eq!(seal.open(&sealed).unwrap(), b"ak_secret");
        assert!(seals.of(&KeyedRequest { key: "k2", ..request() }).open(&sealed).is_err());
        assert!(seals.of(&KeyedRequest { content: [b"", b""], ..request() }).open(&sealed).is_err());
        for index in 0..sealed.len() {
            sealed[index] ^= 1;
            assert!(seal.open(&sealed).is_err());
            sealed[index] ^= 1;
            assert!(seal.open(&sealed[..index]).is_err());
        }
    }
}
