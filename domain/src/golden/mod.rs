//! Golden files: what was once written can be read for ever, and means the same.
//!
//! A file is written once, with the version that it is of, and stays as it is from then on, like a migration. When a test
//! here fails, the type has to change and not the file.

mod events;
mod files;
mod histories;
mod personal;
mod shape;
mod snapshots;
mod vocabularies;

mod checks;

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::aggregate::Decide;

/// The tests of every aggregate; one that is missing here fails [`every_aggregate_is_tested`].
macro_rules! aggregates {
    ($($module:ident: $aggregate:ident,)*) => {
        $(
            mod $module {
                use super::*;
                use crate::$module::$aggregate;

                #[test]
                fn events_stay_readable() {
                    let files = files::read(<$aggregate as cqrs_es::Aggregate>::TYPE);
                    none(events::faults::<<$aggregate as cqrs_es::Aggregate>::Event>(&files));
                }

                #[test]
                fn texts_say_whom_they_are_about() {
                    none(personal::faults::<<$aggregate as cqrs_es::Aggregate>::Event>());
                }

                #[test]
                fn snapshots_mean_what_their_version_says() {
                    let files = files::read(<$aggregate as cqrs_es::Aggregate>::TYPE);
                    none(snapshots::faults::<$aggregate>(&files));
                }

                proptest! {
                    #[test]
                    fn a_snapshot_at_any_point_leads_to_the_same_state(events in histories::any::<$aggregate>()) {
                        snapshots_change_nothing::<$aggregate>(events)?;
                    }
                }
            }
        )*

        const MODULES: &[&str] = &[$(stringify!($module)),*];

        /// Aggregate, how many events may follow a snapshot, its version.
        const POLICIES: &[(&str, u64, u16)] = &[$((
            <crate::$module::$aggregate as cqrs_es::Aggregate>::TYPE,
            <crate::$module::$aggregate as Decide>::SNAPSHOT_EVERY,
            <crate::$module::$aggregate as Decide>::SNAPSHOT_VERSION,
        )),*];

        #[test]
        fn the_words_of_events_stay_readable() {
            let mut words = vocabularies::Vocabularies::default();
            $(words.add::<<crate::$module::$aggregate as cqrs_es::Aggregate>::Event>(
                &files::read(<crate::$module::$aggregate as cqrs_es::Aggregate>::TYPE),
            );)*
            none(words.faults(&files::read(vocabularies::FOLDER)));
        }
    };
}

aggregates! {
    users: User,
    sessions: Session,
    tenants: Tenant,
    workspaces: Workspace,
    projects: Project,
    api_keys: ApiKey,
    invitations: Invitation,
    memberships: Membership,
    meters: Meter,
    subscriptions: Subscription,
    tracked_events: TrackedEvent,
    foreign_aggregates: ForeignAggregate,
}

#[test]
fn every_aggregate_is_tested() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut declared = BTreeSet::new();
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.lines().any(|line| line.starts_with("aggregate!")) {
            declared.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(declared, MODULES.iter().map(|module| (*module).to_owned()).collect());
}

#[test]
fn every_folder_is_an_aggregates() {
    let mut folders = BTreeSet::from_iter(files::folders());
    assert!(folders.remove(vocabularies::FOLDER));
    assert_eq!(folders, POLICIES.iter().map(|(aggregate, ..)| (*aggregate).to_owned()).collect());
}

#[test]
fn the_map_tells_when_snapshots_are_taken() {
    let map = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md")).unwrap();
    for (aggregate, every, version) in POLICIES {
        let row = match every {
            0 => format!("| `{aggregate}` | never | |"),
            every => format!("| `{aggregate}` | every {every} events | {version} |"),
        };
        assert!(map.contains(&row), "ARCHITECTURE.md wants the row {row} …");
    }
}

#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Goes on from each point's state, written down and read back, to the end.
fn snapshots_change_nothing<A: Decide>(events: Vec<A::Event>) -> Result<(), TestCaseError> {
    let mut states = vec![A::default()];
    for event in &events {
        let mut state: A = copy(&states[states.len() - 1]);
        state.apply(event.clone());
        states.push(state);
    }
    let mut whole = A::default();
    events.iter().for_each(|event| whole.apply(event.clone()));
    let whole = serde_json::to_value(whole).unwrap();
    for (sequence, state) in states.iter().enumerate() {
        let mut state: A = copy(state);
        events[sequence..].iter().for_each(|event| state.apply(event.clone()));
        prop_assert_eq!(serde_json::to_value(state).unwrap(), whole.clone(), "from {}", sequence);
    }
    Ok(())
}

fn copy<A: Decide>(state: &A) -> A {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}
