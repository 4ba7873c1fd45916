//! Sealing what commands say about people, before it is hashed: the journal's proofs are over what is sealed.

use std::{collections::BTreeSet, sync::Arc};

use application::{error::Error, recording::Recording, work::NewEvent};
use chrono::{DateTime, Utc};
use domain::{
    ctx::{Metadata, Traces},
    ids::{TenantId, UserId},
    personal::{About, Personal},
};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};
use uuid::Uuid;

use crate::vault::{Addresses, Source, SubjectKeys, Vault, seal};

/// What a command records, not yet sealed.
pub(super) struct Draft {
    /// For whose journal.
    pub(super) tenant: TenantId,
    /// The position before its first event.
    pub(super) after: u64,
    /// When it is recorded.
    pub(super) recorded_at: DateTime<Utc>,
    /// Who causes it.
    pub(super) metadata: Metadata,
    /// What that tells about a person, and about whom.
    pub(super) traces: Option<(UserId, Traces)>,
    /// The user who acts, if it is one.
    pub(super) actor: Option<UserId>,
    /// The events.
    pub(super) events: Vec<NewEvent>,
}

/// A payload's fields that are to be sealed, and for whom.
struct Payload {
    fields: Map<String, Value>,
    subjects: Vec<(&'static str, Uuid)>,
}

/// Seals drafts. What says nothing about anybody costs nothing.
pub(super) async fn record(
    vault: &Vault,
    mut source: Source<'_>,
    drafts: Vec<Draft>,
) -> Result<Vec<Arc<Recording>>, Error> {
    let mut personal = drafts.iter().flat_map(|draft| &draft.events).flat_map(|event| event.personal);
    let addresses = match personal.any(|personal| personal.about == About::Address) {
        true => Some(vault.addresses(source.again()).await?),
        false => None,
    };
    let mut subjects = BTreeSet::new();
    let mut payloads = Vec::new();
    for draft in &drafts {
        subjects.extend(draft.traces.iter().map(|(user, _)| user.uuid()));
        for event in draft.events.iter().filter(|event| !event.personal.is_empty()) {
            let payload = Payload::of(event, draft.actor, addresses.as_ref())?;
            subjects.extend(payload.subjects.iter().map(|(_, subject)| *subject));
            payloads.push(payload);
        }
    }
    let keys = match subjects.is_empty() {
        true => SubjectKeys::new(),
        false => vault.keys_of(source, &subjects).await?,
    };
    let mut payloads = payloads.into_iter();
    drafts.into_iter().map(|draft| draft.sealed(&keys, &mut payloads).map(Arc::new)).collect()
}

impl Draft {
    fn sealed(
        mut self,
        keys: &SubjectKeys,
        payloads: &mut impl Iterator<Item = Payload>,
    ) -> Result<Recording, Error> {
        if let Some((user, traces)) = self.traces {
            let traces = serde_json::to_string(&traces).map_err(Error::internal)?;
            self.metadata.traces = Some(seal(&traces, key(keys, user.uuid()), self.tenant));
        }
        for event in self.events.iter_mut().filter(|event| !event.personal.is_empty()) {
            let payload = payloads.next().ok_or_else(|| Error::internal("every event has its payload"))?;
            event.sealed = Some(payload.sealed(keys, self.tenant)?);
        }
        let metadata = to_raw_value(&self.metadata).map_err(Error::internal)?;
        Ok(Recording::new(self.tenant, self.after, self.recorded_at, metadata.into(), self.events))
    }
}

impl Payload {
    fn of(event: &NewEvent, actor: Option<UserId>, addresses: Option<&Addresses>) -> Result<Self, Error> {
        let fields: Map<String, Value> =
            serde_json::from_str(event.payload.get()).map_err(Error::internal)?;
        let subject = |Personal { field, about }: &Personal| {
            let text = fields.get(*field)?.as_str()?;
            let subject = match about {
                About::User(id) => fields.get(*id)?.as_str()?.parse::<UserId>().ok()?.uuid(),
                About::Address => addresses?.id(text),
                // Nobody is named where nobody acts.
                About::Actor => actor?.uuid(),
            };
            Some((*field, subject))
        };
        let subjects = event.personal.iter().filter_map(subject).collect();
        Ok(Self { fields, subjects })
    }

    fn sealed(mut self, keys: &SubjectKeys, tenant: TenantId) -> Result<Box<RawValue>, Error> {
        for (field, subject) in self.subjects {
            if let Some(Value::String(text)) = self.fields.get_mut(field) {
                *text = seal(text, key(keys, subject), tenant);
            }
        }
        to_raw_value(&self.fields).map_err(Error::internal)
    }
}

fn key(keys: &SubjectKeys, subject: Uuid) -> Option<&crate::vault::SubjectKey> {
    keys.get(&subject).and_then(Option::as_ref)
}
