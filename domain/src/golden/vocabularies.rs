//! The words that events use for things of a fixed number of kinds, such as roles: `values/<Enum>.json`. A word can be
//! added, in the file too; one that was written can't go, nor change.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{events, files::Files, shape::Shape};
use crate::aggregate::Facts;

/// The folder of the files.
pub(super) const FOLDER: &str = "values";

/// The words by the name of their enum.
#[derive(Default)]
pub(super) struct Vocabularies(BTreeMap<&'static str, Vec<&'static str>>);

impl Vocabularies {
    /// Adds what an aggregate's events use.
    pub(super) fn add<E: Facts>(&mut self, files: &Files) {
        for (event_type, text) in events::examples::<E>(files) {
            let payload: Value = serde_json::from_str(text).unwrap();
            // What can't be read is told of where events are.
            if let Ok((shape, _)) = Shape::of::<E>(&Value::from_iter([(event_type.name, payload)])) {
                self.0.extend(shape.enums);
            }
        }
    }

    /// What is wrong with the files.
    pub(super) fn faults(&self, files: &Files) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, words) in &self.0 {
            let text = files.get(&format!("{name}.json")).map_or("[]", String::as_str);
            let known: Vec<String> = serde_json::from_str(text).unwrap();
            for gone in known.iter().filter(|word| !words.contains(&word.as_str())) {
                faults.push(format!("{name}: {gone:?} was written and can't be read any more"));
            }
            for new in words.iter().filter(|word| known.iter().all(|known| known != *word)) {
                faults.push(format!("{name}: {new:?} is new; add it to {FOLDER}/{name}.json"));
            }
        }
        for file in files.keys().filter(|file| !self.0.keys().any(|name| **file == format!("{name}.json"))) {
            faults.push(format!("{file}: no event uses such words any more, but some were written"));
        }
        faults
    }
}
