//! Registering, and proving an address.

use std::time::Duration;

use domain::{
    ctx::Ctx,
    ids::UserId,
    invalid::Invalid,
    text::{Email, Name},
    users::{Account, User, UserCommand, UserReason, UserRegistered},
};
use secrecy::SecretSlice;

use crate::{
    app::App, claim::ClaimKind, error::Error, limits::Policy, passwords::Password, tokens::VerificationToken,
    work::stream,
};

/// The name that a user's password hash is kept under.
pub(crate) const PASSWORD: &str = "password";

/// How many registrations of an unverified address are told apart.
const MOST_REGISTRATIONS: u32 = 5;

/// Mails that one address gets sent at the wish of somebody who has not signed in.
const MAILS_TO_ADDRESS: Policy =
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
pub async fn register(ctx: &Ctx, app: &App, registration: Registration) -> Result<UserId, Error> {
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
) -> Result<UserId, Error> {
    let user_id = UserId::random();
    if let Some(holder) = app.journal.holder(ctx.tenant, ClaimKind::Email, email.as_str()).await? {
        register_again(ctx, app, holder.into(), hash).await?;
        return Ok(user_id);
    }
    app.transact(ctx, &[stream::<User>(user_id)], |work| {
        let registered = UserRegistered { user_id, email: email.clone(), name: name.clone() };
        work.execute::<User>(user_id, UserCommand::Register(registered))?;
        work.keep_secret(user_id, PASSWORD, hash.clone());
        work.claim(ClaimKind::Email, email.as_str(), user_id, Error::VersionConflict);
        Ok(())
    })
    .await?;
    Ok(user_id)
}

/// Notes a further registration. Before the address is verified nobody can tell whose it is, so each registration's
/// password is kept, and verifying takes one of them: who opens the mail's link chooses their own.
async fn register_again(ctx: &Ctx, app: &App, user: UserId, hash: &SecretSlice<u8>) -> Result<(), Error> {
    app.transact(ctx, &[stream::<User>(user)], |work| {
        work.execute::<User>(user, UserCommand::RepeatRegistration)?;
        let account = work.state::<User>(user)?.account().filter(|account| !account.verified);
        let registration = account.map(|account| account.registrations);
        if let Some(registration) = registration.filter(|number| *number <= MOST_REGISTRATIONS) {
            work.keep_secret(user, password_of(registration), hash.clone());
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// Takes the token of a verification mail as proof of the address. If it was registered more than once, `password` says
/// whose registration it was; that password is the account's from then on.
pub async fn verify_email(
    ctx: &Ctx,
    app: &App,
    token: &str,
    password: Option<&Password>,
) -> Result<UserId, Error> {
    let VerificationToken { user, generation } =
        app.tokens.open_verification(token).ok_or(UserReason::LinkOutdated)?;
    let person: User = app.load(ctx.tenant, user).await?;
    let contested = person.account().filter(|account| !account.verified && account.registrations > 1);
    let chosen = match (contested, password) {
        (Some(account), Some(password)) => Some(chosen(app, ctx, account, password).await?),
        _ => None,
    };
    app.transact(ctx, &[stream::<User>(user)], |work| {
        let registration = chosen.as_ref().map(|(registration, _)| *registration);
        work.execute::<User>(user, UserCommand::Verify { generation, registration })?;
        if let Some((_, hash)) = &chosen {
            work.keep_secret(user, PASSWORD, hash.clone());
        }
        Ok(())
    })
    .await?;
    Ok(user)
}

/// The registration whose password this is, and the password's hash.
async fn chosen(
    app: &App,
    ctx: &Ctx,
    account: &Account,
    password: &Password,
) -> Result<(u32, SecretSlice<u8>), Error> {
    for registration in 1..=account.registrations.min(MOST_REGISTRATIONS) {
        let name = password_of(registration);
        let hash = app.journal.secret(ctx.tenant, account.user_id.uuid(), &name).await?;
        if let Some(hash) = hash
            && app.passwords.verify(password, Some(hash.clone())).await?
        {
            return Ok((registration, hash));
        }
    }
    Err(Error::field(
        "/password",
        Invalid::new("wrong_password", "is not one that this address was registered with"),
    ))
}

/// The name that the password of a registration is kept under; the first one's is the account's.
fn password_of(registration: u32) -> String {
    if registration == 1 { PASSWORD.to_owned() } else { format!("{PASSWORD} {registration}") }
}

/// Sends another verification mail, if there is an account with this address that needs one. The caller can't tell.
pub async fn resend_verification(ctx: &Ctx, app: &App, email: &Email) -> Result<(), Error> {
    app.limits.count(MAILS_TO_ADDRESS, email.as_str()).await?.require()?;
    if let Some(holder) = app.journal.holder(ctx.tenant, ClaimKind::Email, email.as_str()).await? {
        app.execute::<User>(ctx, holder, UserCommand::RequestVerification).await?;
    }
    Ok(())
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
