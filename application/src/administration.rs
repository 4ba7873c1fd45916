//! What the platform's administrators do to tenants. The caller has checked that it is one.

use domain::{
    ctx::Ctx,
    plan::Terms,
    tenants::{Tenant, TenantCommand},
};

use crate::{
    app::{App, Written},
    error::Error,
    subscriptions,
};

/// Freezes a tenant: nobody changes anything in it until it is unfrozen.
pub async fn freeze(ctx: &Ctx, app: &App, reason: String) -> Result<Written<()>, Error> {
    app.execute::<Tenant>(ctx, ctx.tenant, TenantCommand::Freeze { reason }).await
}

/// Unfreezes a tenant.
pub async fn unfreeze(ctx: &Ctx, app: &App) -> Result<Written<()>, Error> {
    app.execute::<Tenant>(ctx, ctx.tenant, TenantCommand::Unfreeze).await
}

/// Agrees on terms with a tenant.
pub async fn set_terms(ctx: &Ctx, app: &App, terms: Terms) -> Result<Written<()>, Error> {
    subscriptions::agree(ctx, app, terms).await
}
