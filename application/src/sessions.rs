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
    admission::recognize,
    app::{App, Written},
    claim::ClaimKind,
    error::Error,
    limits::Policy,
    passwords::Password,
    tenants::Intent,
    tokens::RefreshToken,
    users::PASSWORD,
    work::stream,
};

/// Tries at one account's password, whether there is such an account or not.
pub(crate) const TRIES_AT_ACCOUNT: Policy =
    Policy { name: "sign-in-account", quota: 10, window: Duration::from_secs(900) };

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// What continues the session.
    pub refresh_token: String,
    /// Until when it does.
    pub expires_at: DateTime<Utc>,
}

/// Signs in by password. Unknown address and wrong password answer the same and take as long.
pub async fn sign_in(
    ctx: &Ctx,
    app: &App,
    email: &Email,
    password: &Password,
) -> Result<Written<SignedIn>, Error> {
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

async fn start(ctx: &Ctx, app: &App, account: &Account) -> Result<Written<SignedIn>, Error> {
    let (user, session_id) = (account.user_id, SessionId::random());
    let expires_at = ctx.now + TimeDelta::days(REFRESH_LIFETIME_DAYS);
    let started = SessionStarted { session_id, user_id: user, started_at: ctx.now, expires_at };
    let ctx = Ctx { actor: actor(account), ..ctx.clone() };
    let refresh_token = app.tokens.refresh(RefreshToken { session: session_id, generation: 1 });
    let signed_in = SignedIn { user, session: session_id, refresh_token, expires_at };
    app.begin::<Session, _>(&ctx, session_id, SessionCommand::Start(started), signed_in).await
}

/// Continues a session: the token's successor, and who is signed in.
pub async fn refresh(ctx: &Ctx, app: &App, token: &str) -> Result<Written<SignedIn>, Error> {
    let RefreshToken { session, generation } =
        app.tokens.open_refresh(token).ok_or(SessionReason::Unknown)?;
    let tokens = Arc::clone(&app.tokens);
    app.transact_or_refuse(ctx, [stream::<Session>(session)], move |work| {
        work.execute::<Session>(session, SessionCommand::Refresh { generation })?;
        // A reused token has ended the session: that is committed, and only then refused.
        let (now, state) = (work.now(), work.state::<Session>(session)?);
        let continued = |login: &Login| SignedIn {
            user: login.user_id,
            session,
            refresh_token: tokens.refresh(RefreshToken { session, generation: login.generation }),
            expires_at: login.expires_at,
        };
        Ok(state.login(now).map(continued).map_err(Error::from))
    })
    .await
}

/// Ends a session; its access tokens are refused from now on. A session that is over is left as it is.
pub async fn sign_out(ctx: &Ctx, app: &App, session: SessionId) -> Result<Written<()>, Error> {
    app.transact(ctx, [stream::<Session>(session)], move |work| {
        let end = SessionCommand::End { cause: SessionEnd::LoggedOut };
        match work.execute::<Session>(session, end) {
            Err(Error::Refused { kind: RefusalKind::Unauthenticated, .. }) => Ok(()),
            ended => ended.map(drop),
        }
    })
    .await
}

/// Ends the session of a refresh token; a worthless token changes nothing.
pub async fn sign_out_by_token(ctx: &Ctx, app: &App, token: &str) -> Result<(), Error> {
    match app.tokens.open_refresh(token) {
        Some(token) => sign_out(ctx, app, token.session).await.map(drop),
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
