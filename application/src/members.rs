//! Members of a tenant: their roles, and leaving.

use domain::{
    ctx::{Actor, Ctx},
    ids::{MemberId, SubscriptionId},
    memberships::{Membership, MembershipCommand, MembershipReason},
    permission::{Permission, Role},
    subscriptions::{Subscription, SubscriptionCommand},
    tenants::{Tenant, TenantCommand},
};

use crate::{
    app::{App, Written},
    error::Error,
    expected::Expected,
    tenants::may_grant,
    work::{Work, stream},
};

/// Gives a member another role. Nobody can give more than they have, nor change somebody who has more.
pub async fn change_role(
    ctx: &Ctx,
    app: &App,
    member: MemberId,
    role: Role,
    expected: &Expected,
) -> Result<Written<()>, Error> {
    ctx.require(Permission::MembersManage)?;
    may_grant(ctx, role)?;
    let (tenant, actor, expected) = (ctx.tenant, ctx.clone(), expected.clone());
    app.transact(ctx, [stream::<Tenant>(tenant), stream::<Membership>(member)], move |work| {
        work.expect::<Membership>(member, &expected)?;
        may_grant(&actor, role_of(work, member)?)?;
        work.execute::<Membership>(member, MembershipCommand::ChangeRole { role })?;
        let ownership = match role {
            Role::Owner => TenantCommand::GrantOwnership { member_id: member },
            Role::Admin | Role::Member | Role::Auditor => TenantCommand::EndOwnership { member_id: member },
        };
        work.execute::<Tenant>(tenant, ownership).map(drop)
    })
    .await
}

/// Removes a member. Nobody can remove somebody who has more permissions.
pub async fn remove(ctx: &Ctx, app: &App, member: MemberId) -> Result<Written<()>, Error> {
    ctx.require(Permission::MembersManage)?;
    let actor = ctx.clone();
    end(ctx, app, member, MembershipCommand::Remove, move |work| {
        match work.state::<Membership>(member)?.member() {
            Some(other) => may_grant(&actor, other.role),
            None => Ok(()),
        }
    })
    .await
}

/// Leaves the tenant.
pub async fn leave(ctx: &Ctx, app: &App) -> Result<Written<()>, Error> {
    let Actor::User { id, .. } = ctx.actor else { return Err(MembershipReason::Unknown.into()) };
    end(ctx, app, MemberId::of(ctx.tenant, id), MembershipCommand::Leave, |_| Ok(())).await
}

/// Ends a membership and gives back its seat; the last owner can't go.
pub(crate) async fn end(
    ctx: &Ctx,
    app: &App,
    member: MemberId,
    command: MembershipCommand,
    allowed: impl Fn(&mut Work) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<Written<()>, Error> {
    let (tenant, subscription) = (ctx.tenant, SubscriptionId::of(ctx.tenant));
    let streams =
        [stream::<Tenant>(tenant), stream::<Membership>(member), stream::<Subscription>(subscription)];
    app.transact(ctx, streams, move |work| {
        allowed(work)?;
        work.execute::<Membership>(member, command.clone())?;
        work.execute::<Tenant>(tenant, TenantCommand::EndOwnership { member_id: member })?;
        work.execute::<Subscription>(subscription, SubscriptionCommand::ReleaseSeat { member_id: member })
            .map(drop)
    })
    .await
}

fn role_of(work: &mut Work, member: MemberId) -> Result<Role, Error> {
    let membership = work.state::<Membership>(member)?;
    membership.member().map(|member| member.role).ok_or_else(|| MembershipReason::Unknown.into())
}
