//! Forgetting a person: what was recorded about them can't be read any more, in any journal, and nothing of it changes.
//!
//! It is asked for in one commit, from which on they are nobody here. What they have in tenants is ended after that, step
//! by step; each can be repeated. The last commit destroys their keys, which takes effect everywhere at once.

use domain::{
    aggregate::RefusalKind,
    ctx::Ctx,
    ids::{InvitationId, MemberId, SessionId, TenantId, UserId},
    memberships::MembershipCommand,
    sessions::{Session, SessionCommand, SessionEnd},
    tenants::Tenant,
    text::Email,
    users::{Account, User, UserCommand},
};

use crate::{
    app::{App, Written},
    claim::ClaimKind,
    error::Error,
    invitations, members,
    passwords::Password,
    sessions::{TRIES_AT_ACCOUNT, require_try},
    users::{MAILS_TO_ADDRESS, PASSWORD},
    work::stream,
};

/// Erases the account of the caller, who shows by their password that it is they. `tenants` are those that they are a
/// member of.
pub async fn request_own(
    ctx: &Ctx,
    app: &App,
    account: &Account,
    password: &Password,
    tenants: &[TenantId],
) -> Result<Written<()>, Error> {
    require_try(app, &account.email).await?;
    let hash = app.journal.secret(TenantId::PLATFORM, account.user_id.uuid(), PASSWORD).await?;
    if !app.passwords.verify(password, hash).await? {
        return Err(Error::refused(RefusalKind::Forbidden, "wrong_password", "the password is wrong"));
    }
    request(ctx, app, account.user_id, tenants, None).await
}

/// Erases a user. For the platform's administrators: the caller has checked that this is one.
///
/// # Errors
/// 409 `last_owner`, if tenants would be left without an owner.
pub async fn request(
    ctx: &Ctx,
    app: &App,
    user: UserId,
    tenants: &[TenantId],
    reason: Option<String>,
) -> Result<Written<()>, Error> {
    require_other_owners(app, user, tenants).await?;
    app.execute::<User>(&ctx.on_platform(), user, UserCommand::RequestErasure { reason }).await
}

async fn require_other_owners(app: &App, user: UserId, tenants: &[TenantId]) -> Result<(), Error> {
    let mut orphans = Vec::new();
    for tenant in tenants {
        let company: Tenant = app.load(*tenant, *tenant).await?;
        let member = MemberId::of(*tenant, user);
        if company.profile().is_some_and(|profile| profile.is_last_owner(member)) {
            orphans.push(tenant.to_string());
        }
    }
    if orphans.is_empty() {
        return Ok(());
    }
    let detail = format!("these tenants need another owner first: {}", orphans.join(", "));
    Err(Error::refused(RefusalKind::Conflict, "last_owner", detail))
}

/// What is still known of a user who is being erased; `None`: nothing is left to be done.
pub async fn under_way(app: &App, user: UserId) -> Result<Option<Account>, Error> {
    let user: User = app.load(TenantId::PLATFORM, user).await?;
    Ok(user.erasing().cloned())
}

/// Ends the user's membership of the context's tenant.
pub async fn end_membership(ctx: &Ctx, app: &App, user: UserId) -> Result<(), Error> {
    let member = MemberId::of(ctx.tenant, user);
    members::end(ctx, app, member, MembershipCommand::Erase, |_| Ok(())).await.map(drop)
}

/// Withdraws the open invitations of an address, in all tenants.
pub async fn withdraw_invitations(ctx: &Ctx, app: &App, address: &Email) -> Result<(), Error> {
    for (tenant, id) in app.journal.holders(ClaimKind::Invitation, address.as_str()).await? {
        let ctx = Ctx { tenant, ..ctx.clone() };
        invitations::withdraw(&ctx, app, InvitationId::from(id)).await?;
    }
    Ok(())
}

/// Ends a session of the user's.
pub async fn end_session(ctx: &Ctx, app: &App, session: SessionId) -> Result<(), Error> {
    let end = SessionCommand::End { cause: SessionEnd::LoggedOutEverywhere };
    app.execute::<Session>(&ctx.on_platform(), session, end).await.map(drop)
}

/// Destroys the user's keys and gives back their address. What was recorded about a verified address that nobody had
/// registered yet goes too.
pub async fn complete(ctx: &Ctx, app: &App, user: UserId) -> Result<(), Error> {
    let erased = app
        .transact(&ctx.on_platform(), [stream::<User>(user)], move |work| {
            let Some(account) = work.state::<User>(user)?.erasing().cloned() else { return Ok(None) };
            work.execute::<User>(user, UserCommand::CompleteErasure)?;
            work.release(ClaimKind::Email, account.email.as_str(), user);
            work.erase(user, account.verified.then(|| account.email.clone()));
            Ok(Some(account.email))
        })
        .await?;
    if let Some(address) = erased.value {
        app.limits.forget(TRIES_AT_ACCOUNT, address.as_str()).await?;
        app.limits.forget(MAILS_TO_ADDRESS, address.as_str()).await?;
    }
    Ok(())
}
