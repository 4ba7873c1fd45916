//! Forgetting people.

use actix_web::{HttpResponse, post, web};
use application::{app::App, erasure, once::Commit};
use domain::{
    ids::{TenantId, UserId},
    text::Name,
};
use projections::reactions::erasure::job_id;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    administration::QueuedJob,
    annals::Annals,
    caller::{Administrator, SignedIn},
    http::{
        answer::Data,
        body::{Json, body},
        fields::PresentedPassword,
        path::Ids,
        problem::Problem,
    },
    once::Once,
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(erase_me).service(erase_user);
}

body! {
    /// Who is to be erased.
    pub struct OwnErasure {
        /// Their password: whoever finds an open session must not end an account.
        pub password: PresentedPassword,
    }
}

body! {
    /// Why a user is to be erased.
    pub struct UserErasure {
        /// The reason. It is kept for good, so it must not name the person.
        pub reason: Name,
    }
}

/// Erase the account, for good: nobody can sign in to it from now on, its memberships and invitations end, and what was
/// recorded about the person becomes unreadable everywhere. The last owner of a tenant finds it another one first (409
/// `last_owner`).
#[utoipa::path(tag = "auth", responses((status = 202, body = Data<QueuedJob>)))]
#[post("/v1/me/erase")]
async fn erase_me(
    annals: web::Data<Annals>,
    once: Once,
    caller: SignedIn,
    body: Json<OwnErasure>,
) -> Result<HttpResponse, Problem> {
    let (SignedIn { ctx, account, .. }, Json { value, text }) = (caller, body);
    let tenants = tenants_of(&annals, account.user_id).await?;
    let (user, password) = (account.user_id, &value.password.0);
    let run = async |app: &App| erasure::request_own(&ctx, app, &account, password, &tenants).await;
    once.of(&ctx, &text).answer(run, move |(): &(), _: &Commit<'_>| Ok(queued(user))).await
}

/// Erase a user, as if they had asked for it themselves.
#[utoipa::path(tag = "admin", responses((status = 202, body = Data<QueuedJob>)))]
#[post("/v1/admin/users/{user}/erase")]
async fn erase_user(
    annals: web::Data<Annals>,
    once: Once,
    caller: Administrator,
    ids: Ids<UserId>,
    body: Json<UserErasure>,
) -> Result<HttpResponse, Problem> {
    let (Ids(user), Json { value, text }) = (ids, body);
    let tenants = tenants_of(&annals, user).await?;
    let ctx = &caller.ctx;
    let reason = Some(value.reason.to_string());
    let run = async |app: &App| erasure::request(ctx, app, user, &tenants, reason.clone()).await;
    once.of(ctx, &text).answer(run, move |(): &(), _: &Commit<'_>| Ok(queued(user))).await
}

async fn tenants_of(annals: &Annals, user: UserId) -> Result<Vec<TenantId>, Problem> {
    let memberships = projections::members::of_user(&annals.database, user).await?;
    Ok(memberships.into_iter().map(|membership| membership.tenant_id).collect())
}

fn queued(user: UserId) -> Data<QueuedJob> {
    Data::accepted(QueuedJob::of(job_id(user)))
}
