//! Histories for property tests: golden events in any order, with other ids and numbers.

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, value::to_raw_value};

use super::{events, files};
use crate::aggregate::{Decide, Facts};

/// Events of an `A`. Any order will do: a state takes in whatever its journal holds.
pub(super) fn any<A: Decide>() -> impl Strategy<Value = Vec<A::Event>> {
    let files = files::read(A::TYPE);
    vec((any_index(), any_seed()), 0..30).prop_map(move |choices| {
        let examples = events::examples::<A::Event>(&files);
        let event = |(index, seed): (Index, u64)| {
            let (event_type, text) = index.get(&examples);
            let mut payload: Value = serde_json::from_str(text).unwrap();
            vary(&mut payload, seed);
            let payload = to_raw_value(&payload).unwrap();
            A::Event::decode(event_type.name, event_type.version, &payload).unwrap()
        };
        choices.into_iter().map(event).collect()
    })
}

fn any_index() -> impl Strategy<Value = Index> {
    proptest::prelude::any::<Index>()
}

fn any_seed() -> impl Strategy<Value = u64> {
    0_u64..4
}

/// Few different ids, so that they meet again.
fn vary(value: &mut Value, seed: u64) {
    match value {
        Value::String(text) if text.len() == 30 && text.as_bytes()[3] == b'_' => {
            text.replace_range(29.., &seed.to_string());
        }
        Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                *value = (number + seed).into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| vary(value, seed)),
        Value::Object(fields) => fields.values_mut().for_each(|value| vary(value, seed)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
