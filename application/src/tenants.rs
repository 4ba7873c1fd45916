//! Founding a tenant, changing it, and entering it.

use std::sync::Arc;

use domain::{
    aggregate::RefusalKind,
    ctx::{Admission, Ctx, Forbidden},
    ids::{MemberId, ProjectId, SubscriptionId, TenantId, WorkspaceId},
    memberships::{MemberJoined, Membership, MembershipCommand},
    permission::{Permission, Role},
    plan::Plan,
    projects::{Project, ProjectCommand, ProjectCreated},
    subscriptions::{Subscription, SubscriptionCommand, SubscriptionStarted},
    tenants::{Tenant, TenantCommand, TenantCreated},
    text::{Name, Slug},
    users::Account,
    workspaces::{Workspace, WorkspaceCommand, WorkspaceCreated},
};
use rand::RngExt;

use crate::{
    admission::recognize,
    app::{App, Written},
    claim::ClaimKind,
    error::Error,
    expected::Expected,
    sessions::actor,
    work::stream,
};

/// A tenant with what every tenant begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Founded {
    /// The tenant.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: Slug,
    /// Its first workspace.
    pub workspace: WorkspaceId,
    /// That workspace's first project.
    pub project: ProjectId,
}

/// Founds a tenant, in one commit: the tenant, its first workspace and project, the founder as its owner with a seat,
/// and a Free subscription.
pub async fn found(
    ctx: &Ctx,
    app: &App,
    founder: &Account,
    name: Name,
    slug: Option<Slug>,
) -> Result<Written<Founded>, Error> {
    let suggested = slug.clone().unwrap_or_else(|| Slug::suggest(&name, ""));
    match try_found(ctx, app, founder, &name, suggested).await {
        Err(Error::Refused { code: "slug_taken", .. }) if slug.is_none() => {
            let suffix = format!("{:06x}", rand::rng().random_range(0..0x100_0000));
            try_found(ctx, app, founder, &name, Slug::suggest(&name, &suffix)).await
        }
        founded => founded,
    }
}

async fn try_found(
    ctx: &Ctx,
    app: &App,
    founder: &Account,
    name: &Name,
    slug: Slug,
) -> Result<Written<Founded>, Error> {
    let tenant = TenantId::random();
    let (workspace, project) = (WorkspaceId::random(), ProjectId::random());
    let (member, subscription) = (MemberId::of(tenant, founder.user_id), SubscriptionId::of(tenant));
    let ctx = Ctx { tenant, actor: actor(founder), ..ctx.clone() };
    let streams = [
        stream::<Tenant>(tenant),
        stream::<Workspace>(workspace),
        stream::<Project>(project),
        stream::<Membership>(member),
        stream::<Subscription>(subscription),
    ];
    let first = "Default".parse::<Name>().map_err(Error::internal)?;
    let (founder, name) = (founder.clone(), name.clone());
    app.transact(&ctx, streams, move |work| {
        let created_by = founder.user_id;
        let created = TenantCreated { tenant_id: tenant, name: name.clone(), slug: slug.clone(), created_by };
        work.execute::<Tenant>(tenant, TenantCommand::Create(created))?;
        work.claim(ClaimKind::Slug, slug.as_str(), tenant, slug_taken());
        let created = WorkspaceCreated { workspace_id: workspace, name: first.clone() };
        work.execute::<Workspace>(workspace, WorkspaceCommand::Create(created))?;
        let created = ProjectCreated { project_id: project, workspace_id: workspace, name: first.clone() };
        work.execute::<Project>(project, ProjectCommand::Create(created))?;
        work.execute::<Membership>(
            member,
            MembershipCommand::Join(joined(member, &founder, Role::Owner, vec![])),
        )?;
        work.execute::<Tenant>(tenant, TenantCommand::GrantOwnership { member_id: member })?;
        let started = SubscriptionStarted {
            subscription_id: subscription,
            terms: Plan::Free.terms(),
            started_at: work.now(),
            trial_ends_at: None,
        };
        work.execute::<Subscription>(subscription, SubscriptionCommand::Start(started))?;
        work.execute::<Subscription>(subscription, SubscriptionCommand::TakeSeat { member_id: member })?;
        Ok(Founded { tenant, slug: slug.clone(), workspace, project })
    })
    .await
}

/// The fact that a user joins a tenant.
pub(crate) fn joined(
    member_id: MemberId,
    account: &Account,
    role: Role,
    workspace_ids: Vec<WorkspaceId>,
) -> MemberJoined {
    MemberJoined {
        member_id,
        user_id: account.user_id,
        email: account.email.clone(),
        name: account.name.clone(),
        role,
        workspace_ids,
    }
}

/// Changes a tenant's name, its slug, or both.
pub async fn change(
    ctx: &Ctx,
    app: &App,
    name: Option<Name>,
    slug: Option<Slug>,
    expected: &Expected,
) -> Result<Written<()>, Error> {
    ctx.require(Permission::TenantManage)?;
    let tenant = ctx.tenant;
    let expected = expected.clone();
    app.transact(ctx, [stream::<Tenant>(tenant)], move |work| {
        work.expect::<Tenant>(tenant, &expected)?;
        if let Some(name) = &name {
            work.execute::<Tenant>(tenant, TenantCommand::Rename { name: name.clone() })?;
        }
        let before = work.state::<Tenant>(tenant)?.profile().map(|profile| profile.slug.clone());
        if let (Some(slug), Some(before)) = (&slug, before)
            && *slug != before
        {
            work.execute::<Tenant>(tenant, TenantCommand::ChangeSlug { slug: slug.clone() })?;
            work.release(ClaimKind::Slug, before.as_str(), tenant);
            work.claim(ClaimKind::Slug, slug.as_str(), tenant, slug_taken());
        }
        Ok(())
    })
    .await
}

/// What somebody is about to do in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Only look.
    Read,
    /// Change something.
    Write,
}

/// The context of a user in a tenant, as far as they are a member of it. To everybody else the tenant does not exist.
///
/// A changed role, a removal or a freeze takes effect with the next request: who wants to read is looked up anew, and who
/// wants to write is looked up again in the commit.
pub async fn enter(
    ctx: &Ctx,
    app: &App,
    account: &Account,
    tenant: TenantId,
    intent: Intent,
) -> Result<Ctx, Error> {
    let streams = [stream::<Tenant>(tenant), stream::<Membership>(MemberId::of(tenant, account.user_id))];
    recognize(app, tenant, &streams, intent, |[company, membership]| {
        let membership: Arc<Membership> = membership.aggregate()?;
        let member = membership.member().ok_or_else(Error::not_found)?;
        let frozen_now = company.aggregate::<Tenant>()?.is_frozen();
        if frozen_now && (intent == Intent::Write || member.role != Role::Owner) {
            return Err(frozen());
        }
        let (permissions, admission) = (member.role.permissions(), Admission::Member(member.member_id));
        Ok(Ctx { tenant, actor: actor(account), permissions, admission, ..ctx.clone() })
    })
    .await
}

/// Nobody may pass on what they don't have.
pub(crate) fn may_grant(ctx: &Ctx, role: Role) -> Result<(), Error> {
    let permissions = role.permissions();
    match permissions.iter().find(|permission| !ctx.permissions.allow(*permission)) {
        Some(missing) => Err(Forbidden { missing }.into()),
        None => Ok(()),
    }
}

pub(crate) fn frozen() -> Error {
    Error::refused(
        RefusalKind::Locked,
        "tenant_frozen",
        "the tenant is frozen by the platform's administrators",
    )
}

fn slug_taken() -> Error {
    Error::refused(RefusalKind::Conflict, "slug_taken", "the slug belongs to another tenant")
}
