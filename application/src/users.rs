//! Registering, and proving an address.

use std::time::Duration;

use domain::{
    ctx::Ctx,
    ids::UserId,
    text::{Email, Name},
    users::{Account, User, UserCommand, UserReason, UserRegistered, VerifiedPassword},
};
use secrecy::SecretSlice;

use crate::{
    app::{App, Written},
    claim::ClaimKind,
    error::Error,
    limits::Policy,
    passwords::Password,
    tokens::VerificationToken,
    work::{Work, stream},
};

/// The name that a user's password hash is kept under.
pub(crate) const PASSWORD: &str = "password";

/// Mails that one address gets sent at the wish of somebody who has not signed in.
pub(crate) const MAILS_TO_ADDRESS: Policy =
    Policy { name: "mails-to-address", quota: 5, window: Duration::from_secs(3600) };

/// A person who wants an account.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Their address.
    pub email: Email,
    /// The password that they choose.
    pub password: Password,
    /// Their name.
    pub name: Name,
}

/// Registers a user. An address that has an account already gets a mail that says so, and the caller can't tell: the
/// answer is an id either way, and takes as long.
pub async fn register(ctx: &Ctx, app: &App, registration: Registration) -> Result<Written<UserId>, Error> {
    let Registration { email, password, name } = registration;
    app.limits.count(MAILS_TO_ADDRESS, email.as_str()).await?.require()?;
    let hash = app.passwords.hash(&password).await?;
    match try_register(ctx, app, &email, &name, &hash).await {
        // Taken meanwhile: now it has an account, and its owner gets the mail.
        Err(Error::VersionConflict) => try_register(ctx, app, &email, &name, &hash).await,
        registered => registered,
    }
}

async fn try_register(
    ctx: &Ctx,
    app: &App,
    email: &Email,
    name: &Name,
    hash: &SecretSlice<u8>,
) -> Result<Written<UserId>, Error> {
    let user_id = UserId::random();
    if let Some(holder) = app.journal.holder(ctx.tenant, ClaimKind::Email, email.as_str()).await? {
        let repeated = move |work: &mut Work| {
            work.execute::<User>(holder, UserCommand::RepeatRegistration)?;
            Ok(user_id)
        };
        return app.transact(ctx, [stream::<User>(holder)], repeated).await;
    }
    let (email, name, hash) = (email.clone(), name.clone(), hash.clone());
    app.transact(ctx, [stream::<User>(user_id)], move |work| {
        let registered = UserRegistered { user_id, email: email.clone(), name: name.clone() };
        work.execute::<User>(user_id, UserCommand::Register(registered))?;
        work.keep_secret(user_id, PASSWORD, hash.clone());
        work.claim(ClaimKind::Email, email.as_str(), user_id, Error::VersionConflict);
        Ok(user_id)
    })
    .await
}

/// Takes the token of a verification mail as proof of the address. If the address was registered more than once, nobody
/// can tell whose password the account has: then who opens the mail's link chooses it, so that nobody can prepare an
/// account for somebody else.
pub async fn verify_email(
    ctx: &Ctx,
    app: &App,
    token: &str,
    password: Option<&Password>,
) -> Result<Written<UserId>, Error> {
    let VerificationToken { user, generation } =
        app.tokens.open_verification(token).ok_or(UserReason::LinkOutdated)?;
    let chosen = match password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    app.transact(ctx, [stream::<User>(user)], move |work| {
        let password = if chosen.is_some() { VerifiedPassword::Chosen } else { VerifiedPassword::Unchanged };
        let verified = work.execute::<User>(user, UserCommand::Verify { generation, password })?;
        // A token that has served its purpose must not set another password.
        if let (Some(hash), false) = (&chosen, verified.is_empty()) {
            work.keep_secret(user, PASSWORD, hash.clone());
        }
        Ok(user)
    })
    .await
}

/// Sends another verification mail, if there is an account with this address that needs one. The caller can't tell.
pub async fn resend_verification(ctx: &Ctx, app: &App, email: &Email) -> Result<Written<()>, Error> {
    app.limits.count(MAILS_TO_ADDRESS, email.as_str()).await?.require()?;
    let holder = app.journal.holder(ctx.tenant, ClaimKind::Email, email.as_str()).await?;
    app.transact(ctx, holder.map(stream::<User>), move |work| match holder {
        Some(holder) => work.execute::<User>(holder, UserCommand::RequestVerification).map(drop),
        None => Ok(()),
    })
    .await
}

/// Makes the account with this address an administrator of the installation. For the operator's command line: who may
/// run it may do anything.
pub async fn grant_administrator(ctx: &Ctx, app: &App, email: &Email) -> Result<UserId, Error> {
    let holder = app.journal.holder(ctx.tenant, ClaimKind::Email, email.as_str()).await?;
    let holder = holder.ok_or(UserReason::Unknown)?;
    app.execute::<User>(ctx, holder, UserCommand::GrantAdministrator).await?;
    Ok(holder.into())
}

/// A user's account.
pub async fn account(ctx: &Ctx, app: &App, user: UserId) -> Result<Account, Error> {
    let user: User = app.load(ctx.on_platform().tenant, user).await?;
    user.account().cloned().ok_or_else(|| UserReason::Unknown.into())
}
