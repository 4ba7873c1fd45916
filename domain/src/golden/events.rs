//! Events: `<Type>.v<version>.json` is the payload of every version ever written, with every field filled; beside it,
//! where fields are optional, `<Type>.v<version>.minimal.json` with none of those.

use serde_json::{Value, value::RawValue};

use super::{files::Files, shape::Shape};
use crate::aggregate::{EventType, Facts};

/// What is wrong with the files of an aggregate's events.
pub(super) fn faults<E: Facts>(files: &Files) -> Vec<String> {
    let mut faults = Vec::new();
    for EventType { name, version, .. } in E::CATALOGUE {
        for version in 1..=*version {
            if !files.contains_key(&full_name(name, version)) {
                let file = full_name(name, version);
                faults.push(format!("{file} is missing: write such a payload with every field filled"));
            }
        }
    }
    for (file, text) in files.iter().filter(|(file, _)| !file.starts_with("snapshot.")) {
        if let Err(fault) = check::<E>(files, file, text) {
            faults.push(format!("{file}: {fault}"));
        }
    }
    faults
}

/// An example of each event with every field filled, by type.
pub(super) fn examples<E: Facts>(files: &Files) -> Vec<(&'static EventType, &str)> {
    let example = |event_type: &'static EventType| {
        let file = full_name(event_type.name, event_type.version);
        files.get(&file).map(|text| (event_type, text.as_str()))
    };
    E::CATALOGUE.iter().filter_map(example).collect()
}

fn full_name(event_type: &str, version: u16) -> String {
    format!("{event_type}.v{version}.json")
}

fn check<E: Facts>(files: &Files, file: &str, text: &str) -> Result<(), String> {
    let (name, rest) = file.split_once(".v").ok_or("is not named <Type>.v<version>.json")?;
    let (version, form) = rest.split_once('.').ok_or("has no ending")?;
    let version: u16 = version.parse().map_err(|_| "has no version")?;
    let EventType { name, version: newest, .. } = E::CATALOGUE
        .iter()
        .find(|event_type| event_type.name == name)
        .ok_or("no event has this type any more, but one was written: what was written stays readable")?;
    let payload = RawValue::from_string(text.to_owned()).map_err(|error| error.to_string())?;
    let event = E::decode(name, version, &payload);
    if version != *newest {
        return event.map(drop).map_err(|error| error.to_string());
    }
    let changed = |what: String| {
        let next = version + 1;
        format!("{what}. {name} has changed: make it version {next} with an upcaster, and leave this file")
    };
    let event = event.map_err(|error| changed(error.to_string()))?;
    let encoded = event.encode().map_err(|error| error.to_string())?;
    if encoded.get() != text {
        return Err(changed(format!("it is written as {encoded} now")));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let (shape, _) =
        Shape::of::<E>(&Value::from_iter([(*name, value)])).map_err(|error| error.to_string())?;
    let minimal = format!("{name}.v{version}.minimal.json");
    match form {
        "json" if !shape.missing.is_empty() => Err(changed(format!("it lacks {}", shape.missing.join(", ")))),
        "json" if !shape.optional.is_empty() && !files.contains_key(&minimal) => {
            Err(format!("it has optional fields, so there must be {minimal} without them"))
        }
        "minimal.json" if !shape.optional.is_empty() => {
            Err(format!("it fills {}", shape.optional.join(", ")))
        }
        "json" | "minimal.json" => Ok(()),
        other => Err(format!("there are no .{other} files")),
    }
}
