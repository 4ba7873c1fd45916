//! Ends all that a user has who asked to be erased, and then erases them. Every step can be repeated, so it goes on where
//! it was interrupted.

use std::sync::Arc;

use application::{app::App, erasure, error::Error};
use chrono::Utc;
use domain::{
    aggregate::DecodeError,
    ctx::Ctx,
    ids::{JobId, TenantId, UserId},
    recorded_event::RecordedEvent,
    users::ErasureRequested,
};
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use infrastructure::{database::Database, jobs::NewJob};
use serde::{Deserialize, Serialize};

use super::{Kind, MailOffice, worker::Failure};
use crate::{audit, fold::FoldError, members};

/// The job.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Erasure {
    user_id: UserId,
}

/// The job of erasing `user`. There is one, however often it is asked for.
pub fn job_id(user: UserId) -> JobId {
    user.uuid().into()
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
    let task = Erasure::IDENTIFIER;
    let payload = serde_json::to_value(Erasure { user_id: event.stream.id.into() })
        .map_err(|source| DecodeError::Payload { event_type: task, source })?;
    Ok(Some(NewJob { task, payload, max_attempts: 25 }))
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
