//! Taking in the events of another cqrs-es system.

use std::collections::{BTreeSet, HashSet};

use domain::{
    ctx::Ctx,
    foreign_aggregates::{ForeignAggregate, ForeignAggregateCommand, ForeignEventImported},
    ids::{ForeignAggregateId, TenantId},
    permission::Permission,
    tenants::{Tenant, TenantReason},
};

use crate::{
    app::{App, Written},
    error::Error,
    journal::StreamRequest,
    loaded::Loaded,
    tenants::frozen,
    work::{Work, stream},
};

/// Goes on only if there is such a tenant, and it is not frozen.
pub async fn ready(ctx: &Ctx, app: &App) -> Result<(), Error> {
    ctx.require(Permission::TenantManage)?;
    takes_imports(&app.load(ctx.tenant, ctx.tenant).await?)
}

/// How many events of each of these aggregates have been imported, in the order asked for. None is asked for twice.
pub async fn sequences(ctx: &Ctx, app: &App, aggregates: &[ForeignAggregateId]) -> Result<Vec<u64>, Error> {
    ctx.require(Permission::AuditRead)?;
    let streams: Vec<_> = aggregates.iter().map(|id| stream::<ForeignAggregate>(*id)).collect();
    let histories = app.journal.load(ctx.tenant, &streams).await?;
    Ok(histories.iter().map(|history| history.sequence).collect())
}

/// Imports events in one commit, in the order given; how many were new. Those that were imported before change nothing,
/// so that an import that was interrupted can begin anywhere before its end.
pub async fn import(ctx: &Ctx, app: &App, events: &[ForeignEventImported]) -> Result<Written<u64>, Error> {
    ctx.require(Permission::TenantManage)?;
    let (tenant, events) = (ctx.tenant, events.to_vec());
    app.transact(ctx, streams(tenant, &events), move |work| take_in(work, tenant, &events)).await
}

/// Refuses what [`import`] would refuse now, and imports nothing.
pub async fn rehearse(ctx: &Ctx, app: &App, events: &[ForeignEventImported]) -> Result<(), Error> {
    ctx.require(Permission::TenantManage)?;
    let histories = app.journal.load(ctx.tenant, &streams(ctx.tenant, events)).await?;
    let loaded = histories.into_iter().map(Loaded::from).collect();
    take_in(&mut Work::new(ctx.now, loaded, HashSet::new()), ctx.tenant, events).map(drop)
}

fn streams(tenant: TenantId, events: &[ForeignEventImported]) -> Vec<StreamRequest> {
    let ids: BTreeSet<_> = events.iter().map(|event| id(tenant, event)).collect();
    let foreign = ids.into_iter().map(stream::<ForeignAggregate>);
    std::iter::once(stream::<Tenant>(tenant)).chain(foreign).collect()
}

/// Decides on events, in order; how many are new.
fn take_in(work: &mut Work, tenant: TenantId, events: &[ForeignEventImported]) -> Result<u64, Error> {
    takes_imports(&*work.state::<Tenant>(tenant)?)?;
    let mut new = 0;
    for event in events {
        let command = ForeignAggregateCommand::Import(event.clone());
        new += work.execute::<ForeignAggregate>(id(tenant, event), command)?.len() as u64;
    }
    Ok(new)
}

fn id(tenant: TenantId, event: &ForeignEventImported) -> ForeignAggregateId {
    ForeignAggregateId::of(tenant, &event.aggregate_type, &event.aggregate_id)
}

fn takes_imports(tenant: &Tenant) -> Result<(), Error> {
    match tenant.profile() {
        None => Err(TenantReason::Unknown.into()),
        Some(_) if tenant.is_frozen() => Err(frozen()),
        Some(_) => Ok(()),
    }
}
