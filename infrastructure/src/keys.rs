//! The installation's one secret, and the keys derived from it.

use std::{fs, io, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

/// The installation's secret: 32 random bytes that every other key is derived from.
pub struct MasterKey(SecretBox<[u8; 32]>);

/// The secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text given is not 32 bytes in base64.
    #[error("the secret key must be 32 bytes in base64; make one with `openssl rand -base64 32`")]
    Malformed,
    /// The file can't be read or made.
    #[error("can't read or make the key file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl MasterKey {
    /// The key that a text is.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Malformed)?;
        Ok(Self(SecretBox::new(Box::new(bytes))))
    }

    /// The key in `file`, which is made, readable by its owner only, if there is none.
    pub fn load_or_make(file: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: file.display().to_string(), source };
        match fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes: [u8; 32] = rand::rng().random();
                let text = STANDARD.encode(bytes);
                write_private(file, &text).map_err(failed)?;
                Self::parse(&text)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A key that nobody has had before.
    #[cfg(feature = "test-support")]
    pub fn random() -> Self {
        Self(SecretBox::new(Box::new(rand::rng().random())))
    }

    /// The key for one purpose: HMAC-SHA256 of its name (as in NIST SP 800-108, one block).
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// Appears under its name only when it is complete, so that a crash leaves no half of a key; and it is on the disk, name and
/// all, when this returns, because something is about to depend on it.
pub(crate) fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let unfinished = file.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(unfinished, file)?;
    fs::File::open(file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
        .sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret.key");
        let key = MasterKey::load_or_make(&file).unwrap();
        assert_eq!(MasterKey::load_or_make(&file).unwrap().derive("a"), key.derive("a"));
        assert_ne!(key.derive("a"), key.derive("b"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(MasterKey::parse("short"), Err(KeyError::Malformed)));
    }
}
