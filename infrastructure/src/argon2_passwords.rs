//! Passwords hashed with Argon2id (RFC 9106), off the threads that serve requests.

use std::sync::Arc;

use application::{
    error::Error,
    passwords::{Password, Passwords},
};
use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretSlice};
use tokio::sync::Semaphore;

/// Argon2id with the crate's parameters (19 MiB, 2 passes: OWASP's Password Storage Cheat Sheet). As many hashes at once
/// as there are cores; further ones wait, so that a flood of sign-ins can't take all memory.
pub struct Argon2Passwords {
    slots: Arc<Semaphore>,
    /// The hash that a password is checked against when the user is unknown.
    decoy: String,
}

impl Argon2Passwords {
    /// Ready to hash on all cores.
    pub fn new() -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decoy = Argon2::default().hash_password(b"nobody has this password").map_err(failed)?.to_string();
        Ok(Self { slots: Arc::new(Semaphore::new(cores)), decoy })
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(Error::internal)?;
        // The slot goes with the work: a caller who gives up does not make room while its hash is still computed.
        let work = move || {
            let _slot = slot;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }
}

#[async_trait]
impl Passwords for Argon2Passwords {
    async fn hash(&self, password: &Password) -> Result<SecretSlice<u8>, Error> {
        let password = password.clone();
        self.off_thread(move || {
            let hash = Argon2::default().hash_password(password.bytes()).map_err(failed)?;
            Ok(hash.to_string().into_bytes().into())
        })
        .await
    }

    async fn verify(&self, password: &Password, hash: Option<SecretSlice<u8>>) -> Result<bool, Error> {
        let (password, decoy) = (password.clone(), self.decoy.clone());
        self.off_thread(move || {
            let text = match &hash {
                Some(hash) => std::str::from_utf8(hash.expose_secret()).map_err(Error::internal)?,
                None => &decoy,
            };
            let parsed = PasswordHash::new(text).map_err(failed)?;
            let right = Argon2::default().verify_password(password.bytes(), &parsed).is_ok();
            Ok(right && hash.is_some())
        })
        .await
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("argon2: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = Argon2Passwords::new().unwrap();
        let password = |text: &str| Password::presented(text.to_owned()).unwrap();
        let hash = passwords.hash(&password("correct horse")).await.unwrap();
        assert!(passwords.verify(&password("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(&password("wrong horse"), Some(hash)).await.unwrap());
        assert!(!passwords.verify(&password("nobody has this password"), None).await.unwrap());
    }
}
