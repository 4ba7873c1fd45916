//! The port that mails leave by.

use async_trait::async_trait;
use domain::text::Email;

/// A mail in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// To which address.
    pub to: Email,
    /// To whom, by name.
    pub to_name: Option<String>,
    /// The subject line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// Names this mail: the same when it is sent again after a failure.
    pub message_id: String,
}

/// Hands mails over: to an SMTP server, or into a folder.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands one mail over. May be called again with the same mail after a failure.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Forgets the mails to an address, as far as they are still here.
    async fn forget(&self, address: &Email) -> Result<(), MailError>;
}

/// A mail that could not be handed over.
#[derive(Debug, thiserror::Error)]
#[error("the mail could not be handed over: {0}")]
pub struct MailError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
