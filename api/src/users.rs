//! Signing up, and who one is.

use actix_web::{HttpResponse, get, post, web};
use application::{
    app::App,
    once::Commit,
    users::{self, Registration},
};
use domain::{
    ids::UserId,
    text::{Email, Name},
    users::Account,
};
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    annals::Annals,
    caller::{Anybody, SignedIn},
    http::{
        answer::Data,
        body::{Json, body},
        fields::NewPassword,
        problem::Problem,
    },
    limited::{self, SIGN_IN, SIGN_UP},
    once::Once,
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(register).service(verify_email).service(resend_verification).service(me);
}

body! {
    /// Who wants an account.
    pub struct Register {
        /// The address to sign in with; upper and lower case are the same.
        pub email: Email,
        /// At least eight characters.
        pub password: NewPassword,
        /// How others see the user.
        pub name: Name,
    }
}

body! {
    /// What a verification mail's link ends in.
    pub struct VerifyEmail {
        /// The token.
        pub token: String,
        /// The account's password from now on; needed only if the address was registered more than once
        /// (`password_needed`), when nobody can tell whose password it has.
        pub password: Option<NewPassword>,
    }
}

body! {
    /// Who needs another verification mail.
    pub struct ResendVerification {
        /// The address that was registered.
        pub email: Email,
    }
}

/// A user.
#[derive(Serialize, utoipa::ToSchema)]
pub struct User {
    /// Which one.
    #[schema(value_type = String)]
    id: UserId,
    /// Their address.
    email: String,
    /// Their name.
    name: String,
    /// Whether they have shown that they read this address's mail.
    email_verified: bool,
    /// Whether they administer the installation.
    administrator: bool,
}

/// Somebody who has registered.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Registered {
    user: User,
}

/// Somebody's address is shown to be theirs.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Verified {
    #[schema(value_type = String)]
    user_id: UserId,
    email_verified: bool,
}

/// It will be done, if there is something to do.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Noted {
    status: &'static str,
}

/// The user and their memberships.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Me {
    user: User,
    memberships: Vec<OwnMembership>,
}

/// A membership of the user's.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OwnMembership {
    /// Which one.
    member_id: String,
    tenant: OwnTenant,
    role: &'static str,
    permissions: Vec<&'static str>,
    joined_at: chrono::DateTime<chrono::Utc>,
}

/// A tenant that the user is a member of.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OwnTenant {
    id: String,
    name: String,
    slug: String,
    /// `active` or `frozen`.
    state: String,
}

impl From<&Account> for User {
    fn from(account: &Account) -> Self {
        Self {
            id: account.user_id,
            email: account.email.to_string(),
            name: account.name.to_string(),
            email_verified: account.verified,
            administrator: account.administrator,
        }
    }
}

/// Sign up. A mail with a link follows; the answer does not tell whether the address had an account before.
#[utoipa::path(tag = "auth", security(()), responses((status = 201, body = Data<Registered>)))]
#[post("/v1/auth/register")]
async fn register(
    once: Once,
    annals: web::Data<Annals>,
    caller: Anybody,
    body: Json<Register>,
) -> Result<HttpResponse, Problem> {
    let (Anybody(ctx), Json { value, text }) = (caller, body);
    let limit = limited::count(&annals, &ctx, SIGN_UP).await?;
    let Register { email, password, name } = value;
    let (address, called) = (email.to_string(), name.to_string());
    let registration = Registration { email, password: password.0, name };
    let run = async |app: &App| users::register(&ctx, app, registration).await;
    let registered = move |id: &UserId, _: &Commit<'_>| {
        let (id, email, name) = (*id, address.clone(), called.clone());
        let user = User { id, email, name, email_verified: false, administrator: false };
        Ok(Data::created(Registered { user }, "/v1/me"))
    };
    Ok(limit.tell(once.of(&ctx, &text).answer(run, registered).await?))
}

/// Show that one reads the address's mail, with the token of the mail.
#[utoipa::path(tag = "auth", security(()), responses((status = 200, body = Data<Verified>)))]
#[post("/v1/auth/verify-email")]
async fn verify_email(
    once: Once,
    annals: web::Data<Annals>,
    caller: Anybody,
    body: Json<VerifyEmail>,
) -> Result<HttpResponse, Problem> {
    let (Anybody(ctx), Json { value, text }) = (caller, body);
    let limit = limited::count(&annals, &ctx, SIGN_IN).await?;
    let VerifyEmail { token, password } = value;
    let password = password.map(|password| password.0);
    let run = async |app: &App| users::verify_email(&ctx, app, &token, password.as_ref()).await;
    let verified =
        |id: &UserId, _: &Commit<'_>| Ok(Data::new(Verified { user_id: *id, email_verified: true }));
    Ok(limit.tell(once.of(&ctx, &text).answer(run, verified).await?))
}

/// Have another verification mail sent, if the address needs one. Links of earlier ones no longer work.
#[utoipa::path(tag = "auth", security(()), responses((status = 202, body = Data<Noted>)))]
#[post("/v1/auth/verify-email/resend")]
async fn resend_verification(
    once: Once,
    annals: web::Data<Annals>,
    caller: Anybody,
    body: Json<ResendVerification>,
) -> Result<HttpResponse, Problem> {
    let (Anybody(ctx), Json { value, text }) = (caller, body);
    let limit = limited::count(&annals, &ctx, SIGN_UP).await?;
    let run = async |app: &App| users::resend_verification(&ctx, app, &value.email).await;
    let noted = |(): &(), _: &Commit<'_>| Ok(Data::accepted(Noted { status: "queued" }));
    Ok(limit.tell(once.of(&ctx, &text).answer(run, noted).await?))
}

/// The user, and the tenants that they are a member of.
#[utoipa::path(tag = "auth", responses((status = 200, body = Data<Me>)))]
#[get("/v1/me")]
async fn me(annals: web::Data<Annals>, caller: SignedIn) -> Result<Data<Me>, Problem> {
    let memberships = memberships(&annals, &caller.account).await?;
    Ok(Data::new(Me { user: User::from(&caller.account), memberships }))
}

async fn memberships(annals: &Annals, account: &Account) -> Result<Vec<OwnMembership>, Problem> {
    let own = projections::members::of_user(&annals.database, account.user_id).await?;
    let ids: Vec<_> = own.iter().map(|membership| membership.tenant_id).collect();
    let tenants = projections::tenants::of_ids(&annals.database, &ids).await?;
    let membership = |own: projections::members::OwnMembership| {
        let tenant = tenants.iter().find(|tenant| tenant.id == own.tenant_id)?;
        Some(OwnMembership {
            member_id: own.member_id.to_string(),
            tenant: OwnTenant {
                id: tenant.id.to_string(),
                name: tenant.name.clone(),
                slug: tenant.slug.clone(),
                state: tenant.state.clone(),
            },
            role: own.role.as_str(),
            permissions: own.role.permissions().iter().map(|permission| permission.as_str()).collect(),
            joined_at: own.joined_at,
        })
    };
    Ok(own.into_iter().filter_map(membership).collect())
}
