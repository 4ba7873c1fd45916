//! Being let into a tenant: checked when a request comes, and again in the commit of what it does. In between lies the
//! time that its body takes to arrive, in which a member may be removed, a key revoked, a tenant frozen.

use chrono::{TimeDelta, Utc};
use domain::{
    api_keys::ApiKey,
    ctx::{Admission, Ctx},
    ids::TenantId,
    memberships::Membership,
    sessions::Session,
    tenants::Tenant,
};

use crate::{
    api_keys::invalid_key,
    app::App,
    error::Error,
    journal::StreamRequest,
    tenants::frozen,
    work::{Work, stream},
};

/// How long a request may be under way before its session is looked at again.
const FRESH: TimeDelta = TimeDelta::seconds(1);

/// The streams that say whether the context's actor is still let in.
pub(crate) fn streams(ctx: &Ctx) -> Vec<StreamRequest> {
    let tenant = stream::<Tenant>(ctx.tenant);
    match ctx.admission {
        Admission::Outside => vec![],
        Admission::Member(member) => vec![tenant, stream::<Membership>(member)],
        Admission::Key(key) => vec![tenant, stream::<ApiKey>(key)],
    }
}

/// Goes on only if the actor is let in with the same permissions as when the request came.
pub(crate) fn check(ctx: &Ctx, work: &mut Work) -> Result<(), Error> {
    let permissions = match ctx.admission {
        Admission::Outside => return Ok(()),
        Admission::Member(member) => {
            let membership = work.state::<Membership>(member)?;
            membership.member().map(|member| member.role.permissions()).ok_or_else(Error::not_found)?
        }
        Admission::Key(key) => {
            let key = work.state::<ApiKey>(key)?;
            key.credential().map(|credential| credential.scopes.clone()).ok_or_else(invalid_key)?
        }
    };
    if work.state::<Tenant>(ctx.tenant)?.is_frozen() {
        return Err(frozen());
    }
    if permissions != ctx.permissions {
        return Err(Error::VersionConflict);
    }
    Ok(())
}

/// Goes on only if the session of a request that has taken long has not ended meanwhile. Sessions are in another journal,
/// so this can't be part of the commit.
pub(crate) async fn check_session(ctx: &Ctx, app: &App) -> Result<(), Error> {
    let now = Utc::now();
    match ctx.origin.session_id {
        Some(session) if now - ctx.now > FRESH => {
            let session: Session = app.load(TenantId::PLATFORM, session).await?;
            session.login(now).map(drop).map_err(Error::from)
        }
        _ => Ok(()),
    }
}
