//! Members of a tenant.

use actix_web::{delete, get, patch, post, web};
use application::members;
use domain::{
    ids::{MemberId, TenantId},
    permission::Role,
};
use projections::members::MemberRow;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::{Data, Done, List},
        body::{Json, body},
        etag::IfMatch,
        listing::Listing,
        min_position::MinPosition,
        path::Ids,
        problem::Problem,
        query::Query,
    },
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(list).service(leave).service(get).service(change).service(remove);
}

body! {
    /// What to change.
    pub struct MemberChange [deny_unknown] {
        /// The new role; it can't have permissions that the caller lacks.
        pub role: Role,
    }
}

/// The members, in the order in which they joined.
#[utoipa::path(tag = "members", params(Listing<(), u64>), responses((status = 200, body = List<MemberRow>)))]
#[get("/v1/tenants/{tenant}/members")]
async fn list(
    annals: web::Data<Annals>,
    member: Member,
    listing: Query<Listing<(), u64>>,
) -> Result<List<MemberRow>, Problem> {
    let Query(listing) = listing;
    let page = listing.page();
    let page = projections::members::list(&member.ctx, &annals.database, page, listing.min_position).await?;
    Ok(listing.answer(page))
}

/// One member.
#[utoipa::path(tag = "members", params(MinPosition), responses((status = 200, body = Data<MemberRow>)))]
#[get("/v1/tenants/{tenant}/members/{member}")]
async fn get(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, MemberId)>,
    fresh: Query<MinPosition>,
) -> Result<Data<MemberRow>, Problem> {
    let Ids((_, id)) = ids;
    let (row, position) = projections::members::get(&member.ctx, &annals.database, id, fresh.0.0).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}

/// Give a member another role. The last owner keeps theirs.
#[utoipa::path(tag = "members", responses((status = 200, body = Data<MemberRow>)))]
#[patch("/v1/tenants/{tenant}/members/{member}")]
async fn change(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, MemberId)>,
    expected: IfMatch,
    body: Json<MemberChange>,
) -> Result<Data<MemberRow>, Problem> {
    let (Member { ctx }, Ids((_, id))) = (member, ids);
    let written = members::change_role(&ctx, &annals.app, id, body.value.role, &expected.0).await?;
    let row = projections::members::of_stream(&annals.database, ctx.tenant, id).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(written.position).sequence(sequence))
}

/// Remove a member. The last owner stays.
#[utoipa::path(tag = "members", responses((status = 204)))]
#[delete("/v1/tenants/{tenant}/members/{member}")]
async fn remove(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, MemberId)>,
) -> Result<Done, Problem> {
    let Ids((_, id)) = ids;
    let removed = members::remove(&member.ctx, &annals.app, id).await?;
    Ok(Done { position: removed.position })
}

/// Leave the tenant. The last owner stays.
#[utoipa::path(tag = "members", responses((status = 204)))]
#[post("/v1/tenants/{tenant}/members/leave")]
async fn leave(annals: web::Data<Annals>, member: Member) -> Result<Done, Problem> {
    let left = members::leave(&member.ctx, &annals.app).await?;
    Ok(Done { position: left.position })
}
