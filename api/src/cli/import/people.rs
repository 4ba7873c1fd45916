//! The file with the keys of people whom a journal names.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, ensure};
use infrastructure::vault::transfer::{FORMAT, PeopleHeader, PersonLine, SecretLine, VERSION};
use serde::Deserialize;

use super::survey::Survey;
use crate::journal::hex;

/// What such a file holds.
#[derive(Default)]
pub(super) struct People {
    /// Keys.
    pub(super) keys: Vec<PersonLine>,
    /// What streams keep outside the journal.
    pub(super) secrets: Vec<SecretLine>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Key(PersonLine),
    Secret(SecretLine),
}

/// Reads a file that was written with the export that was surveyed.
pub(super) fn read(path: &Path, survey: &Survey) -> anyhow::Result<People> {
    let of_file = || path.display().to_string();
    let file = File::open(path).with_context(of_file)?;
    let mut lines = BufReader::new(file).lines();
    let header = lines.next().context("the file is empty").with_context(of_file)?.with_context(of_file)?;
    let header: PeopleHeader = serde_json::from_str(&header)
        .with_context(|| format!("{}: this is no file of people's keys", path.display()))?;
    ensure!(
        header.format == FORMAT && header.version == VERSION,
        "{}: this is {:?} version {}, and not {FORMAT:?} version {VERSION}",
        path.display(),
        header.format,
        header.version
    );
    ensure!(
        (header.tenant, header.events, header.root) == (survey.tenant, survey.events, hex(&survey.root)),
        "{}: it was written with another export, of {} events of {}; people may have been erased between the two",
        path.display(),
        header.events,
        header.tenant
    );
    let mut people = People::default();
    for (number, line) in (2..).zip(lines) {
        let line = serde_json::from_str(&line.with_context(of_file)?);
        match line.with_context(|| format!("{}: line {number}", path.display()))? {
            Line::Key(key) => people.keys.push(key),
            Line::Secret(secret) => people.secrets.push(secret),
        }
    }
    Ok(people)
}
