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
use infrastructure::{database::Database, keys::MasterKey, vault::Vault};
use uuid::Uuid;

use crate::{cluster::DATABASE, installation::Installation, journals::Journals, node::SECRET_KEY};

type Claims = BTreeMap<(TenantId, String, String), Uuid>;

pub(super) async fn problems(installation: &Installation, journals: &Journals) -> Vec<String> {
    let mut due = Claims::new();
    for events in journals.events.values() {
        count(events, &mut due);
    }
    let due = as_stored(installation, due).await;
    let lost = due.iter().filter(|(claim, holder)| journals.claims.get(claim) != Some(holder));
    let lost = lost.map(|(claim, holder)| format!("{claim:?} is due to {holder}, and not claimed"));
    let stray = journals.claims.iter().filter(|(claim, holder)| due.get(claim) != Some(holder));
    let stray = stray.map(|(claim, holder)| format!("{claim:?} is claimed by {holder}, and not due"));
    lost.chain(stray).collect()
}

/// Addresses are sealed in events, and claims hold ids of them.
async fn as_stored(installation: &Installation, claims: Claims) -> Claims {
    let vault = Vault::new(&MasterKey::parse(SECRET_KEY).unwrap());
    let database = Database::connect(installation.cluster.options(DATABASE), 2, vault).await.unwrap();
    let mut stored = Claims::new();
    for ((scope, kind, mut value), stream) in claims {
        if kind != "slug" {
            database.open(scope, vec![&mut value]).await.unwrap();
            value = database.address_id(&value).await.unwrap().to_string();
        }
        stored.insert((scope, kind, value), stream);
    }
    database.close().await;
    stored
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
