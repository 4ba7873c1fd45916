//! Signing in, staying signed in, signing out.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    aggregate::RefusalKind,
    ctx::{Actor, Ctx, Witness},
    ids::{SessionId, TenantId, UserId},
    sessions::{
        Login, REFRESH_LIFETIME_DAYS, Session, SessionCommand, SessionEnd, SessionReason, SessionStarted,
    },
    text::Email,
    users::{Account, SignInRefusal, User, UserCommand},
};

use crate::{
    admission::recognize, app::App, claim::ClaimKind, error::Error, limits::Policy, passwords::Password,
    tenants::Intent, tokens::RefreshToken, users::PASSWORD, work::stream,
};

/// Tries at one account's password, whether there is such an account or not.
pub(crate) const TRIES_AT_ACCOUNT: Policy =
    Policy { name: "sign-in-account", quota: 10, window: Duration::from_secs(900) };

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub account: Account,
    /// In which session.
    pub session: SessionId,
    /// What continues the session.
    pub refresh_token: String,
    /// Until when it does.
    pub expires_at: DateTime<Utc>,
}

/// Signs in by password. Unknown address and wrong password answer the same and take as long.
pub async fn sign_in(ctx: &Ctx, app: &App, email: &Email, password: &Password) -> Result<SignedIn, Error> {
    // Counted before anything is hashed: a locked account costs its attacker more than us.
    require_try(app, email).await?;
    let holder = app.journal.holder(ctx.tenant, ClaimKind::Email, email.as_str()).await?;
    let hash = match holder {
        Some(user) => app.journal.secret(ctx.tenant, user, PASSWORD).await?,
        None => None,
    };
    let right = app.passwords.verify(password, hash).await?;
    let user: Option<User> = match holder {
        Some(user) => Some(app.load(ctx.tenant, user).await?),
        None => None,
    };
    let Some(account) = user.as_ref().and_then(User::account) else { return Err(wrong_credentials()) };
    let refuse =
        async |cause| app.execute::<User>(ctx, account.user_id, UserCommand::RefuseSignIn { cause }).await;
    if !right {
        refuse(SignInRefusal::WrongPassword).await?;
        return Err(wrong_credentials());
    }
    if !account.verified {
        refuse(SignInRefusal::NotVerified).await?;
        let detail = "confirm your e-mail address first; the link is in your mail";
        return Err(Error::refused(RefusalKind::Forbidden, "email_not_verified", detail));
    }
    app.limits.forget(TRIES_AT_ACCOUNT, email.as_str()).await?;
    start(ctx, app, account).await
}

/// Counts a try at an account's password, and goes on only if there are not too many.
pub(crate) async fn require_try(app: &App, email: &Email) -> Result<(), Error> {
    let tries = app.limits.count(TRIES_AT_ACCOUNT, email.as_str()).await?;
    if tries.allowed {
        return Ok(());
    }
    Err(Error::refused(RefusalKind::Locked, "account_locked", "too many failed attempts; try again later"))
}

async fn start(ctx: &Ctx, app: &App, account: &Account) -> Result<SignedIn, Error> {
    let session_id = SessionId::random();
    let expires_at = ctx.now + TimeDelta::days(REFRESH_LIFETIME_DAYS);
    let started = SessionStarted { session_id, user_id: account.user_id, started_at: ctx.now, expires_at };
    let ctx = Ctx { actor: actor(account), ..ctx.clone() };
    app.begin::<Session>(&ctx, session_id, SessionCommand::Start(started)).await?;
    let refresh_token = app.tokens.refresh(RefreshToken { session: session_id, generation: 1 });
    Ok(SignedIn { account: account.clone(), session: session_id, refresh_token, expires_at })
}

/// Continues a session: the token's successor, and who is signed in.
pub async fn refresh(ctx: &Ctx, app: &App, token: &str) -> Result<SignedIn, Error> {
    let RefreshToken { session, generation } =
        app.tokens.open_refresh(token).ok_or(SessionReason::Unknown)?;
    let login = app
        .transact(ctx, [stream::<Session>(session)], move |work| {
            work.execute::<Session>(session, SessionCommand::Refresh { generation })?;
            // A reused token has ended the session: that is committed, and only then refused.
            let now = work.now();
            Ok(work.state::<Session>(session)?.login(now).cloned())
        })
        .await?
        .value?;
    // Who is being erased has sessions a moment longer than an account.
    let account = crate::users::account(ctx, app, login.user_id).await.map_err(|_| SessionReason::Ended)?;
    let refresh_token = app.tokens.refresh(RefreshToken { session, generation: login.generation });
    Ok(SignedIn { account, session, refresh_token, expires_at: login.expires_at })
}

/// Ends a session; its access tokens are refused from now on. A session that is over is left as it is.
pub async fn sign_out(ctx: &Ctx, app: &App, session: SessionId) -> Result<(), Error> {
    let end = SessionCommand::End { cause: SessionEnd::LoggedOut };
    match app.execute::<Session>(ctx, session, end).await {
        Err(Error::Refused { kind: RefusalKind::Unauthenticated, .. }) => Ok(()),
        ended => ended.map(drop),
    }
}

/// Ends the session of a refresh token; a worthless token changes nothing.
pub async fn sign_out_by_token(ctx: &Ctx, app: &App, token: &str) -> Result<(), Error> {
    match app.tokens.open_refresh(token) {
        Some(token) => sign_out(ctx, app, token.session).await,
        None => Ok(()),
    }
}

/// Who an access token speaks for: it was issued to `user` in `session`, which must not have ended since. To write,
/// that is checked again in the commit, by the witness.
pub async fn authenticate(
    app: &App,
    user: UserId,
    session: SessionId,
    now: DateTime<Utc>,
    intent: Intent,
) -> Result<(Account, Witness), Error> {
    let streams = [stream::<Session>(session), stream::<User>(user)];
    recognize(app, TenantId::PLATFORM, &streams, intent, |[signed_in, person]| {
        let witness = Witness { session, sequence: signed_in.sequence() };
        let signed_in: Arc<Session> = signed_in.aggregate()?;
        let login: &Login = signed_in.login(now)?;
        match person.aggregate::<User>()?.account() {
            Some(account) if login.user_id == user => Ok((account.clone(), witness)),
            _ => Err(SessionReason::Unknown.into()),
        }
    })
    .await
}

/// The account as the actor of what it does.
pub fn actor(account: &Account) -> Actor {
    Actor::User { id: account.user_id, name: account.name.to_string() }
}

fn wrong_credentials() -> Error {
    Error::refused(
        RefusalKind::Unauthenticated,
        "invalid_credentials",
        "the e-mail address or the password is wrong",
    )
}
