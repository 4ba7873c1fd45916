//! Examining an export: a file, a public key, and nothing else.

use std::io::{self, BufRead, Read};

use super::{Broken, Examiner, Fault, Finding, Report};
use crate::{
    export::{CheckpointLine, EventLine, FORMAT, Header, VERSION},
    journal::stored::StoredEvent,
    notary::{Checkpoint, PublicKey},
};

/// How long a line may be. An event is far smaller, but an export is examined because it is not trusted.
const LONGEST: u64 = 64 << 20;

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
    let mut lines = Lines { input, line: Vec::new(), is_cut: false };
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
    let header: Header = serde_json::from_slice(line)
        .map_err(|error| Finding::in_header(format!("this is no export of a journal: {error}")))?;
    let (format, version) = (&header.format, header.version);
    if format != FORMAT || version != VERSION {
        let what = format!("this is {format:?} version {version}, and not {FORMAT:?} version {VERSION}");
        return Err(Finding::in_header(what).into());
    }
    if header.key != key.name() {
        let what = format!("it is signed with {}, and not with {}", header.key, key.name());
        return Err(Finding::in_header(what).into());
    }
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
        progress(line.len() as u64 + 1);
        is_covered = line.starts_with(br#"{"checkpoint""#);
        if is_covered {
            examiner.compare(
                &checkpoint(line, key).map_err(|fault| Finding::of_checkpoint(examiner.position(), fault))?,
            )?;
            continue;
        }
        let position = examiner.position() + 1;
        let malformed = |error: &dyn std::fmt::Display| {
            Finding::at(position, Fault::Malformed(format!("the line can't be read: {error}")))
        };
        let event: EventLine = serde_json::from_slice(line).map_err(|error| malformed(&error))?;
        let event = event.into_event().map_err(|error| malformed(&error))?;
        examiner.take(&event)?;
        look(&event);
        if let Some(since) = since.filter(|since| since.size == event.position) {
            examiner.compare(since)?;
        }
    }
    let position = examiner.position();
    if lines.is_cut {
        let what = format!("the line has more than {LONGEST} bytes");
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

fn checkpoint(line: &[u8], key: &PublicKey) -> Result<Checkpoint, Fault> {
    let line: CheckpointLine = serde_json::from_slice(line)
        .map_err(|error| Fault::Malformed(format!("the line can't be read: {error}")))?;
    key.open(&line.checkpoint).map_err(Fault::Checkpoint)
}

/// Lines, one at a time.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Whether a line was too long, which ends them.
    is_cut: bool,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let read = self.input.by_ref().take(LONGEST).read_until(b'\n', &mut self.line)?;
        self.is_cut = read as u64 == LONGEST;
        if read == 0 || self.is_cut {
            return Ok(None);
        }
        Ok(Some(self.line.strip_suffix(b"\n").unwrap_or(&self.line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_documentation_is_good() {
        let page = include_str!("../../../docs/journal-format.md");
        let lines = page.lines().filter(|line| line.starts_with("{\""));
        let export = lines.map(|line| format!("{line}\n")).collect::<String>();
        let key = page.lines().find(|line| line.starts_with("annals-") && line.contains('+')).unwrap();
        let key = PublicKey::parse(key).unwrap();
        let report = examine_export(export.as_bytes(), &key, None, |_| {}).unwrap();
        assert_eq!((report.finding, report.events, report.unsigned), (None, 1, 0));
    }

    #[test]
    fn a_line_without_end_ends_the_examination_and_not_the_memory() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        let mut lines = Lines { input: endless, line: Vec::new(), is_cut: false };
        assert!(lines.next().unwrap().is_none() && lines.is_cut);
        assert_eq!(lines.line.len() as u64, LONGEST);
    }
}
