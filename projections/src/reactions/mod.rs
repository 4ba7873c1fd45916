//! What follows from events outside the journal: jobs, added in the transaction that moves the checkpoint, so that each
//! event's are added exactly once.

pub mod erasure;
mod invitation_mail;
mod repeated_registration_mail;
mod verification_mail;
mod welcome_mail;
pub mod worker;

use std::{fmt, sync::Arc};

use application::{
    error::Error,
    journal::{History, Journal},
    loaded::replay,
    mail::{Mail, Mailer},
    tokens::Tokens,
    work::stream,
};
use async_trait::async_trait;
use domain::{
    aggregate::{Decide, DecodeError},
    ids::TenantId,
    personal::ERASED,
    recorded_event::RecordedEvent,
};
use infrastructure::{database::database_error, jobs::NewJob, projecting_tx::ProjectingTx};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use self::{
    erasure::Erasure, invitation_mail::InvitationMail, repeated_registration_mail::RepeatedRegistrationMail,
    verification_mail::VerificationMail, welcome_mail::WelcomeMail, worker::Task,
};
use crate::{
    causes::with_causes,
    fold::{FoldError, ProjectError, Projection},
    jobs, rebuild,
};

/// A kind of job. Its fields are its payload: ids, and nothing that a reader of the queue must not see.
trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in the queue.
    const TASK: &'static str;
    /// How often it is tried. The pauses grow by a factor of e, up to six hours.
    const MAX_ATTEMPTS: i16 = 12;

    /// The job that an event asks for, if it asks for this kind.
    fn when(event: &RecordedEvent) -> Result<Option<Self>, FoldError>;

    /// Does the job. May run again after it was done, when the process dies before that is recorded.
    fn run(&self, office: &MailOffice) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Every kind of job. What is not in this list is neither added nor done.
static JOBS: &[Kind] = &[
    Kind::of::<VerificationMail>(),
    Kind::of::<RepeatedRegistrationMail>(),
    Kind::of::<WelcomeMail>(),
    Kind::of::<InvitationMail>(),
    Erasure::KIND,
];

/// A kind of job, without its type.
struct Kind {
    when: fn(&RecordedEvent) -> Result<Option<NewJob>, FoldError>,
    definition: fn() -> graphile_worker::JobDefinition,
}

impl Kind {
    const fn of<J: Job>() -> Self {
        Self { when: new_job::<J>, definition: <Task<J> as graphile_worker::TaskHandler>::definition }
    }
}

fn new_job<J: Job>(event: &RecordedEvent) -> Result<Option<NewJob>, FoldError> {
    let Some(job) = J::when(event)? else { return Ok(None) };
    let payload =
        serde_json::to_value(&job).map_err(|source| DecodeError::Payload { event_type: J::TASK, source })?;
    Ok(Some(NewJob { task: J::TASK, payload, max_attempts: J::MAX_ATTEMPTS }))
}

/// The projection that adds the jobs.
pub struct Reactions;

impl Reactions {
    /// The projection's name.
    pub const NAME: &'static str = "reactions";
}

#[async_trait]
impl Projection for Reactions {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn concerns(&self, events: &[RecordedEvent]) -> bool {
        events.iter().any(|event| JOBS.iter().any(|kind| !matches!((kind.when)(event), Ok(None))))
    }

    async fn project(&self, tx: &mut ProjectingTx, events: &[RecordedEvent]) -> Result<(), ProjectError> {
        let mut new = Vec::new();
        for event in events {
            for kind in JOBS {
                let job = (kind.when)(event)
                    .map_err(|source| ProjectError::Fold { position: event.position, source })?;
                new.extend(job);
            }
        }
        if !new.is_empty() {
            // Rows that a crash loses are computed again, and nobody notices. A job that a worker has done meanwhile
            // would be done again, so this commit waits for the disk.
            sqlx::query("SET LOCAL synchronous_commit TO DEFAULT")
                .execute(&mut **tx)
                .await
                .map_err(database_error)?;
            jobs::add(tx, &new).await?;
        }
        Ok(())
    }

    fn is_rebuildable(&self) -> bool {
        false
    }

    async fn forget(&self, _: &mut ProjectingTx, _: TenantId) -> Result<(), Error> {
        Err(rebuild::not_rebuildable(Self::NAME))
    }
}

/// What mails are made with, and leave by.
pub struct MailOffice {
    /// Where what a mail is about is looked up.
    pub journal: Arc<dyn Journal>,
    /// What mails leave by.
    pub mailer: Arc<dyn Mailer>,
    /// Makes the tokens of links.
    pub tokens: Arc<Tokens>,
    /// What links begin with, such as `https://annals.example.com`.
    pub public_url: String,
}

impl MailOffice {
    async fn load<A: Decide>(&self, tenant: TenantId, id: impl Into<Uuid>) -> Result<A, Error> {
        let history = self.history::<A>(tenant, id).await?;
        replay(&history)
    }

    async fn history<A: Decide>(&self, tenant: TenantId, id: impl Into<Uuid>) -> Result<History, Error> {
        let histories = self.journal.load(tenant, &[stream::<A>(id)]).await?;
        histories.into_iter().next().ok_or_else(|| Error::internal("a journal answers for every stream"))
    }

    fn link(&self, page: &str, token: &str) -> String {
        format!("{}/{page}?token={token}", self.public_url.trim_end_matches('/'))
    }

    async fn send(&self, mail: Mail) -> Result<(), Error> {
        // A job may have been queued before its addressee was erased.
        if mail.to.as_str() == ERASED {
            return Ok(());
        }
        // The queue keeps what a job failed with, and a server may have repeated the address.
        self.mailer.send(&mail).await.map_err(|error| {
            Error::internal(with_causes(&error).replace(mail.to.as_str(), "[the addressee]"))
        })
    }
}

/// The worker wants its extensions to be printable; the keys in here must not be printed.
impl fmt::Debug for MailOffice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MailOffice").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
