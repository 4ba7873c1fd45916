//! Tells a user that somebody has registered with their address again. The one who did learns nothing: whether an
//! address has an account is told to its owner only.

use application::{error::Error, mail::Mail, tokens::VerificationToken};
use domain::{
    ids::{TenantId, UserId},
    recorded_event::RecordedEvent,
    users::{RegistrationRepeated, User},
};
use serde::{Deserialize, Serialize};

use super::{Job, MailOffice};
use crate::fold::FoldError;

/// The mail about one repetition.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RepeatedRegistrationMail {
    user_id: UserId,
    /// The sequence of the repetition, which tells it from others.
    sequence: u64,
}

impl Job for RepeatedRegistrationMail {
    const TASK: &'static str = "repeated_registration_mail";

    fn when(event: &RecordedEvent) -> Result<Option<Self>, FoldError> {
        let job = || Self { user_id: event.stream.id.into(), sequence: event.sequence };
        Ok(event.is::<RegistrationRepeated>().then(job))
    }

    async fn run(&self, office: &MailOffice) -> Result<(), Error> {
        let Self { user_id, sequence } = *self;
        let user: User = office.load(TenantId::PLATFORM, user_id.uuid()).await?;
        let Some(account) = user.account() else { return Ok(()) };
        let advice = if account.verified {
            format!("You can sign in as before: {}", office.public_url)
        } else {
            let token = VerificationToken { user: user_id, generation: account.generation };
            let link = office.link("verify-email", &office.tokens.verification(token));
            format!(
                "Its address is not confirmed yet. If you want the account, open this link and choose its password:\n\
                 \n\
                 {link}"
            )
        };
        let text = format!(
            "Hello {name},\n\
             \n\
             somebody has registered with this e-mail address, which has an account already. The account and its\n\
             password have not changed.\n\
             \n\
             {advice}\n\
             \n\
             If it was not you, you need not do anything.\n",
            name = account.name,
        );
        office
            .send(Mail {
                to: account.email.clone(),
                to_name: Some(account.name.to_string()),
                subject: "You have an account already".to_owned(),
                text,
                message_id: format!("{}-{user_id}-{sequence}", Self::TASK),
            })
            .await
    }
}
