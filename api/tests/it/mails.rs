//! Reading the mails that the server puts into a folder.

use std::{fs, path::Path};

use crate::app::{TestApp, eventually};

impl TestApp {
    /// The mails to an address so far, the oldest first.
    pub(crate) fn mails(&self, address: &str) -> Vec<String> {
        let folder = fs::read_dir(self.data_dir().join("mail")).unwrap();
        let files =
            folder.map(|file| file.unwrap().path()).filter(|path| path.extension() == Some("eml".as_ref()));
        let mut mails: Vec<_> = files
            // One that is not there any more is of somebody who was erased meanwhile.
            .filter_map(|file| Some((fs::metadata(&file).ok()?.modified().unwrap(), unfolded(&file)?)))
            .filter(|(_, mail)| recipient(mail).contains(address))
            .collect();
        mails.sort();
        mails.into_iter().map(|(_, mail)| mail).collect()
    }

    /// Waits until at least `count` mails to an address have arrived, and gives all.
    pub(crate) async fn await_mails(&self, address: &str, count: usize) -> Vec<String> {
        let what = format!("{count} mails to {address}");
        eventually(&what, async || Some(self.mails(address)).filter(|mails| mails.len() >= count)).await
    }

    /// Waits for the `nth` mail (from 1) to an address whose link leads to `page`, and gives the link's token.
    pub(crate) async fn token_mailed(&self, address: &str, page: &str, nth: usize) -> String {
        let what = format!("mail {nth} to {address} for {page}");
        eventually(&what, async || {
            let mails = self.mails(address);
            mails.iter().filter_map(|mail| token(mail, page)).nth(nth - 1)
        })
        .await
    }

    /// Waits for the mail with the link of an invitation, of the given generation, and gives the link's token.
    pub(crate) async fn invitation_mailed(&self, address: &str, id: &str, generation: u32) -> String {
        let what = format!("mail {generation} of {id} to {address}");
        eventually(&what, async || {
            let mails = self.mails(address);
            let mut tokens = mails.iter().filter_map(|mail| token(mail, "invitations"));
            tokens.find(|text| {
                let token = self.annals.app.tokens.open_invitation(text).unwrap();
                token.invitation.to_string() == id && token.generation == generation
            })
        })
        .await
    }
}

/// The mail with its long lines put together again (RFC 2045, section 6.7).
fn unfolded(file: &Path) -> Option<String> {
    let mail = fs::read_to_string(file).ok()?;
    if !mail.contains("Content-Transfer-Encoding: quoted-printable") {
        return Some(mail);
    }
    Some(mail.replace("=\r\n", "").replace("=3D", "="))
}

fn recipient(mail: &str) -> &str {
    mail.lines().find(|line| line.starts_with("To: ")).unwrap_or_default()
}

fn token(mail: &str, page: &str) -> Option<String> {
    let (_, link) = mail.split_once(&format!("/{page}?token="))?;
    let token: String =
        link.chars().take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter)).collect();
    Some(token)
}
