//! Each request was carried out wholly or not at all: wholly if it was acknowledged, not at all if it was refused.

use std::collections::{HashMap, HashSet};

use domain::{
    ids::TenantId,
    meters::{UsageAdmitted, UsageRefused},
    recorded_event::RecordedEvent,
    tracked_events::EventTracked,
};

use crate::{
    http::Answer,
    journals::Journals,
    ledger::{Deed, Entry, Fate},
};

pub(super) fn problems(journals: &Journals, entries: &[Entry]) -> Vec<String> {
    let mut tenants: HashMap<TenantId, Tenant> = HashMap::new();
    let mut problems = Vec::new();
    for entry in entries {
        let tenant = tenants.entry(entry.tenant).or_insert_with(|| Tenant::of(journals, entry.tenant));
        let events = tenant.requests.get(&entry.id).map_or(&[][..], Vec::as_slice);
        if let Err(problem) = check(entry, events, tenant) {
            let types: Vec<_> = events.iter().map(|event| (event.position, &event.event_type)).collect();
            problems.push(format!("{entry:?} left {types:?}: {problem}"));
        }
    }
    problems
}

/// What is looked up of a tenant's journal.
struct Tenant<'a> {
    requests: HashMap<String, Vec<&'a RecordedEvent>>,
    /// Where each message is.
    messages: HashMap<String, u64>,
    head: u64,
}

impl<'a> Tenant<'a> {
    fn of(journals: &'a Journals, id: TenantId) -> Self {
        let events = journals.events.get(&id).into_iter().flatten();
        let message = |event: &RecordedEvent| {
            event.fact::<EventTracked>().map(|tracked| (tracked.unwrap().message_id, event.position))
        };
        Self {
            requests: journals.by_request(id),
            messages: events.filter_map(message).collect(),
            head: journals.heads.get(&id).copied().unwrap_or_default(),
        }
    }
}

fn check(entry: &Entry, events: &[&RecordedEvent], tenant: &Tenant<'_>) -> Result<(), String> {
    let told = match &entry.fate {
        Fate::Acknowledged(answer) => answer.position(),
        Fate::Refused(_) | Fate::Unknown => None,
    };
    if let Some(position) = told {
        if position > tenant.head {
            return Err(format!("position {position} was told, and the journal ends at {}", tenant.head));
        }
        if events.last().is_some_and(|last| last.position > position) {
            return Err(format!("position {position} was told before the last event"));
        }
    }
    if let Deed::Track(messages) = &entry.deed {
        return check_batch(&entry.fate, messages, events, tenant);
    }
    let mut types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    types.sort_unstable();
    let whole = types == entry.deed.effect();
    match &entry.fate {
        Fate::Acknowledged(_) if whole || (types.is_empty() && entry.deed.is_repeatable()) => Ok(()),
        Fate::Unknown if whole || types.is_empty() => Ok(()),
        Fate::Refused(_) if types.is_empty() => Ok(()),
        Fate::Acknowledged(_) => Err("it was acknowledged and is not there".to_owned()),
        Fate::Unknown => Err("it is there by halves".to_owned()),
        Fate::Refused(_) => Err("it was refused and is there".to_owned()),
    }
}

/// A batch takes what is new, in order, as far as the quota goes; it says how many, and counts the rest as refused.
fn check_batch(
    fate: &Fate,
    messages: &[String],
    events: &[&RecordedEvent],
    tenant: &Tenant<'_>,
) -> Result<(), String> {
    let taken: Vec<String> = events
        .iter()
        .filter_map(|event| event.fact::<EventTracked>())
        .map(|tracked| tracked.unwrap().message_id)
        .collect();
    let sum = |counts: Vec<u64>| counts.iter().sum::<u64>();
    let admitted = |event: &&RecordedEvent| event.fact::<UsageAdmitted>().map(|usage| usage.unwrap().count);
    let admitted = sum(events.iter().filter_map(admitted).collect());
    let refused = |event: &&RecordedEvent| event.fact::<UsageRefused>().map(|usage| usage.unwrap().count);
    let refused = sum(events.iter().filter_map(refused).collect());
    if taken.len() as u64 != admitted {
        return Err(format!("{} events are there, and {admitted} were counted", taken.len()));
    }
    if let Some(first) = events.first() {
        let is_known = |id: &str| tenant.messages.get(id).is_some_and(|at| *at < first.position);
        let mut seen = HashSet::new();
        let new: Vec<_> = messages.iter().filter(|id| !is_known(id) && seen.insert(*id)).collect();
        if !new.iter().zip(&taken).all(|(new, taken)| *new == taken) || taken.len() > new.len() {
            return Err(format!("what it took is not the beginning of what was new: {new:?}"));
        }
        if admitted + refused != new.len() as u64 {
            return Err(format!("{admitted} were admitted and {refused} refused of {}", new.len()));
        }
    }
    match fate {
        Fate::Unknown => Ok(()),
        Fate::Refused(answer) if answer.status == 402 && taken.is_empty() => Ok(()),
        Fate::Refused(_) => Err("it was refused and left something".to_owned()),
        Fate::Acknowledged(answer) => check_told(answer, messages, admitted, refused, tenant),
    }
}

fn check_told(
    answer: &Answer,
    messages: &[String],
    admitted: u64,
    refused: u64,
    tenant: &Tenant<'_>,
) -> Result<(), String> {
    let data = &answer.json["data"];
    let rejected: HashSet<_> = data["rejected"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["message_id"].as_str())
        .collect();
    if data["accepted"] != admitted || rejected.len() as u64 != refused {
        return Err(format!("it was told otherwise: {data}"));
    }
    let position = answer.position().ok_or("it was told no position")?;
    let is_there = |message: &&String| tenant.messages.get(*message).is_some_and(|at| *at <= position);
    match messages.iter().find(|message| !rejected.contains(message.as_str()) && !is_there(message)) {
        Some(lost) => Err(format!("{lost} was acknowledged and is not there")),
        None => Ok(()),
    }
}
