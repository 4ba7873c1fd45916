//! Each journal is complete, in order, unaltered, and each request's part of it is in one piece.

use std::collections::{HashMap, HashSet};

use domain::{recorded_event::RecordedEvent, tracked_events::EventTracked};

use crate::journals::Journals;

pub(super) fn problems(journals: &Journals) -> Vec<String> {
    let mut problems = Vec::new();
    for (tenant, events) in &journals.events {
        let mut problem = |what: String| problems.push(format!("{tenant}: {what}"));
        let head = journals.heads.get(tenant);
        if head != Some(&(events.len() as u64)) {
            problem(format!("the head is {head:?}, and there are {} events", events.len()));
        }
        let mut sequences = HashMap::new();
        let mut messages = HashSet::new();
        for (index, event) in events.iter().enumerate() {
            let position = event.position;
            if position != index as u64 + 1 {
                problem(format!("position {position} is where {} is due", index + 1));
            }
            if event.computed_leaf_hash() != event.leaf_hash {
                problem(format!("the leaf hash at {position} is not that of its event"));
            }
            let sequence = sequences.entry(event.stream.id).or_insert(0);
            *sequence += 1;
            if event.sequence != *sequence {
                problem(format!("the stream at {position} goes on with {} for {sequence}", event.sequence));
            }
            if index > 0 && event.recorded_at < events[index - 1].recorded_at {
                problem(format!("time turns back at {position}"));
            }
            if let Some(tracked) = event.fact::<EventTracked>() {
                let tracked = tracked.unwrap();
                if !messages.insert((tracked.project_id, tracked.message_id.clone())) {
                    problem(format!("message {} is there twice, again at {position}", tracked.message_id));
                }
            }
        }
        for (request, events) in journals.by_request(*tenant) {
            if !is_one_piece(&events) {
                problem(format!("the events of request {request} are in several pieces"));
            }
        }
    }
    problems
}

/// Whether events follow each other and were recorded at one moment, as one commit's are.
fn is_one_piece(events: &[&RecordedEvent]) -> bool {
    events
        .windows(2)
        .all(|pair| pair[1].position == pair[0].position + 1 && pair[1].recorded_at == pair[0].recorded_at)
}
