//! Signing in, staying signed in, signing out.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    http::header::SET_COOKIE,
    post, web,
};
use application::{
    app::App,
    once::Commit,
    sessions::{self, SignedIn as Started},
};
use chrono::{DateTime, Utc};
use domain::{sessions::SessionReason, text::Email};
use infrastructure::access_tokens::LIFETIME_SECONDS;
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::{Anybody, SignedIn},
    http::{
        answer::{Data, Done},
        body::{Json, body},
        fields::PresentedPassword,
        problem::Problem,
    },
    limited::{self, SIGN_IN},
    once::Once,
};

/// The cookie that a refresh token lives in.
const COOKIE: &str = "refresh_token";

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(login).service(refresh).service(logout);
}

body! {
    /// Who signs in.
    pub struct Login {
        /// The address.
        pub email: Email,
        /// The password.
        pub password: PresentedPassword,
    }
}

/// What a program shows to act for the user. What continues the session is in a cookie.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// In how many seconds the access token expires.
    expires_in: i64,
}

/// Sign in by address and password. Too many failures lock the account for a while (423).
#[utoipa::path(tag = "auth", security(()), responses((status = 200, body = Data<Tokens>)))]
#[post("/v1/auth/login")]
async fn login(
    once: Once,
    annals: web::Data<Annals>,
    caller: Anybody,
    body: Json<Login>,
) -> Result<HttpResponse, Problem> {
    let (Anybody(ctx), Json { value, text }) = (caller, body);
    let limit = limited::count(&annals, &ctx, SIGN_IN).await?;
    let Login { email, password } = value;
    let run = async |app: &App| sessions::sign_in(&ctx, app, &email, &password.0).await;
    Ok(limit.tell(once.of(&ctx, &text).answer(run, tokens(annals, ctx.now)).await?))
}

/// Continue the session of the cookie. The cookie is replaced; using the old one again, but for a few seconds, ends the
/// session.
#[utoipa::path(tag = "auth", security(()), responses((status = 200, body = Data<Tokens>)))]
#[post("/v1/auth/refresh")]
async fn refresh(
    once: Once,
    annals: web::Data<Annals>,
    caller: Anybody,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let Anybody(ctx) = caller;
    let limit = limited::count(&annals, &ctx, SIGN_IN).await?;
    let cookie =
        request.cookie(COOKIE).ok_or_else(|| application::error::Error::from(SessionReason::Unknown))?;
    let run = async |app: &App| sessions::refresh(&ctx, app, cookie.value()).await;
    // The token stands for who asks: without it, all who send the same key would be the same.
    let request = once.of(&ctx, cookie.value().as_bytes());
    Ok(limit.tell(request.answer(run, tokens(annals, ctx.now)).await?))
}

/// End the session; its access tokens are refused from now on.
#[utoipa::path(tag = "auth", responses((status = 204)))]
#[post("/v1/auth/logout")]
async fn logout(once: Once, caller: SignedIn) -> Result<HttpResponse, Problem> {
    let SignedIn { ctx, session, .. } = caller;
    let run = async |app: &App| sessions::sign_out(&ctx, app, session).await;
    once.of(&ctx, b"").answer(run, |(), commit| Ok(Done { position: commit.position() })).await
}

/// What tells the tokens of a session that was begun or continued at `now`.
fn tokens(
    annals: web::Data<Annals>,
    now: DateTime<Utc>,
) -> impl Fn(&Started, &Commit<'_>) -> Result<Data<Tokens>, Problem> {
    move |session, _| {
        let access_token = annals.access_tokens.issue(session.user, session.session, now)?;
        let cookie = Cookie::build(COOKIE, &session.refresh_token)
            .path("/v1/auth")
            .http_only(true)
            .secure(true)
            .same_site(SameSite::Strict)
            .max_age(Duration::seconds((session.expires_at - now).num_seconds()))
            .finish();
        let tokens = Tokens { access_token, token_type: "Bearer", expires_in: LIFETIME_SECONDS };
        Ok(Data::new(tokens).header(SET_COOKIE, cookie))
    }
}
