//! The golden files: `domain/tests/golden/<aggregate>/…`, by their names.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// The texts of a folder's files by their names.
pub(super) type Files = BTreeMap<String, String>;

/// The files of one folder; none if there is no such folder.
pub(super) fn read(folder: &str) -> Files {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Files::new() };
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), text.trim_end().to_owned())
    });
    files.collect()
}

/// The names of all folders.
pub(super) fn folders() -> Vec<String> {
    let entries = fs::read_dir(root()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
