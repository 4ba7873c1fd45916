//! Being let into a tenant: checked when a request comes, and again in the commit of what it does. In between lies the
//! time that its body takes to arrive, in which a member may be removed, a key revoked, a tenant frozen.

use chrono::Utc;
use domain::{
    api_keys::ApiKey,
    ctx::{Admission, Ctx, Witness},
    ids::TenantId,
    memberships::Membership,
    sessions::Session,
    tenants::Tenant,
};

use crate::{
    api_keys::invalid_key,
    app::App,
    error::Error,
    expected::Expected,
    journal::StreamRequest,
    loaded::{Loaded, replay},
    tenants::{Intent, frozen},
    work::{Work, stream},
};

/// Lets `admit` look at streams. To read, it sees them as they are now. To write, it sees them first as this process
/// remembers them, because the commit checks again ([`check`]); a refusal is given only on what is there now.
pub(crate) async fn recognize<T, const N: usize>(
    app: &App,
    tenant: TenantId,
    streams: &[StreamRequest; N],
    intent: Intent,
    admit: impl Fn(&mut [Loaded; N]) -> Result<T, Error>,
) -> Result<T, Error> {
    let wrong = |_| Error::internal("as many streams are loaded as were asked for");
    if intent == Intent::Write {
        let remembered = app.journal.recall(tenant, streams).await?;
        if let Ok(admitted) = admit(&mut remembered.try_into().map_err(wrong)?) {
            return Ok(admitted);
        }
    }
    let histories = app.journal.load(tenant, streams).await?;
    let loaded: Vec<Loaded> = histories.into_iter().map(Loaded::from).collect();
    admit(&mut loaded.try_into().map_err(wrong)?)
}

/// The streams that say whether the context's actor is still let in.
pub(crate) fn streams(ctx: &Ctx) -> Vec<StreamRequest> {
    let tenant = stream::<Tenant>(ctx.tenant);
    match ctx.admission {
        Admission::Outside => vec![],
        Admission::Member(member) => vec![tenant, stream::<Membership>(member)],
        Admission::Key { key, .. } => vec![tenant, stream::<ApiKey>(key)],
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
        Admission::Key { key, sequence } => {
            // A key with another secret is another key.
            work.expect::<ApiKey>(key, &Expected::OneOf(vec![sequence])).map_err(|_| invalid_key())?;
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

/// The same context with its session as it is now, if the session still lets its user in. Sessions are in another
/// journal, so a commit can only check that nothing new has happened to one: this is what follows if something has.
pub(crate) async fn with_fresh_witness(ctx: &Ctx, app: &App) -> Result<Ctx, Error> {
    let Some(Witness { session, .. }) = ctx.witness else { return Ok(ctx.clone()) };
    let histories = app.journal.load(TenantId::PLATFORM, &[stream::<Session>(session)]).await?;
    let history = histories.first().ok_or_else(|| Error::internal("one stream was asked for"))?;
    replay::<Session>(history)?.login(Utc::now())?;
    Ok(Ctx { witness: Some(Witness { session, sequence: history.sequence }), ..ctx.clone() })
}
