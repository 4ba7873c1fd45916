//! The port that hashes passwords, and what a password is.

use async_trait::async_trait;
use domain::invalid::Invalid;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::error::Error;

/// A password as somebody typed it. Never shown, logged or stored.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

impl Password {
    /// A password to sign in with: anything up to 256 bytes, so that no rule tells what passwords look like here.
    pub fn presented(text: String) -> Result<Self, Invalid> {
        if text.len() > 256 {
            return Err(Invalid::new("too_long", "must have at most 256 bytes"));
        }
        Ok(Self(text.into()))
    }

    /// A password to be set: 8 characters to 256 bytes (NIST SP 800-63B, section 5.1.1.2: length, no composition
    /// rules).
    pub fn chosen(text: String) -> Result<Self, Invalid> {
        if text.chars().count() < 8 {
            return Err(Invalid::new("too_short", "must have at least 8 characters"));
        }
        Self::presented(text)
    }

    /// The bytes that are hashed.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Hashes and checks passwords, off the threads that serve requests.
#[async_trait]
pub trait Passwords: Send + Sync {
    /// The hash to store, with its parameters and salt.
    async fn hash(&self, password: &Password) -> Result<SecretSlice<u8>, Error>;

    /// Whether `password` has this hash. Without a hash it takes as long and is wrong, so that an unknown user costs
    /// the same as a wrong password.
    async fn verify(&self, password: &Password, hash: Option<SecretSlice<u8>>) -> Result<bool, Error>;
}
