//! Reading events that were written in an older version of their type.
//!
//! What was written is never rewritten. A payload of version 1 is made one of version 2, that one of version 3 and so on,
//! each step by a pure function beside the event's declaration, whenever the event is read. What is of the newest version,
//! and that is nearly everything, is parsed straight from its text.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use crate::aggregate::{DecodeError, Fact};

/// Makes a payload of one version one of the next.
pub type Upcaster = fn(&mut Fields) -> serde_json::Result<()>;

/// The fields of a payload on its way to a newer version. Those that no upcaster touches keep their bytes: a customer's
/// `1.10` does not become `1.1`, as it would in a tree of values.
#[derive(Debug)]
pub struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// Sets a field, whether or not there was one of that name.
    pub fn set(&mut self, field: &str, value: impl Serialize) -> serde_json::Result<()> {
        self.0.insert(field.to_owned(), to_raw_value(&value)?);
        Ok(())
    }

    /// Takes a field out; `None` if there is none.
    pub fn take<T: DeserializeOwned>(&mut self, field: &str) -> serde_json::Result<Option<T>> {
        self.0.remove(field).map(|value| serde_json::from_str(value.get())).transpose()
    }

    /// Gives a field another name, if there is one.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.0.remove(from) {
            self.0.insert(to.to_owned(), value);
        }
    }
}

/// The `F` that was stored as `payload` in `version`.
pub(crate) fn decode<F: Fact>(version: u16, payload: &RawValue) -> Result<F, DecodeError> {
    let parsed = if version == F::VERSION {
        serde_json::from_str(payload.get())
    } else if (1..F::VERSION).contains(&version) {
        upcast::<F>(version, payload)
    } else {
        return Err(DecodeError::UnknownVersion { event_type: F::TYPE, version, newest: F::VERSION });
    };
    parsed.map_err(|source| DecodeError::Payload { event_type: F::TYPE, source })
}

fn upcast<F: Fact>(version: u16, payload: &RawValue) -> serde_json::Result<F> {
    let mut fields = Fields(serde_json::from_str(payload.get())?);
    for upcaster in &F::UPCASTERS[usize::from(version) - 1..] {
        upcaster(&mut fields)?;
    }
    serde_json::from_str(&serde_json::to_string(&fields.0)?)
}

#[cfg(test)]
#[path = "upcast_tests.rs"]
mod tests;
