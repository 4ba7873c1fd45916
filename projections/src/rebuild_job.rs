//! Rebuilding in the background, at an administrator's wish.

use application::error::Error;
use domain::ids::{JobId, TenantId};
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use infrastructure::{database::Database, jobs::NewJob, tenant_tx::TenantTx};
use serde::{Deserialize, Serialize};

use crate::{
    ALL,
    fold::Projection,
    jobs,
    rebuild::{extents, not_rebuildable, rebuild},
};

/// The wish.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RebuildJob {
    job_id: JobId,
    projection: String,
    tenant_id: Option<TenantId>,
}

/// Queues a rebuild of `projection` for one tenant, or for all, in a transaction on the platform.
///
/// # Errors
/// 404 if there is no such projection or tenant, 409 if it can't be rebuilt.
pub async fn queue(
    database: &Database,
    tx: &mut TenantTx,
    projection: &str,
    tenant_id: Option<TenantId>,
) -> Result<JobId, Error> {
    let known = find(projection).ok_or_else(Error::not_found)?;
    if !known.is_rebuildable() {
        return Err(not_rebuildable(projection));
    }
    if tenant_id.is_some() && extents(database, tenant_id).await?.is_empty() {
        return Err(Error::not_found());
    }
    let job = RebuildJob { job_id: JobId::random(), projection: projection.to_owned(), tenant_id };
    let payload = serde_json::to_value(&job).map_err(Error::internal)?;
    jobs::add(tx, &[NewJob { task: RebuildJob::IDENTIFIER, payload, max_attempts: 3 }]).await?;
    Ok(job.job_id)
}

fn find(name: &str) -> Option<&'static dyn Projection> {
    ALL.iter().copied().find(|projection| projection.name() == name)
}

impl TaskHandler for RebuildJob {
    const IDENTIFIER: &'static str = "rebuild";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let Self { job_id, projection, tenant_id } = self;
        let database = context.get_ext::<Database>().cloned().ok_or("the worker has no database")?;
        let known = find(&projection).ok_or("there is no such projection any more")?;
        let extents = extents(&database, tenant_id).await.map_err(|error| error.to_string())?;
        for extent in &extents {
            rebuild(&database, known, extent.tenant, |_| {}).await.map_err(|error| error.to_string())?;
        }
        tracing::info!(%job_id, projection, journals = extents.len(), "rebuilt");
        Ok::<(), String>(())
    }
}
