//! A tenant's subscription, as its owner changes it.

use domain::{
    aggregate::RefusalKind,
    ctx::Ctx,
    ids::SubscriptionId,
    permission::Permission,
    plan::{Plan, Terms},
    subscriptions::{Subscription, SubscriptionCommand},
};

use crate::{
    app::{App, Written},
    error::Error,
};

/// Changes to another plan, at its usual terms.
pub async fn change_plan(ctx: &Ctx, app: &App, plan: Plan) -> Result<Written<()>, Error> {
    ctx.require(Permission::BillingManage)?;
    if plan == Plan::Enterprise {
        let detail = "Enterprise is agreed with the platform's administrators";
        return Err(Error::refused(RefusalKind::Conflict, "plan_not_self_service", detail));
    }
    agree(ctx, app, plan.terms()).await
}

/// Agrees to any terms. For the platform's administrators: the caller has checked that this is one.
pub async fn agree(ctx: &Ctx, app: &App, terms: Terms) -> Result<Written<()>, Error> {
    execute(ctx, app, SubscriptionCommand::ChangePlan { terms }).await
}

/// Gives the subscription up.
pub async fn cancel(ctx: &Ctx, app: &App) -> Result<Written<()>, Error> {
    ctx.require(Permission::BillingManage)?;
    execute(ctx, app, SubscriptionCommand::Cancel).await
}

/// Takes the subscription up again.
pub async fn resume(ctx: &Ctx, app: &App) -> Result<Written<()>, Error> {
    ctx.require(Permission::BillingManage)?;
    execute(ctx, app, SubscriptionCommand::Resume).await
}

async fn execute(ctx: &Ctx, app: &App, command: SubscriptionCommand) -> Result<Written<()>, Error> {
    app.execute::<Subscription>(ctx, SubscriptionId::of(ctx.tenant), command).await
}
