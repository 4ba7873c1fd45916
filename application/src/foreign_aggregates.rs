//! Taking in the events of another cqrs-es system.

use std::collections::BTreeSet;

use domain::{
    ctx::Ctx,
    foreign_aggregates::{ForeignAggregate, ForeignAggregateCommand, ForeignEventImported},
    ids::ForeignAggregateId,
    permission::Permission,
    tenants::{Tenant, TenantReason},
};

use crate::{
    app::{App, Written},
    error::Error,
    tenants::frozen,
    work::stream,
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
    let tenant = ctx.tenant;
    let id = move |event: &ForeignEventImported| {
        ForeignAggregateId::of(tenant, &event.aggregate_type, &event.aggregate_id)
    };
    let ids: BTreeSet<_> = events.iter().map(id).collect();
    let mut streams = vec![stream::<Tenant>(tenant)];
    streams.extend(ids.into_iter().map(stream::<ForeignAggregate>));
    let events = events.to_vec();
    app.transact(ctx, streams, move |work| {
        let company = work.state::<Tenant>(tenant)?;
        takes_imports(&company)?;
        let mut new = 0;
        for event in &events {
            let command = ForeignAggregateCommand::Import(event.clone());
            new += work.execute::<ForeignAggregate>(id(event), command)?.len() as u64;
        }
        Ok(new)
    })
    .await
}

fn takes_imports(tenant: &Tenant) -> Result<(), Error> {
    match tenant.profile() {
        None => Err(TenantReason::Unknown.into()),
        Some(_) if tenant.is_frozen() => Err(frozen()),
        Some(_) => Ok(()),
    }
}
