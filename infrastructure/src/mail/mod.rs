//! Handing mails over: to an SMTP server, or as `.eml` files into a folder.

mod folder;
mod smtp;

use application::mail::{Mail, MailError};
use lettre::{
    Message,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType},
    },
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
        .body(body(&mail.text))
        .map_err(failed)
}

/// As it is where the standard allows it, because a link that is wrapped in quoted-printable can't be copied from a file.
fn body(text: &str) -> Body {
    // RFC 5322, section 2.1.1: no line is longer than 998 characters.
    let plain = text.is_ascii() && text.lines().all(|line| line.len() <= 998);
    let encoded = if plain {
        Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::SevenBit).ok()
    } else {
        None
    };
    encoded.unwrap_or_else(|| Body::new(text.to_owned()))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> MailError {
    MailError(Box::new(error))
}
