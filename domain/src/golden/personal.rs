//! Every text in an event is declared to be about somebody ([`crate::personal`]), or listed here as being about nobody.

use crate::aggregate::Facts;

/// Fields that can hold a text and are about nobody that Annals knows: names of things, hashes, reasons that administrators
/// give, what a tenant tracks of its own users, and what it brings along, which is the tenant's to answer for.
const IMPERSONAL: &[(&str, &[&str])] = &[
    ("ErasureRequested", &["reason"]),
    ("TenantCreated", &["name", "slug"]),
    ("TenantRenamed", &["name"]),
    ("TenantSlugChanged", &["slug"]),
    ("TenantFrozen", &["reason"]),
    ("WorkspaceCreated", &["name"]),
    ("WorkspaceRenamed", &["name"]),
    ("ProjectCreated", &["name"]),
    ("ProjectRenamed", &["name"]),
    ("ApiKeyIssued", &["name", "secret_hash", "secret_hint"]),
    ("ApiKeyRotated", &["secret_hash", "secret_hint"]),
    ("EventTracked", TRACKED),
    ("ForeignEventImported", FOREIGN),
];

const TRACKED: &[&str] = &[
    "message_id",
    "event",
    "user_id",
    "anonymous_id",
    "group_id",
    "previous_id",
    "properties",
    "traits",
    "context",
];

/// Of another system, which knows whom its events are about.
const FOREIGN: &[&str] =
    &["aggregate_type", "aggregate_id", "event_type", "event_version", "payload", "metadata"];

/// Types that hold a text which somebody chose. Of these, an address is always somebody's.
const TEXTS: &[&str] = &["Email", "IpAddr", "Name", "Slug", "String", "RawJson", "RawValue", "Value"];
const SOMEBODYS: &[&str] = &["Email", "IpAddr"];

/// The texts of an aggregate's events of which nobody has said whom they are about.
pub(super) fn faults<E: Facts>() -> Vec<String> {
    let mut faults = Vec::new();
    for event_type in E::CATALOGUE {
        let listed = IMPERSONAL.iter().find(|(name, _)| *name == event_type.name);
        let impersonal = listed.map_or(&[] as &[&str], |(_, fields)| fields);
        for (field, kind) in event_type.fields {
            let of = |kinds: &[&str]| words(kind).any(|word| kinds.contains(&word));
            let declared = event_type.personal.iter().any(|personal| personal.field == *field);
            let excused = impersonal.contains(field) && !of(SOMEBODYS);
            if of(TEXTS) && !declared && !excused {
                faults.push(format!("{}.{field}: {kind} is about whom?", event_type.name));
            }
        }
    }
    faults
}

fn words(kind: &str) -> impl Iterator<Item = &str> {
    kind.split(|letter: char| !letter.is_alphanumeric())
}

#[test]
fn an_undeclared_text_is_found() {
    let faults = super::checks::undeclared_texts();
    assert_eq!(faults, ["Sent.to: String is about whom?", "Sent.note: Option<String> is about whom?"]);
}
