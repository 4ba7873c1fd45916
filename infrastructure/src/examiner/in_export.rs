//! Examining an export: a file, a public key, and nothing else.

use std::io::{self, BufRead};

use super::{
    Broken, Examiner, Fault, Finding, Report,
    lines::{LONGEST, Lines},
};
use crate::{
    export::{CheckpointLine, EventLine, FORMAT, Header, VERSION},
    journal::stored::StoredEvent,
    notary::{Checkpoint, PublicKey},
};

/// Examines an export that is said to be signed with `key`, and to continue what `since` is about. `progress` is told how
/// many bytes have been read.
pub fn examine_export(
    input: impl BufRead,
    key: &PublicKey,
    since: Option<&Checkpoint>,
    progress: impl FnMut(u64),
) -> io::Result<Report> {
    examine_each(input, key, since, progress, |_| {})
}

/// The same; `look` is shown each event that was found to be good.
pub fn examine_each(
    input: impl BufRead,
    key: &PublicKey,
    since: Option<&Checkpoint>,
    mut progress: impl FnMut(u64),
    mut look: impl FnMut(&StoredEvent),
) -> io::Result<Report> {
    let mut lines = Lines::of(input);
    let header = match header(&mut lines, key) {
        Ok(header) => header,
        Err(Broken::Io(error)) => return Err(error),
        Err(Broken::Finding(finding)) => {
            let report = Examiner::new(domain::ids::TenantId::PLATFORM).conclude(Err(finding.into()))?;
            return Ok(Report { tenant: None, ..report });
        }
    };
    let mut examiner = Examiner::new(header.tenant);
    let walked = walk(&mut examiner, &mut lines, &header, key, since, &mut progress, &mut look);
    examiner.conclude(walked)
}

fn header(lines: &mut Lines<impl BufRead>, key: &PublicKey) -> Result<Header, Broken> {
    let line = lines.next()?.ok_or_else(|| Finding::in_header("the file is empty"))?;
    let header: Header = serde_json::from_slice(line.text)
        .map_err(|error| Finding::in_header(format!("line 1 is not that of a journal's export: {error}")))?;
    let (format, version) = (&header.format, header.version);
    if format != FORMAT || version != VERSION {
        let what = format!("this is {format:?} version {version}, and not {FORMAT:?} version {VERSION}");
        return Err(Finding::in_header(what).into());
    }
    if header.key != key.name() {
        let what = format!("it is signed with {}, and not with {}", header.key, key.name());
        return Err(Finding::in_header(what).into());
    }
    line.is_written_as(&header).map_err(Finding::in_header)?;
    Ok(header)
}

fn walk(
    examiner: &mut Examiner,
    lines: &mut Lines<impl BufRead>,
    header: &Header,
    key: &PublicKey,
    since: Option<&Checkpoint>,
    progress: &mut impl FnMut(u64),
    look: &mut impl FnMut(&StoredEvent),
) -> Result<(), Broken> {
    let mut is_covered = false;
    while let Some(line) = lines.next()? {
        progress(line.text.len() as u64 + 1);
        let taken = examiner.position();
        is_covered = line.text.starts_with(br#"{"checkpoint""#);
        if is_covered {
            let wrong = |fault| Finding::of_checkpoint(taken, fault);
            let entry: CheckpointLine = line.read().map_err(|what| wrong(Fault::Malformed(what)))?;
            let checkpoint = key.open(&entry.checkpoint).map_err(|error| wrong(Fault::Checkpoint(error)))?;
            examiner.compare(&checkpoint)?;
            line.is_written_as(&entry).map_err(|what| wrong(Fault::Malformed(what)))?;
            continue;
        }
        let malformed = |what| Finding::at(taken + 1, Fault::Malformed(what));
        let entry: EventLine = line.read().map_err(malformed)?;
        let is_in_form = line.is_written_as(&entry);
        let event = entry.into_event().map_err(|error| malformed(line.unreadable(&error)))?;
        examiner.take(&event)?;
        is_in_form.map_err(malformed)?;
        look(&event);
        if let Some(since) = since.filter(|since| since.size == event.position) {
            examiner.compare(since)?;
        }
    }
    let position = examiner.position();
    if lines.is_cut {
        let what = format!("line {} has more than {LONGEST} bytes", lines.count + 1);
        return Err(Finding::at(position + 1, Fault::Malformed(what)).into());
    }
    if position < header.events || since.is_some_and(|since| position < since.size) {
        return Err(Finding::at(position + 1, Fault::Missing { next: None }).into());
    }
    if position > header.events {
        return Err(Finding::in_header(format!(
            "it announces {} events, and {position} follow",
            header.events
        ))
        .into());
    }
    if !is_covered {
        let covered = examiner.vouched;
        return Err(Finding::at(covered + 1, Fault::Uncovered { covered }).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::Place, *};

    fn documented() -> (Vec<&'static str>, PublicKey) {
        let page = include_str!("../../../docs/journal-format.md");
        let lines = page.lines().filter(|line| line.starts_with("{\"")).collect();
        let key = page.lines().find(|line| line.starts_with("annals-") && line.contains('+')).unwrap();
        (lines, PublicKey::parse(key).unwrap())
    }

    #[test]
    fn the_example_of_the_documentation_is_good() {
        let (lines, key) = documented();
        let export = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let report = examine_export(export.as_bytes(), &key, None, |_| {}).unwrap();
        assert_eq!((report.finding, report.events, report.unsigned), (None, 1, 0));
    }

    /// What would mean the same to a JSON library is not the same file.
    #[test]
    fn an_export_has_one_form() {
        let (lines, key) = documented();
        let places = [Place::Header, Place::Position(1), Place::Checkpoint(1)];
        let changes = [
            (0, change("}\n", "}\r\n")),
            (1, change("}\n", "}\r\n")),
            (2, change("}\n", "}\r\n")),
            (0, change("{", "\u{feff}{")),
            (0, change("{", " {")),
            (1, change(":", ": ")),
            (2, change("{\"checkpoint\":", "{\"checkpoint\" :")),
            (0, change("\"tenant\":\"ten_", "\"tenant\":\"\\u0074en_")),
            (1, change("\"user\"", "\"\\u0075ser\"")),
            (2, change("\\n", "\\u000a")),
            (
                1,
                change(
                    "\"tenant\":\"ten_00000000000000000000000000\",\"position\":1",
                    "\"position\":1,\"tenant\":\"ten_00000000000000000000000000\"",
                ),
            ),
            (1, change("f4d388eb", "F4D388EB")),
            (1, change("00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000")),
            (2, change("}\n", "}")),
        ];
        for (at, change) in changes {
            let mut changed: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
            changed[at] = change(&changed[at]);
            let report = examine_export(changed.concat().as_bytes(), &key, None, |_| {}).unwrap();
            let Some(Finding { place, fault: Fault::Malformed(what) }) = report.finding else {
                panic!("{:?}: {:?}", changed[at], report.finding)
            };
            assert_eq!(place, places[at], "{:?}", changed[at]);
            assert!(what.contains(&format!("line {}", at + 1)), "{what}");
        }
    }

    /// Changes something in a line, which must be there.
    fn change(from: &'static str, to: &'static str) -> impl Fn(&str) -> String {
        move |line| {
            assert!(line.contains(from), "{line}");
            line.replacen(from, to, 1)
        }
    }
}
