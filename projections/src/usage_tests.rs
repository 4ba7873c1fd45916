use std::collections::BTreeMap;

use domain::tracked_events::{EventTracked, TrackedKind};
use proptest::prelude::*;

use super::*;
use crate::{
    story::{Story, rows, take_in, time},
    tracked_events::tests::{track, tracked},
};

#[test]
fn events_count_in_the_hour_in_which_they_happened() {
    let mut story = Story::new();
    let project_id = ProjectId::random();
    for timestamp in
        ["1997-02-01T10:00:00Z", "1997-02-01T10:59:59.999Z", "1997-02-01T11:00:00Z", "1969-12-31T23:30:00Z"]
    {
        track(&mut story, project_id, "Order Completed", timestamp);
    }
    let rows = rows::<Usage>(&story);
    let key = |hour: &str| UsageKey { hour: time(hour), project_id, event: "Order Completed".to_owned() };
    assert_eq!(rows[&key("1997-02-01T10:00:00Z")], 2);
    assert_eq!(rows[&key("1997-02-01T11:00:00Z")], 1);
    assert_eq!(rows[&key("1969-12-31T23:00:00Z")], 1);
}

#[test]
fn projects_and_names_count_apart_and_other_kinds_under_their_kind() {
    let mut story = Story::new();
    let (one, other) = (ProjectId::random(), ProjectId::random());
    track(&mut story, one, "A", "1997-02-01T10:00:00Z");
    track(&mut story, one, "B", "1997-02-01T10:00:00Z");
    track(&mut story, other, "A", "1997-02-01T10:00:00Z");
    let page = EventTracked {
        event: Some("Home".to_owned()),
        ..tracked(one, TrackedKind::Page, "1997-02-01T10:00:00Z")
    };
    story.tell("tracked_event", page.event_id, page);
    let rows = rows::<Usage>(&story);
    assert_eq!(rows.len(), 4);
    assert!(rows.keys().any(|key| key.event == "page"));
    assert!(rows.values().all(|count| *count == 1));
}

proptest! {
    /// What lets a projector cut a journal into batches where it likes.
    #[test]
    fn a_journal_can_be_taken_in_piece_by_piece(
        told in prop::collection::vec((0..3_usize, 0..3_usize, 0..5_u32), 0..60),
        cuts in prop::collection::vec(0..60_usize, 0..4),
    ) {
        let projects = [ProjectId::random(), ProjectId::random(), ProjectId::random()];
        let mut story = Story::new();
        for (project, event, hour) in told {
            track(&mut story, projects[project], ["A", "B", "C"][event], &format!("1997-02-01T{hour:02}:30:00Z"));
        }
        let mut pieces = BTreeMap::new();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(story.events().len())).collect();
        cuts.sort_unstable();
        cuts.push(story.events().len());
        let mut from = 0;
        for to in cuts {
            take_in::<Usage>(&mut pieces, &story.events()[from..to]);
            from = to;
        }
        prop_assert_eq!(pieces.values().sum::<u64>(), story.events().len() as u64);
        prop_assert_eq!(pieces, rows::<Usage>(&story));
    }
}
