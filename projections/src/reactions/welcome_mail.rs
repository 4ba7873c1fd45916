//! Welcomes a user whose address is verified.

use application::{error::Error, mail::Mail};
use domain::{
    ids::{TenantId, UserId},
    recorded_event::RecordedEvent,
    users::{EmailVerified, User},
};
use serde::{Deserialize, Serialize};

use super::{Job, MailOffice};
use crate::fold::FoldError;

/// The mail to one user.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct WelcomeMail {
    user_id: UserId,
}

impl Job for WelcomeMail {
    const TASK: &'static str = "welcome_mail";

    fn when(event: &RecordedEvent) -> Result<Option<Self>, FoldError> {
        Ok(event.is::<EmailVerified>().then(|| Self { user_id: event.stream.id.into() }))
    }

    async fn run(&self, office: &MailOffice) -> Result<(), Error> {
        let user: User = office.load(TenantId::PLATFORM, self.user_id.uuid()).await?;
        let Some(account) = user.account() else { return Ok(()) };
        let text = format!(
            "Hello {name},\n\
             \n\
             your e-mail address is confirmed. Welcome! You can sign in now:\n\
             \n\
             {url}\n",
            name = account.name,
            url = office.public_url,
        );
        office
            .send(Mail {
                to: account.email.clone(),
                to_name: Some(account.name.to_string()),
                subject: "Welcome".to_owned(),
                text,
                message_id: format!("{}-{}", Self::TASK, self.user_id),
            })
            .await
    }
}
