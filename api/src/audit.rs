//! The audit log.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use domain::{ctx::Ctx, permission::Permission};
use projections::audit::{AuditFilter, AuditRow};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::{Administrator, Member},
    http::{
        answer::List,
        listing::Listing,
        problem::Problem,
        query::{Query, query},
    },
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(list).service(list_of_platform);
}

query! {
    /// Which entries.
    pub struct AuditQuery {
        /// Only what this user or API key did (`usr_…`, `key_…`).
        pub actor: Option<String>,
        /// Only this action, such as `invitation.sent`.
        pub action: Option<String>,
        /// Only what was done to the thing with this id.
        pub target: Option<String>,
        /// From when on.
        pub from: Option<DateTime<Utc>>,
        /// Until when, exclusive.
        pub to: Option<DateTime<Utc>>,
    }
}

/// Who did what, newest first.
#[utoipa::path(tag = "audit", params(Listing<AuditQuery, u64>), responses((status = 200, body = List<AuditRow>)))]
#[get("/v1/tenants/{tenant}/audit")]
async fn list(
    annals: web::Data<Annals>,
    member: Member,
    listing: Query<Listing<AuditQuery, u64>>,
) -> Result<List<AuditRow>, Problem> {
    read(&annals, &member.ctx, listing.0).await
}

/// What happened on the platform itself, newest first: sign-ups, sign-ins and refused ones. For administrators.
#[utoipa::path(tag = "admin", params(Listing<AuditQuery, u64>), responses((status = 200, body = List<AuditRow>)))]
#[get("/v1/admin/audit")]
async fn list_of_platform(
    annals: web::Data<Annals>,
    caller: Administrator,
    listing: Query<Listing<AuditQuery, u64>>,
) -> Result<List<AuditRow>, Problem> {
    let permissions = [Permission::AuditRead].into_iter().collect();
    read(&annals, &Ctx { permissions, ..caller.ctx }, listing.0).await
}

async fn read(
    annals: &Annals,
    ctx: &Ctx,
    listing: Listing<AuditQuery, u64>,
) -> Result<List<AuditRow>, Problem> {
    let AuditQuery { actor, action, target, from, to } = &listing.filter;
    let (actor, action, target) = (actor.clone(), action.clone(), target.clone());
    let filter = AuditFilter { actor, action, target, from: *from, to: *to };
    let page = listing.page();
    let page = projections::audit::list(ctx, &annals.database, &filter, page, listing.min_position).await?;
    Ok(listing.answer(page))
}
