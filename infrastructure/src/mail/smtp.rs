use std::time::Duration;

use application::mail::{Mail, MailError, Mailer};
use async_trait::async_trait;
use domain::text::Email;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, message::Mailbox};

use super::{failed, message};

/// Hands mails to an SMTP server.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpMailer {
    /// Mails from `from` through the server at `url` (`smtp://user:password@host:port`, `smtps://…`).
    pub fn new(url: &str, from: Mailbox) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(failed)?
            .timeout(Some(Duration::from_secs(20)))
            .build();
        Ok(Self { transport, from })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.transport.send(message(&self.from, mail)?).await.map(|_| ()).map_err(failed)
    }

    async fn forget(&self, _: &Email) -> Result<(), MailError> {
        // Nothing stays here.
        Ok(())
    }
}
