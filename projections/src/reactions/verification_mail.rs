//! Asks a user to show that their address is theirs.

use application::{error::Error, mail::Mail, tokens::VerificationToken};
use domain::{
    ids::{TenantId, UserId},
    recorded_event::RecordedEvent,
    users::{User, UserRegistered, VerificationRequested},
};
use serde::{Deserialize, Serialize};

use super::{Job, MailOffice};
use crate::fold::FoldError;

/// The mail with the link of one generation.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct VerificationMail {
    user_id: UserId,
    generation: u32,
}

impl Job for VerificationMail {
    const TASK: &'static str = "verification_mail";

    fn when(event: &RecordedEvent) -> Result<Option<Self>, FoldError> {
        let user_id = event.stream.id.into();
        if event.is::<UserRegistered>() {
            return Ok(Some(Self { user_id, generation: 1 }));
        }
        let requested = event.fact::<VerificationRequested>().transpose()?;
        Ok(requested.map(|requested| Self { user_id, generation: requested.generation }))
    }

    async fn run(&self, office: &MailOffice) -> Result<(), Error> {
        let Self { user_id, generation } = *self;
        let user: User = office.load(TenantId::PLATFORM, user_id.uuid()).await?;
        let Some(account) = user.account() else { return Ok(()) };
        if account.verified || account.generation != generation {
            return Ok(());
        }
        let token = office.tokens.verification(VerificationToken { user: user_id, generation });
        let text = format!(
            "Hello {name},\n\
             \n\
             please confirm that this is your e-mail address by opening this link:\n\
             \n\
             {link}\n\
             \n\
             If you have not registered, you need not do anything.\n",
            name = account.name,
            link = office.link("verify-email", &token),
        );
        office
            .send(Mail {
                to: account.email.clone(),
                to_name: Some(account.name.to_string()),
                subject: "Please confirm your e-mail address".to_owned(),
                text,
                message_id: format!("{}-{user_id}-{generation}", Self::TASK),
            })
            .await
    }
}
