//! Who calls: the extractors that stand in a handler's signature and say what it takes to get in.
//!
//! Everything is read anew for each request, so that signing out, a new role, a removal, a revoked key or a freeze takes
//! effect with the next one.

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{
        Method,
        header::{AUTHORIZATION, USER_AGENT},
    },
    web::Data,
};
use application::{
    api_keys::{self, KeyBearer},
    sessions,
    tenants::{self, Intent},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SubsecRound, Utc};
use domain::{
    aggregate::RefusalKind,
    ctx::{Actor, Admission, Ctx, Origin},
    ids::{SessionId, TenantId},
    permission::Permissions,
    users::Account,
};
use futures_util::future::LocalBoxFuture;

use crate::{
    annals::Annals,
    http::{problem::Problem, request_id::RequestId, request_span::record_tenant},
};

/// Anybody: the context of a request whose sender has not shown who they are, on the platform.
pub struct Anybody(pub Ctx);

/// A person who has signed in.
pub struct SignedIn {
    /// On the platform.
    pub ctx: Ctx,
    /// Who.
    pub account: Account,
    /// In which session.
    pub session: SessionId,
}

/// A member of the tenant in the path, with their permissions. To others the tenant does not exist (404); a frozen tenant
/// is closed (423) to everybody but owners who only look.
pub struct Member {
    /// In the tenant.
    pub ctx: Ctx,
}

/// A program with an API key, as `Authorization: Basic base64(key:)` or `Bearer ak_…`.
pub struct Program(pub KeyBearer);

/// An administrator of the installation.
pub struct Administrator {
    /// On the platform.
    pub ctx: Ctx,
}

impl Administrator {
    /// The administrator's context in a tenant.
    pub fn of_tenant(&self, tenant: TenantId) -> Ctx {
        Ctx { tenant, ..self.ctx.clone() }
    }
}

/// Makes an extractor of an asynchronous function of the request.
macro_rules! extract {
    ($($caller:ident = $function:path;)*) => {$(
        impl FromRequest for $caller {
            type Error = Problem;
            type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let request = request.clone();
                Box::pin(async move { $function(&request).await })
            }
        }
    )*};
}

extract! {
    Anybody = anybody;
    SignedIn = signed_in;
    Member = member;
    Program = program;
    Administrator = administrator;
}

async fn anybody(request: &HttpRequest) -> Result<Anybody, Problem> {
    Ok(Anybody(ctx(request)))
}

async fn signed_in(request: &HttpRequest) -> Result<SignedIn, Problem> {
    recognized(request, intent(request)).await
}

/// A person who has signed in and wants to do this.
async fn recognized(request: &HttpRequest, intent: Intent) -> Result<SignedIn, Problem> {
    let annals = annals(request)?;
    let token = bearer(request)
        .ok_or_else(|| unauthenticated("this takes an access token: Authorization: Bearer …"))?;
    if token.starts_with("ak_") {
        return Err(unauthenticated("this takes an access token of a person, not an API key"));
    }
    let claims =
        annals.access_tokens.open(token).ok_or_else(|| unauthenticated("the access token is not valid"))?;
    let mut ctx = ctx(request);
    let (account, witness) =
        sessions::authenticate(&annals.app, claims.sub, claims.sid, ctx.now, intent).await?;
    ctx.witness = Some(witness);
    ctx.actor = sessions::actor(&account);
    ctx.origin.session_id = Some(claims.sid);
    Ok(SignedIn { ctx, account, session: claims.sid })
}

async fn member(request: &HttpRequest) -> Result<Member, Problem> {
    let SignedIn { ctx, account, .. } = signed_in(request).await?;
    let tenant: TenantId = request.match_info().query("tenant").parse().map_err(|_| Problem::not_found())?;
    let ctx = tenants::enter(&ctx, &annals(request)?.app, &account, tenant, intent(request)).await?;
    record_tenant(request, tenant);
    Ok(Member { ctx })
}

async fn program(request: &HttpRequest) -> Result<Program, Problem> {
    let key = basic_user(request).or_else(|| bearer(request).map(str::to_owned));
    let key =
        key.ok_or_else(|| unauthenticated("this takes an API key: Authorization: Basic base64(key:)"))?;
    let bearer = api_keys::authenticate(&ctx(request), &annals(request)?.app, &key).await?;
    record_tenant(request, bearer.ctx.tenant);
    Ok(Program(bearer))
}

async fn administrator(request: &HttpRequest) -> Result<Administrator, Problem> {
    // No commit checks again whether this is one, so it must be so now.
    let SignedIn { ctx, account, .. } = recognized(request, Intent::Read).await?;
    if !account.administrator {
        let detail = "this is for administrators of the installation";
        let refused =
            application::error::Error::refused(RefusalKind::Forbidden, "not_an_administrator", detail);
        return Err(refused.into());
    }
    Ok(Administrator { ctx })
}

fn intent(request: &HttpRequest) -> Intent {
    if matches!(*request.method(), Method::GET | Method::HEAD) { Intent::Read } else { Intent::Write }
}

/// The context of the request, before anybody is recognized.
fn ctx(request: &HttpRequest) -> Ctx {
    let known = request.extensions().get::<RequestId>().cloned();
    let request_id = known.unwrap_or_else(|| RequestId::of(request.headers()));
    let user_agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let origin = Origin {
        request_id: request_id.to_string(),
        ip: request.peer_addr().map(|address| address.ip()),
        user_agent: user_agent.map(|agent| agent.chars().take(255).collect()),
        session_id: None,
    };
    let (tenant, permissions) = (TenantId::PLATFORM, Permissions::default());
    let admission = Admission::Outside;
    let (actor, witness) = (Actor::Anonymous, None);
    Ctx { tenant, actor, permissions, admission, witness, origin, now: now() }
}

/// To the microsecond, as PostgreSQL keeps it.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

fn annals(request: &HttpRequest) -> Result<&Data<Annals>, Problem> {
    request.app_data::<Data<Annals>>().ok_or_else(|| Problem::internal("the app has no data"))
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    credentials(request, "bearer")
}

/// The user name of Basic credentials (RFC 7617), where Segment's libraries put the write key.
fn basic_user(request: &HttpRequest) -> Option<String> {
    let decoded = STANDARD.decode(credentials(request, "basic")?).ok()?;
    let (user, _password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(user.to_owned())
}

/// The credentials of a scheme, whose name is case-insensitive (RFC 9110, section 11.1).
fn credentials<'r>(request: &'r HttpRequest, scheme: &str) -> Option<&'r str> {
    let (given, credentials) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

fn unauthenticated(detail: &str) -> Problem {
    application::error::Error::refused(RefusalKind::Unauthenticated, "unauthenticated", detail).into()
}
