//! Reading a tenant's raw journal.

use domain::{ctx::Ctx, permission::Permission, recorded_event::RecordedEvent};

use crate::{app::App, error::Error};

/// At most `limit` events after position `after`, in order, and the position of the newest event there is.
pub async fn read(ctx: &Ctx, app: &App, after: u64, limit: u32) -> Result<(Vec<RecordedEvent>, u64), Error> {
    ctx.require(Permission::AuditRead)?;
    let events = app.journal.read(ctx.tenant, after, limit).await?;
    let head = app.journal.head(ctx.tenant).await?;
    Ok((events, head))
}
