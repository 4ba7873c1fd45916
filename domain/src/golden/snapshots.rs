//! Snapshots: `snapshot.v<version>.json` says which states which events amount to. Only today's version has a file, because
//! snapshots of another are not read.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{events, files::Files, shape::Shape};
use crate::aggregate::{Decide, Facts};

/// The events, by type, as their golden files have them, and the state after them.
#[derive(Deserialize)]
struct Example {
    after: Vec<String>,
    state: Value,
}

/// What is wrong with the file of an aggregate's snapshots.
pub(super) fn faults<A: Decide>(files: &Files) -> Vec<String> {
    let expected = format!("snapshot.v{}.json", A::SNAPSHOT_VERSION);
    let mut faults = Vec::new();
    for file in files.keys().filter(|file| file.starts_with("snapshot.")) {
        if A::SNAPSHOT_EVERY == 0 || *file != expected {
            faults.push(format!("{file} is of no use: no snapshot of that version is read"));
        }
    }
    if A::SNAPSHOT_EVERY > 0
        && let Err(fault) = check::<A>(files, files.get(&expected).map_or("", String::as_str))
    {
        faults.push(format!("{expected}: {fault}"));
    }
    faults
}

fn check<A: Decide>(files: &Files, text: &str) -> Result<(), String> {
    let examples: Vec<Example> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut seen = BTreeSet::new();
    let mut possible = BTreeSet::new();
    for Example { after, state } in examples {
        let changed = |what: String| {
            let next = A::SNAPSHOT_VERSION + 1;
            format!(
                "after {}: {what}. The state has changed: make it SNAPSHOT_VERSION {next}",
                after.join(", ")
            )
        };
        let now = serde_json::to_value(replay::<A>(files, &after)?).map_err(|error| error.to_string())?;
        if now != state {
            return Err(changed(format!("it is {now} now, not {state}")));
        }
        let (shape, _) = Shape::of::<A>(&state).map_err(|error| changed(error.to_string()))?;
        if !shape.missing.is_empty() {
            return Err(changed(format!("it lacks {}", shape.missing.join(", "))));
        }
        possible.extend(shape.outermost);
        let variant = state.as_str().or_else(|| state.as_object()?.keys().next().map(String::as_str));
        seen.extend(variant.map(str::to_owned));
    }
    // Nobody keeps the state of what there is nothing of.
    possible.remove("Absent");
    match possible.iter().find(|variant| !seen.contains(**variant)) {
        Some(variant) => Err(format!("no example is {variant}")),
        None => Ok(()),
    }
}

fn replay<A: Decide>(files: &Files, after: &[String]) -> Result<A, String> {
    let mut state = A::default();
    for event_type in after {
        let (event_type, text) = events::examples::<A::Event>(files)
            .into_iter()
            .find(|(known, _)| known.name == event_type)
            .ok_or_else(|| format!("there is no {event_type}"))?;
        let payload = RawValue::from_string(text.to_owned()).map_err(|error| error.to_string())?;
        let event = A::Event::decode(event_type.name, event_type.version, &payload);
        state.apply(event.map_err(|error| error.to_string())?);
    }
    Ok(state)
}
