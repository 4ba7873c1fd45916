//! Invitations to a tenant.

use actix_web::{get, post, web};
use application::invitations::{self, Invite};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ids::{InvitationId, TenantId},
    invalid::Invalid,
    permission::Role,
    text::Email,
};
use projections::invitations::{InvitationRow, InvitationState};
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::{Member, SignedIn},
    http::{
        answer::{Data, List},
        body::{Json, body},
        listing::Listing,
        min_position::MinPosition,
        path::Ids,
        problem::Problem,
        query::{Query, query},
    },
};

/// How many days a link is good for, if nothing else is asked for.
const DEFAULT_DAYS: u32 = 7;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(list)
        .service(invite)
        .service(get)
        .service(resend)
        .service(revoke)
        .service(preview)
        .service(accept)
        .service(decline);
}

body! {
    /// Whom to invite.
    pub struct NewInvitation [deny_unknown] {
        /// The address.
        pub email: Email,
        /// The role offered; it can't have permissions that the inviter lacks.
        pub role: Role,
        /// How many days the link is good for: 1 to 30, 7 by default.
        pub expires_in_days: Option<u32>,
    }
}

body! {
    /// What an invitation mail's link ends in.
    pub struct InvitationToken {
        /// The token.
        pub token: String,
    }
}

query! {
    /// Which invitations to list.
    pub struct InvitationFilter {
        /// Only those in this state.
        pub state: Option<InvitationState>,
    }
}

/// What an invitation offers.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OfferedInvitation {
    /// The invitation.
    invitation_id: String,
    /// Who invites.
    tenant_id: String,
    /// Its name.
    tenant_name: String,
    /// The role offered.
    role: &'static str,
    /// Until when it can be accepted.
    expires_at: DateTime<Utc>,
}

/// A membership that has just begun.
#[derive(Serialize, utoipa::ToSchema)]
pub struct NewMembership {
    /// The tenant.
    tenant_id: String,
    /// The membership.
    member_id: String,
}

/// An invitation that was declined.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Declined {
    /// The tenant that had invited.
    tenant_id: String,
    /// `declined`.
    state: &'static str,
}

/// The tenant's invitations, newest first.
#[utoipa::path(tag = "members", params(Listing<InvitationFilter, InvitationId>), responses((status = 200, body = List<InvitationRow>)))]
#[get("/v1/tenants/{tenant}/invitations")]
async fn list(
    annals: web::Data<Annals>,
    member: Member,
    listing: Query<Listing<InvitationFilter, InvitationId>>,
) -> Result<List<InvitationRow>, Problem> {
    let Query(listing) = listing;
    let (state, page) = (listing.filter.state, listing.page());
    let page =
        projections::invitations::list(&member.ctx, &annals.database, state, page, listing.min_position)
            .await?;
    Ok(listing.answer(page))
}

/// Invite an address. It gets a mail with a link.
#[utoipa::path(tag = "members", responses((status = 201, body = Data<InvitationRow>)))]
#[post("/v1/tenants/{tenant}/invitations")]
async fn invite(
    annals: web::Data<Annals>,
    member: Member,
    body: Json<NewInvitation>,
) -> Result<Data<InvitationRow>, Problem> {
    let Member { ctx } = member;
    let NewInvitation { email, role, expires_in_days } = body.value;
    let valid_for = valid_for(expires_in_days)?;
    let written = invitations::invite(&ctx, &annals.app, Invite { email, role, valid_for }).await?;
    let row = projections::invitations::of_commit(&annals.database, ctx.tenant, &written).await?;
    let (location, sequence) = (format!("/v1/tenants/{}/invitations/{}", ctx.tenant, row.id), row.sequence);
    Ok(Data::created(row, location).at(written.position).sequence(sequence))
}

/// One invitation.
#[utoipa::path(tag = "members", params(MinPosition), responses((status = 200, body = Data<InvitationRow>)))]
#[get("/v1/tenants/{tenant}/invitations/{invitation}")]
async fn get(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, InvitationId)>,
    fresh: Query<MinPosition>,
) -> Result<Data<InvitationRow>, Problem> {
    let Ids((_, invitation)) = ids;
    let (row, position) =
        projections::invitations::get(&member.ctx, &annals.database, invitation, fresh.0.0).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}

/// Send another mail with a new link, good for 7 days; earlier links no longer work.
#[utoipa::path(tag = "members", responses((status = 200, body = Data<InvitationRow>)))]
#[post("/v1/tenants/{tenant}/invitations/{invitation}/resend")]
async fn resend(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, InvitationId)>,
) -> Result<Data<InvitationRow>, Problem> {
    let Ids((_, invitation)) = ids;
    let written = invitations::resend(&member.ctx, &annals.app, invitation, valid_for(None)?).await?;
    changed(&annals, &member, invitation, written.position).await
}

/// Withdraw an invitation.
#[utoipa::path(tag = "members", responses((status = 200, body = Data<InvitationRow>)))]
#[post("/v1/tenants/{tenant}/invitations/{invitation}/revoke")]
async fn revoke(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, InvitationId)>,
) -> Result<Data<InvitationRow>, Problem> {
    let Ids((_, invitation)) = ids;
    let written = invitations::revoke(&member.ctx, &annals.app, invitation).await?;
    changed(&annals, &member, invitation, written.position).await
}

/// What the link of a mail offers, to who is signed in with the invited address.
#[utoipa::path(tag = "members", responses((status = 200, body = Data<OfferedInvitation>)))]
#[post("/v1/invitations/preview")]
async fn preview(
    annals: web::Data<Annals>,
    caller: SignedIn,
    body: Json<InvitationToken>,
) -> Result<Data<OfferedInvitation>, Problem> {
    let offer = invitations::preview(&caller.ctx, &annals.app, &caller.account, &body.value.token).await?;
    Ok(Data::new(OfferedInvitation {
        invitation_id: offer.invitation.to_string(),
        tenant_id: offer.tenant.to_string(),
        tenant_name: offer.tenant_name.to_string(),
        role: offer.role.as_str(),
        expires_at: offer.expires_at,
    }))
}

/// Join the tenant that has invited.
#[utoipa::path(tag = "members", responses((status = 200, body = Data<NewMembership>)))]
#[post("/v1/invitations/accept")]
async fn accept(
    annals: web::Data<Annals>,
    caller: SignedIn,
    body: Json<InvitationToken>,
) -> Result<Data<NewMembership>, Problem> {
    let accepted = invitations::accept(&caller.ctx, &annals.app, &caller.account, &body.value.token).await?;
    let (tenant, member) = accepted.value;
    let membership = NewMembership { tenant_id: tenant.to_string(), member_id: member.to_string() };
    Ok(Data::new(membership).at(accepted.position))
}

/// Say no.
#[utoipa::path(tag = "members", responses((status = 200, body = Data<Declined>)))]
#[post("/v1/invitations/decline")]
async fn decline(
    annals: web::Data<Annals>,
    caller: SignedIn,
    body: Json<InvitationToken>,
) -> Result<Data<Declined>, Problem> {
    let declined = invitations::decline(&caller.ctx, &annals.app, &caller.account, &body.value.token).await?;
    let answer = Declined { tenant_id: declined.value.to_string(), state: "declined" };
    Ok(Data::new(answer).at(declined.position))
}

async fn changed(
    annals: &Annals,
    member: &Member,
    invitation: InvitationId,
    position: u64,
) -> Result<Data<InvitationRow>, Problem> {
    let row = projections::invitations::of_stream(&annals.database, member.ctx.tenant, invitation).await?;
    let sequence = row.sequence;
    Ok(Data::new(row).at(position).sequence(sequence))
}

fn valid_for(days: Option<u32>) -> Result<TimeDelta, Problem> {
    match days.unwrap_or(DEFAULT_DAYS) {
        days @ 1..=30 => Ok(TimeDelta::days(days.into())),
        _ => Err(Problem::field("/expires_in_days", Invalid::new("out_of_range", "must be from 1 to 30"))),
    }
}
