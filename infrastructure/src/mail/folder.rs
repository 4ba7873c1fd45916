use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf};

use application::mail::{Mail, MailError, Mailer};
use async_trait::async_trait;
use domain::text::Email;
use lettre::message::Mailbox;
use tokio::io::AsyncWriteExt;

use super::{failed, message};

/// Puts each mail as an `.eml` file into a folder.
pub struct FolderMailer {
    folder: PathBuf,
    from: Mailbox,
}

impl FolderMailer {
    /// Mails from `from` into `folder`, which is made if it is missing.
    pub fn new(folder: PathBuf, from: Mailbox) -> std::io::Result<Self> {
        // Mails hold links that are as good as passwords.
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, from })
    }
}

#[async_trait]
impl Mailer for FolderMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(&self.from, mail)?.formatted();
        // Named by the mail, so that sending it again after a crash gives one file; written aside, so that nobody reads
        // half of one.
        let file = self.folder.join(format!("{}.eml", mail.message_id));
        let unfinished = file.with_extension("new");
        let mut options = tokio::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut written = options.open(&unfinished).await.map_err(failed)?;
        written.write_all(&message).await.map_err(failed)?;
        written.sync_all().await.map_err(failed)?;
        tokio::fs::rename(unfinished, file).await.map_err(failed)
    }

    async fn forget(&self, address: &Email) -> Result<(), MailError> {
        let mut files = tokio::fs::read_dir(&self.folder).await.map_err(failed)?;
        while let Some(file) = files.next_entry().await.map_err(failed)? {
            let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
            match tokio::fs::read(file.path()).await {
                Ok(mail) if is_to(&String::from_utf8_lossy(&mail), address) => {
                    tokio::fs::remove_file(file.path()).await.or_else(|error| match is_gone(&error) {
                        true => Ok(()),
                        false => Err(failed(error)),
                    })?;
                }
                Err(error) if !is_gone(&error) => return Err(failed(error)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Whether a mail is to this address, by its header (RFC 5322, section 2.2.3: a line that begins with a space goes on).
fn is_to(mail: &str, address: &Email) -> bool {
    let header = mail.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
    let mut recipients = header.lines().filter_map(|line| line.strip_prefix("To: "));
    recipients.any(|to| {
        let to = to.rsplit_once('<').map_or(to, |(_, address)| address.trim_end_matches('>'));
        to.trim() == address.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn mails_to_an_address_are_forgotten_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let mailer =
            FolderMailer::new(folder.path().into(), "Annals <annals@localhost>".parse().unwrap()).unwrap();
        let addresses = ["ada@example.com", "grace.ada@example.com", "ada@example.com.au"];
        for (index, address) in addresses.iter().enumerate() {
            for to_name in
                [None, Some("Augusta Ada King, Countess of Lovelace, a name that is folded".to_owned())]
            {
                let message_id = format!("{index}-{}", to_name.is_some());
                let (subject, text) = ("Hello".to_owned(), "To: ada@example.com".to_owned());
                let mail = Mail { to: address.parse().unwrap(), to_name, subject, text, message_id };
                mailer.send(&mail).await.unwrap();
            }
        }
        mailer.forget(&addresses[0].parse().unwrap()).await.unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["1-false.eml", "1-true.eml", "2-false.eml", "2-true.eml"]);
    }

    #[tokio::test]
    async fn a_mail_is_one_file_however_often_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let mailer =
            FolderMailer::new(folder.path().into(), "Annals <annals@localhost>".parse().unwrap()).unwrap();
        let mail = Mail {
            to: "ada@example.com".parse().unwrap(),
            to_name: Some("Ada".to_owned()),
            subject: "Grüße".to_owned(),
            text: "a line that is rather long: ".to_owned() + &"x".repeat(120),
            message_id: "one".to_owned(),
        };
        mailer.send(&mail).await.unwrap();
        mailer.send(&mail).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1);
        let text = std::fs::read_to_string(folder.path().join("one.eml")).unwrap();
        assert!(text.contains("To: Ada <ada@example.com>"), "{text}");
    }
}
