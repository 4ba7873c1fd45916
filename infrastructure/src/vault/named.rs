//! The people whom a journal names: the ids of their keys, as sealed texts have them.

use std::collections::BTreeMap;

use domain::{aggregate::Fact, ids::TenantId};
use domain::{foreign_aggregates::ForeignEventImported, personal::SEALED, tracked_events::EventTracked};
use uuid::Uuid;

use super::{cipher::Key, sealed_text::SealedText};
use crate::journal::stored::StoredEvent;

/// The keys that a journal's texts are sealed with.
#[derive(Debug, Default)]
pub struct Named {
    /// With the first text of a payload that each has sealed: with the key of an address, that is the address.
    keys: BTreeMap<Uuid, Option<Box<str>>>,
}

impl Named {
    /// Takes in an event. What tenants say about people of their own is theirs, and nothing that was sealed here.
    pub fn take(&mut self, event: &StoredEvent) {
        if ![EventTracked::TYPE, ForeignEventImported::TYPE].contains(&event.event_type.as_str()) {
            for text in sealed_texts(&event.payload) {
                self.keys.entry(text.key_id()).or_default().get_or_insert_with(|| text.as_str().into());
            }
        }
        for text in sealed_texts(&event.metadata) {
            self.keys.entry(text.key_id()).or_default();
        }
    }

    /// Takes in what another part of the journal names.
    pub fn extend(&mut self, other: Self) {
        for (key, sample) in other.keys {
            let known = self.keys.entry(key).or_default();
            *known = known.take().or(sample);
        }
    }

    /// The keys' ids.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = Uuid> {
        self.keys.keys().copied()
    }

    /// What the first text says that this key has sealed in a payload of the journal of `tenant`.
    pub(super) fn first_text(&self, id: Uuid, key: &Key, tenant: TenantId) -> Option<String> {
        SealedText::parse(self.keys.get(&id)?.as_ref()?)?.open(key, tenant)
    }
}

/// A sealed text within another one.
struct Found<'t>(&'t str, Uuid);

impl Found<'_> {
    fn as_str(&self) -> &str {
        self.0
    }

    fn key_id(&self) -> Uuid {
        self.1
    }
}

/// What is sealed in a JSON text: none of its letters is ever escaped.
fn sealed_texts(json: &str) -> impl Iterator<Item = Found<'_>> {
    json.match_indices(SEALED).filter_map(|(at, _)| {
        let rest = &json[at..];
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_:".contains(letter);
        let text = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        SealedText::parse(text).map(|sealed| Found(text, sealed.key_id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_found_wherever_it_stands() {
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        let text = |id: Uuid| format!("{SEALED}{}:c2VhbGVk", id.simple());
        let json = format!(r#"{{"a":"{}","b":"sealed:1:nobody","c":"{}"}}"#, text(one), text(other));
        let found: Vec<_> =
            sealed_texts(&json).map(|found| (found.as_str().to_owned(), found.key_id())).collect();
        assert_eq!(found, [(text(one), one), (text(other), other)]);
    }
}
