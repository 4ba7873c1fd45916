//! Ends all that a user has who asked to be erased, and then erases them. Every step can be repeated, so it goes on where
//! it was interrupted.

use std::sync::Arc;

use application::{app::App, erasure, error::Error};
use chrono::Utc;
use domain::{
    aggregate::{DecodeError, Fact},
    ctx::Ctx,
    ids::{JobId, TenantId, UserId},
    recorded_event::RecordedEvent,
    users::{ErasureRequested, SubjectErased},
};
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use infrastructure::{
    database::{Database, database_error},
    jobs::NewJob,
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};

use super::{Kind, MailOffice, worker::Failure};
use crate::{audit, fold::FoldError, jobs, members};

/// The job.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Erasure {
    user_id: UserId,
}

/// The job of erasing `user`. There is one, however often it is asked for.
pub fn job_id(user: UserId) -> JobId {
    user.uuid().into()
}

/// Goes on with the erasures that are under way by what the platform's journal says, because their jobs may be lost. One
/// that has a job gets another, which finds nothing left to be done.
pub(crate) async fn resume(tx: &mut TenantTx) -> Result<(), Error> {
    if tx.tenant() != TenantId::PLATFORM {
        return Ok(());
    }
    let users = sqlx::query_scalar!(
        "SELECT stream_id FROM events AS asked
         WHERE tenant_id = $1 AND event_type = $2 AND NOT EXISTS (
             SELECT FROM events AS done
             WHERE done.tenant_id = $1 AND done.stream_id = asked.stream_id AND done.event_type = $3
         )",
        TenantId::PLATFORM.uuid(),
        ErasureRequested::TYPE,
        SubjectErased::TYPE
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(database_error)?;
    let jobs: Result<Vec<NewJob>, _> = users.into_iter().map(|user| job(user.into())).collect();
    jobs::add(tx, &jobs.map_err(Error::internal)?).await
}

impl Erasure {
    pub(super) const KIND: Kind = Kind { when, definition: <Self as TaskHandler>::definition };

    async fn carry_out(&self, app: &App, database: &Database, office: &MailOffice) -> Result<(), Error> {
        let user = self.user_id;
        let Some(account) = erasure::under_way(app, user).await? else { return Ok(()) };
        let ctx = Ctx::system(TenantId::PLATFORM, Utc::now());
        for membership in members::of_user(database, user).await? {
            let ctx = Ctx { tenant: membership.tenant_id, ..ctx.clone() };
            erasure::end_membership(&ctx, app, user).await?;
        }
        // Whoever has not shown that an address is theirs ends nothing that others have sent to it.
        if account.verified {
            erasure::withdraw_invitations(&ctx, app, &account.email).await?;
        }
        for session in audit::sessions_of(database, user).await? {
            erasure::end_session(&ctx, app, session).await?;
        }
        office.mailer.forget(&account.email).await.map_err(Error::internal)?;
        erasure::complete(&ctx, app, user).await?;
        tracing::info!(%user, "erased");
        Ok(())
    }
}

fn when(event: &RecordedEvent) -> Result<Option<NewJob>, FoldError> {
    if !event.is::<ErasureRequested>() {
        return Ok(None);
    }
    job(event.stream.id.into()).map(Some)
}

fn job(user_id: UserId) -> Result<NewJob, FoldError> {
    let task = Erasure::IDENTIFIER;
    let payload = serde_json::to_value(Erasure { user_id })
        .map_err(|source| DecodeError::Payload { event_type: task, source })?;
    Ok(NewJob { task, payload, max_attempts: 25 })
}

impl TaskHandler for Erasure {
    const IDENTIFIER: &'static str = "erasure";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let parts =
            (context.get_ext::<App>(), context.get_ext::<Database>(), context.get_ext::<Arc<MailOffice>>());
        let (Some(app), Some(database), Some(office)) = parts else {
            return Err(Failure(Error::internal("the worker lacks a part")));
        };
        self.carry_out(app, database, office).await.map_err(Failure)
    }
}
