//! Opening what streams say about people, for aggregates that need it.

use application::{error::Error, journal::History};
use domain::{ids::TenantId, personal::SEALED, recorded_event::RecordedEvent};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use crate::vault::{Source, Vault};

/// A stored text with something sealed in it.
enum Sealed<'h> {
    /// An event's payload, some of whose fields are.
    Payload(&'h mut Box<RawValue>, Map<String, Value>),
    /// A snapshot's state, which is as a whole.
    State(&'h mut Box<RawValue>, String),
}

/// Opens payloads and snapshots of these streams. A snapshot that is erased is no snapshot any more: what it leaves is no
/// state that an aggregate can read.
pub(super) async fn open(
    vault: &Vault,
    source: Source<'_>,
    tenant: TenantId,
    histories: impl Iterator<Item = &mut History>,
) -> Result<(), Error> {
    let mut found = Vec::new();
    for history in histories {
        if let Some(snapshot) = &mut history.snapshot
            && snapshot.state.get().starts_with('"')
        {
            let sealed = serde_json::from_str(snapshot.state.get()).map_err(Error::internal)?;
            found.push(Sealed::State(&mut snapshot.state, sealed));
        }
        for event in &mut history.events {
            found.extend(Sealed::payload(&mut event.payload)?);
        }
    }
    open_all(vault, source, tenant, found).await
}

/// Opens the payloads of events of `tenant`, for an answer.
pub(super) async fn open_events(
    vault: &Vault,
    source: Source<'_>,
    tenant: TenantId,
    events: &mut [RecordedEvent],
) -> Result<(), Error> {
    let mut found = Vec::new();
    for event in events {
        found.extend(Sealed::payload(&mut event.payload)?);
    }
    open_all(vault, source, tenant, found).await
}

async fn open_all(
    vault: &Vault,
    source: Source<'_>,
    tenant: TenantId,
    mut found: Vec<Sealed<'_>>,
) -> Result<(), Error> {
    let texts = found.iter_mut().flat_map(Sealed::texts).collect();
    vault.open(source, tenant, texts).await?;
    found.into_iter().try_for_each(Sealed::put_back)
}

impl<'h> Sealed<'h> {
    /// A payload, if something in it is sealed.
    fn payload(payload: &'h mut Box<RawValue>) -> Result<Option<Self>, Error> {
        if !payload.get().contains(SEALED) {
            return Ok(None);
        }
        let fields = serde_json::from_str(payload.get()).map_err(Error::internal)?;
        Ok(Some(Self::Payload(payload, fields)))
    }

    fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::State(_, text) => vec![text],
            Self::Payload(_, fields) => strings(fields),
        }
    }

    fn put_back(self) -> Result<(), Error> {
        match self {
            Self::Payload(payload, fields) => *payload = to_raw_value(&fields).map_err(Error::internal)?,
            Self::State(state, text) => {
                // An erased one is not even JSON; as a text it is nobody's state.
                *state = match RawValue::from_string(text.clone()) {
                    Ok(opened) => opened,
                    Err(_) => to_raw_value(&text).map_err(Error::internal)?,
                };
            }
        }
        Ok(())
    }
}

fn strings(fields: &mut Map<String, Value>) -> Vec<&mut String> {
    let string = |value| match value {
        &mut Value::String(ref mut text) => Some(text),
        _ => None,
    };
    fields.values_mut().filter_map(string).collect()
}
