//! Claims are what the journals say: every address, slug and pending invitation, and nothing else.

use std::collections::BTreeMap;

use domain::{
    ids::TenantId,
    invitations::{
        InvitationAccepted, InvitationDeclined, InvitationExpired, InvitationRevoked, InvitationSent,
    },
    recorded_event::RecordedEvent,
    tenants::{TenantCreated, TenantSlugChanged},
    users::UserRegistered,
};
use uuid::Uuid;

use crate::journals::Journals;

type Claims = BTreeMap<(TenantId, String, String), Uuid>;

pub(super) fn problems(journals: &Journals) -> Vec<String> {
    let mut due = Claims::new();
    for events in journals.events.values() {
        count(events, &mut due);
    }
    let lost = due.iter().filter(|(claim, holder)| journals.claims.get(claim) != Some(holder));
    let lost = lost.map(|(claim, holder)| format!("{claim:?} is due to {holder}, and not claimed"));
    let stray = journals.claims.iter().filter(|(claim, holder)| due.get(claim) != Some(holder));
    let stray = stray.map(|(claim, holder)| format!("{claim:?} is claimed by {holder}, and not due"));
    lost.chain(stray).collect()
}

/// What one journal's events leave claimed.
fn count(events: &[RecordedEvent], claims: &mut Claims) {
    // What each stream holds of each kind: one value at most.
    let mut held: BTreeMap<(TenantId, &str, Uuid), String> = BTreeMap::new();
    for event in events {
        let (tenant, stream) = (event.tenant_id, event.stream.id);
        if let Some(fact) = event.fact::<UserRegistered>() {
            held.insert((TenantId::PLATFORM, "email", stream), fact.unwrap().email.to_string());
        } else if let Some(fact) = event.fact::<TenantCreated>() {
            held.insert((TenantId::PLATFORM, "slug", stream), fact.unwrap().slug.to_string());
        } else if let Some(fact) = event.fact::<TenantSlugChanged>() {
            held.insert((TenantId::PLATFORM, "slug", stream), fact.unwrap().slug.to_string());
        } else if let Some(fact) = event.fact::<InvitationSent>() {
            held.insert((tenant, "invitation", stream), fact.unwrap().email.to_string());
        } else if event.is::<InvitationAccepted>()
            || event.is::<InvitationDeclined>()
            || event.is::<InvitationRevoked>()
            || event.is::<InvitationExpired>()
        {
            held.remove(&(tenant, "invitation", stream));
        }
    }
    claims.extend(
        held.into_iter().map(|((scope, kind, stream), value)| ((scope, kind.to_owned(), value), stream)),
    );
}
