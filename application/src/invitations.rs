//! Inviting people, and answering an invitation.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    aggregate::RefusalKind,
    ctx::{Actor, Ctx},
    ids::{InvitationId, MemberId, SubscriptionId, TenantId},
    invitations::{Invitation, InvitationCommand, InvitationReason, InvitationSent, Offer},
    memberships::{Membership, MembershipCommand, MembershipReason},
    permission::{Permission, Role},
    subscriptions::{Subscription, SubscriptionCommand},
    tenants::{Tenant, TenantCommand},
    text::{Email, Name},
    users::Account,
};

use crate::{
    app::{App, Written},
    claim::ClaimKind,
    error::Error,
    limits::Policy,
    sessions::actor,
    tenants::{frozen, joined, may_grant},
    tokens::InvitationToken,
    work::{Work, stream},
};

/// Invitations that a tenant sends: strangers get mails at its wish.
const INVITATIONS_OF_TENANT: Policy =
    Policy { name: "invitations-of-tenant", quota: 500, window: Duration::from_secs(3600) };
/// Further mails of one invitation.
const MAILS_OF_INVITATION: Policy =
    Policy { name: "mails-of-invitation", quota: 10, window: Duration::from_secs(3600) };

/// Whom to invite, and to what.
#[derive(Clone, Debug)]
pub struct Invite {
    /// The address.
    pub email: Email,
    /// The role offered.
    pub role: Role,
    /// How long the link is good for.
    pub valid_for: TimeDelta,
}

/// Invites an address. An invitation of it that has expired unanswered is closed on the way.
pub async fn invite(ctx: &Ctx, app: &App, invite: Invite) -> Result<Written<InvitationId>, Error> {
    ctx.require(Permission::MembersInvite)?;
    may_grant(ctx, invite.role)?;
    app.limits.count(INVITATIONS_OF_TENANT, &ctx.tenant.to_string()).await?.require()?;
    let Invite { email, role, valid_for } = invite;
    let id = InvitationId::random();
    let earlier = app.journal.holder(ctx.tenant, ClaimKind::Invitation, email.as_str()).await?;
    let user = app.journal.holder(TenantId::PLATFORM, ClaimKind::Email, email.as_str()).await?;
    let member = user.map(|user| MemberId::of(ctx.tenant, user.into()));
    let mut streams = vec![stream::<Invitation>(id)];
    streams.extend(earlier.map(stream::<Invitation>));
    streams.extend(member.map(stream::<Membership>));
    let inviter = inviter(ctx);
    app.transact(ctx, streams, move |work| {
        if let Some(member) = member
            && work.state::<Membership>(member)?.member().is_some()
        {
            return Err(MembershipReason::AlreadyMember.into());
        }
        if let Some(earlier) = earlier {
            close_expired(work, earlier.into(), &email)?;
        }
        let sent = InvitationSent {
            invitation_id: id,
            email: email.clone(),
            role,
            workspace_ids: vec![],
            invited_by: inviter.clone(),
            expires_at: work.now() + valid_for,
        };
        work.execute::<Invitation>(id, InvitationCommand::Send(sent))?;
        work.claim(ClaimKind::Invitation, email.as_str(), id, pending());
        Ok(id)
    })
    .await
}

/// Closes an invitation whose time is over, so that its address can be invited again; refuses while it is open.
fn close_expired(work: &mut Work, earlier: InvitationId, email: &Email) -> Result<(), Error> {
    match work.execute::<Invitation>(earlier, InvitationCommand::Expire) {
        Err(Error::Refused { code: "invitation_not_expired", .. }) => Err(pending()),
        // Closed meanwhile: its claim is gone already.
        Err(Error::Refused { .. }) => Ok(()),
        expired => {
            work.release(ClaimKind::Invitation, email.as_str(), earlier);
            expired.map(drop)
        }
    }
}

/// Sends another mail with a new link, which makes earlier ones invalid. Who may not offer its role may not renew it.
pub async fn resend(
    ctx: &Ctx,
    app: &App,
    id: InvitationId,
    valid_for: TimeDelta,
) -> Result<Written<()>, Error> {
    ctx.require(Permission::MembersInvite)?;
    app.limits.count(MAILS_OF_INVITATION, &id.to_string()).await?.require()?;
    let actor = ctx.clone();
    app.transact(ctx, [stream::<Invitation>(id)], move |work| {
        may_change(&actor, work, id)?;
        work.execute::<Invitation>(id, InvitationCommand::Resend { valid_for }).map(drop)
    })
    .await
}

/// Withdraws an invitation. Who may not offer its role may not withdraw it.
pub async fn revoke(ctx: &Ctx, app: &App, id: InvitationId) -> Result<Written<()>, Error> {
    ctx.require(Permission::MembersInvite)?;
    let actor = ctx.clone();
    app.transact(ctx, [stream::<Invitation>(id)], move |work| {
        may_change(&actor, work, id)?;
        close(work, id, InvitationCommand::Revoke)
    })
    .await
}

/// Withdraws an invitation because whom it is for is erased; one that is closed stays as it is.
pub(crate) async fn withdraw(ctx: &Ctx, app: &App, id: InvitationId) -> Result<(), Error> {
    let withdrawn = app
        .transact(ctx, [stream::<Invitation>(id)], move |work| match offer(work, id)? {
            Some(_) => close(work, id, InvitationCommand::Revoke),
            None => Ok(()),
        })
        .await;
    withdrawn.map(drop)
}

fn may_change(ctx: &Ctx, work: &mut Work, id: InvitationId) -> Result<(), Error> {
    offer(work, id)?.map_or(Ok(()), |offer| may_grant(ctx, offer.role))
}

/// What an invitation offers, as the invited person sees it.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The inviting tenant.
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: Name,
    /// The invitation.
    pub invitation: InvitationId,
    /// The role offered.
    pub role: Role,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
}

/// Shows an open invitation to the holder of the invited address.
pub async fn preview(
    ctx: &Ctx,
    app: &App,
    account: &Account,
    token: &str,
) -> Result<Written<Preview>, Error> {
    let InvitationToken { tenant, invitation, generation } = open(app, token)?;
    let ctx = Ctx { tenant, actor: actor(account), ..ctx.clone() };
    let account = account.clone();
    app.transact(&ctx, [stream::<Tenant>(tenant), stream::<Invitation>(invitation)], move |work| {
        let state = work.state::<Invitation>(invitation)?;
        let offer = state.open(work.now())?;
        if offer.generation != generation {
            return Err(InvitationReason::Unknown.into());
        }
        if offer.email != verified_address(&account)? {
            return Err(InvitationReason::ForOtherAddress.into());
        }
        let company = work.state::<Tenant>(tenant)?;
        let profile = company.profile().ok_or(InvitationReason::Unknown)?;
        Ok(Preview {
            tenant,
            tenant_name: profile.name.clone(),
            invitation,
            role: offer.role,
            expires_at: offer.expires_at,
        })
    })
    .await
}

/// Joins the tenant: the invitation is closed, the membership begins and a seat is taken, in one commit.
pub async fn accept(
    ctx: &Ctx,
    app: &App,
    account: &Account,
    token: &str,
) -> Result<Written<(TenantId, MemberId)>, Error> {
    let InvitationToken { tenant, invitation, generation } = open(app, token)?;
    let (member, subscription) = (MemberId::of(tenant, account.user_id), SubscriptionId::of(tenant));
    let ctx = Ctx { tenant, actor: actor(account), ..ctx.clone() };
    let streams = [
        stream::<Tenant>(tenant),
        stream::<Invitation>(invitation),
        stream::<Membership>(member),
        stream::<Subscription>(subscription),
    ];
    let account = account.clone();
    app.transact(&ctx, streams, move |work| {
        if work.state::<Tenant>(tenant)?.is_frozen() {
            return Err(frozen());
        }
        let offer = offer(work, invitation)?;
        let (user_id, address) = (account.user_id, verified_address(&account)?);
        close(work, invitation, InvitationCommand::Accept { user_id, address, generation })?;
        // Accepting closed it, so there was an offer.
        let Offer { role, workspace_ids, .. } = offer.ok_or(InvitationReason::Unknown)?;
        let join = MembershipCommand::Join(joined(member, &account, role, workspace_ids));
        work.execute::<Membership>(member, join)?;
        if role == Role::Owner {
            work.execute::<Tenant>(tenant, TenantCommand::GrantOwnership { member_id: member })?;
        }
        work.execute::<Subscription>(subscription, SubscriptionCommand::TakeSeat { member_id: member })?;
        Ok((tenant, member))
    })
    .await
}

/// Says no.
pub async fn decline(
    ctx: &Ctx,
    app: &App,
    account: &Account,
    token: &str,
) -> Result<Written<TenantId>, Error> {
    let InvitationToken { tenant, invitation, generation } = open(app, token)?;
    let ctx = Ctx { tenant, actor: actor(account), ..ctx.clone() };
    let account = account.clone();
    app.transact(&ctx, [stream::<Tenant>(tenant), stream::<Invitation>(invitation)], move |work| {
        if work.state::<Tenant>(tenant)?.is_frozen() {
            return Err(frozen());
        }
        let address = verified_address(&account)?;
        close(work, invitation, InvitationCommand::Decline { address, generation })?;
        Ok(tenant)
    })
    .await
}

/// Carries out a command that closes the invitation, and gives back its claim on the address.
fn close(work: &mut Work, id: InvitationId, command: InvitationCommand) -> Result<(), Error> {
    let offer = offer(work, id)?;
    work.execute::<Invitation>(id, command)?;
    if let Some(offer) = offer {
        work.release(ClaimKind::Invitation, offer.email.as_str(), id);
    }
    Ok(())
}

/// What a pending invitation offers.
fn offer(work: &mut Work, id: InvitationId) -> Result<Option<Offer>, Error> {
    Ok(match &*work.state::<Invitation>(id)? {
        Invitation::Pending(offer) => Some(offer.clone()),
        _ => None,
    })
}

fn open(app: &App, token: &str) -> Result<InvitationToken, Error> {
    app.tokens.open_invitation(token).ok_or_else(|| InvitationReason::Unknown.into())
}

/// Only who has proved an address may answer for it.
fn verified_address(account: &Account) -> Result<Email, Error> {
    if account.verified { Ok(account.email.clone()) } else { Err(InvitationReason::ForOtherAddress.into()) }
}

fn inviter(ctx: &Ctx) -> String {
    match &ctx.actor {
        Actor::User { name, .. } => name.clone(),
        _ => "Annals".to_owned(),
    }
}

fn pending() -> Error {
    Error::refused(RefusalKind::Conflict, "invitation_pending", "the address has been invited already")
}
