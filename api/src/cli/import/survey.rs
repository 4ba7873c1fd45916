//! The first pass through an export: whether it is what was signed, and what is to be known before anything is appended.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::Context;
use application::{
    claim::ClaimKind,
    journal::{History, PastEvent},
};
use domain::{ids::TenantId, recorded_event::StreamId};
use infrastructure::{examiner::examine_each, journal::stored::StoredEvent, notary::PublicKey, vault::Named};
use serde_json::value::RawValue;

use crate::cli::progress::{Unit, bar};

/// How much of the file is read at a time.
pub(super) const BUFFER: usize = 1 << 20;

/// What an export holds.
pub(super) struct Survey {
    /// Whose journal.
    pub(super) tenant: TenantId,
    /// How many events.
    pub(super) events: u64,
    /// The root of the tree over them.
    pub(super) root: [u8; 32],
    /// The people whom it names.
    pub(super) named: Named,
    /// What the tenant will hold that no other tenant may.
    pub(super) holdings: Vec<(ClaimKind, String)>,
}

/// Reads all of a file that must be signed with `key`.
pub(super) fn survey(file: &File, path: &Path, key: &PublicKey) -> anyhow::Result<Survey> {
    let can_t = || format!("can't read {}", path.display());
    let size = file.metadata().with_context(can_t)?.len();
    let (bar, mut named) = (bar(Some(size), Unit::Bytes), Named::default());
    bar.set_message("verifying");
    // Only a tenant's own stream, which is short, holds what no other tenant may.
    let kinds = ClaimKind::ALL.into_iter().filter(|kind| kind.is_platform_wide());
    let mut holders: Vec<_> = kinds.map(|kind| (kind, Vec::<StoredEvent>::new())).collect();
    let input = BufReader::with_capacity(BUFFER, file);
    let report = examine_each(
        input,
        key,
        None,
        |bytes| bar.inc(bytes),
        |event| {
            named.take(event);
            for (kind, stream) in &mut holders {
                if event.tenant_id.uuid() == event.stream.id && event.stream.kind == kind.rule().stream_kind {
                    stream.push(event.clone());
                }
            }
        },
    );
    bar.finish_and_clear();
    let report = report.with_context(can_t)?;
    if let Some(finding) = &report.finding {
        anyhow::bail!("{} is not what was signed, and nothing of it is imported: {finding}", path.display());
    }
    let mut holdings = Vec::new();
    for (kind, stream) in holders {
        holdings.extend(kind.rule().held(&history(stream)?)?.map(|value| (kind, value)));
    }
    let tenant = report.tenant.context("an export that is good says whose it is")?;
    Ok(Survey { tenant, events: report.events, root: report.root, named, holdings })
}

fn history(events: Vec<StoredEvent>) -> anyhow::Result<History> {
    let stream = events.first().map(|event| event.stream.clone());
    let stream = stream.unwrap_or_else(|| StreamId { kind: String::new(), id: TenantId::PLATFORM.uuid() });
    let past = |event: StoredEvent| {
        let payload = RawValue::from_string(event.payload)?;
        Ok(PastEvent { event_type: event.event_type, event_version: event.event_version, payload })
    };
    let sequence = events.len() as u64;
    let events = events.into_iter().map(past).collect::<anyhow::Result<Vec<PastEvent>>>()?;
    Ok(History { stream, sequence, snapshot: None, events })
}
