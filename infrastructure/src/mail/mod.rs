//! Handing mails over: to an SMTP server, or as `.eml` files into a folder.

mod folder;
mod smtp;

use application::mail::{Mail, MailError};
use lettre::{
    Message,
    message::{Mailbox, header::ContentType},
};

pub use self::{folder::FolderMailer, smtp::SmtpMailer};

/// The mail as an RFC 5322 message.
fn message(from: &Mailbox, mail: &Mail) -> Result<Message, MailError> {
    let address = mail.to.as_str().parse().map_err(failed)?;
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(mail.to_name.clone(), address))
        .subject(&mail.subject)
        .message_id(Some(format!("<{}@{}>", mail.message_id, from.email.domain())))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.clone())
        .map_err(failed)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> MailError {
    MailError(Box::new(error))
}
