//! Addresses without an account are people too, under ids that are derived from them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::cipher::Key;

/// The subject whose key addresses are turned into ids with. It is no person, and is never erased; so its row also says
/// which key wraps (migration 25).
pub(super) const ADDRESSES: Uuid = Uuid::nil();

/// Turns addresses into ids.
pub(crate) struct Addresses(pub(super) Key);

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
pub(super) fn is_address(subject: Uuid) -> bool {
    subject.get_version_num() == 8
}
