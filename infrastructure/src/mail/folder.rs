use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf};

use application::mail::{Mail, MailError, Mailer};
use async_trait::async_trait;
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
