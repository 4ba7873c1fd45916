//! Cursors: where the next page of a list starts, opaque to the caller.
//!
//! A cursor is a version byte, eight bytes of a hash over the path and the filters, and the last key of the page, in
//! base64url. It is bound to its list by the hash, so that one of another tenant or of other filters is refused
//! instead of skipping items silently. It is no secret and grants nothing: the key only says where to go on in what the
//! caller may read anyhow.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::ids;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::query::Parameters;

const VERSION: u8 = 1;

/// What a list is ordered by.
pub trait CursorKey: Sized {
    /// How many bytes it takes.
    const LENGTH: usize;

    /// Appends exactly [`Self::LENGTH`] bytes.
    fn write(&self, bytes: &mut Vec<u8>);

    /// The key that was written as `bytes`.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// The list that a cursor belongs to: its path and its filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope([u8; 8]);

impl Scope {
    /// The list that `given` asks for, with the parameters `filters`.
    pub fn of(given: &Parameters, filters: &[&str]) -> Self {
        let mut hash = Sha256::new();
        // Each part with its length before it, so that no two lists read the same.
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        part(given.path());
        for filter in filters {
            for text in given.texts(filter) {
                part(filter);
                part(text);
            }
        }
        let mut scope = [0; 8];
        scope.copy_from_slice(&hash.finalize()[..8]);
        Self(scope)
    }

    /// The cursor of the page after `key`.
    pub fn cursor<K: CursorKey>(&self, key: &K) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.0);
        key.write(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The key in `cursor`, if it is one of this list.
    pub fn key<K: CursorKey>(&self, cursor: &str) -> Option<K> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (scope, key) = rest.split_at_checked(self.0.len())?;
        (*version == VERSION && scope == self.0 && key.len() == K::LENGTH).then(|| K::read(key)).flatten()
    }
}

impl CursorKey for u64 {
    const LENGTH: usize = 8;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

impl CursorKey for Uuid {
    const LENGTH: usize = 16;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

/// To the microsecond, as PostgreSQL keeps it.
impl CursorKey for DateTime<Utc> {
    const LENGTH: usize = 8;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.timestamp_micros().to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_timestamp_micros(i64::from_be_bytes(bytes.try_into().ok()?))
    }
}

impl<A: CursorKey, B: CursorKey> CursorKey for (A, B) {
    const LENGTH: usize = A::LENGTH + B::LENGTH;

    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (a, b) = bytes.split_at_checked(A::LENGTH)?;
        Some((A::read(a)?, B::read(b)?))
    }
}

macro_rules! id_keys {
    ($($id:ident)*) => {$(
        impl CursorKey for ids::$id {
            const LENGTH: usize = Uuid::LENGTH;

            fn write(&self, bytes: &mut Vec<u8>) {
                self.uuid().write(bytes);
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                Uuid::read(bytes).map(Self::from)
            }
        }
    )*};
}

id_keys! {
    ApiKeyId EventId InvitationId MemberId ProjectId SessionId SubscriptionId TenantId UserId WorkspaceId
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use domain::ids::InvitationId;
    use proptest::prelude::*;

    use super::*;

    fn list(uri: &str) -> Scope {
        let request = TestRequest::with_uri(uri).to_http_request();
        Scope::of(&Parameters::of(&request).unwrap(), &["state", "role"])
    }

    #[test]
    fn a_cursor_goes_on_in_its_own_list_only() {
        let id = InvitationId::random();
        let cursor = list("/a?state=pending&limit=2").cursor(&id);
        assert_eq!(list("/a?limit=5&state=pending&other=1").key(&cursor), Some(id));
        for other in
            ["/b?state=pending", "/a", "/a?state=revoked", "/a?role=pending", "/a?state=pending&role=x"]
        {
            assert_eq!(list(other).key::<InvitationId>(&cursor), None, "{other}");
        }
        // Another kind of key, of another length.
        assert_eq!(list("/a?state=pending").key::<u64>(&cursor), None);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(list("/a?state=x&role=y"), list("/a?state=xrole&state=y"));
        assert_ne!(list("/a?state="), list("/a"));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(text in "\\PC{0,60}") {
            prop_assert_eq!(list("/a").key::<u64>(&text), None);
        }

        #[test]
        fn keys_round_trip(position: u64, micros in -62_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let key = (DateTime::from_timestamp_micros(micros).unwrap(), position);
            prop_assert_eq!(list("/a").key::<(DateTime<Utc>, u64)>(&list("/a").cursor(&key)), Some(key));
        }
    }
}
