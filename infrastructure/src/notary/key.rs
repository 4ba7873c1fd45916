//! The key that checkpoints are signed with, and its public half.

use domain::ids::TenantId;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use signed_note::{Note, NoteError, StandardSigner, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::{Checkpoint as Text, Hash};

use super::checkpoint::{Checkpoint, CheckpointError};

/// Signs checkpoints. One key serves all tenants of an installation.
#[derive(Clone)]
pub struct NotaryKey {
    signer: StandardSigner,
    public: PublicKey,
}

/// What checks checkpoints: a verifier key as C2SP signed-note has it, `name+hash+base64`.
#[derive(Clone)]
pub struct PublicKey {
    line: String,
    verifier: StandardVerifier,
}

/// The text is no verifier key.
#[derive(Debug, thiserror::Error)]
#[error("this is not a verifier key such as annals-0123456789abcdef+01234567+AQ…: {0}")]
pub struct PublicKeyError(String);

impl NotaryKey {
    /// The Ed25519 key of a seed. Its name is made from the public key: it names the installation, nobody has to configure
    /// it, and it stays the same on every node and under every address for as long as the key does.
    pub fn of_seed(seed: [u8; 32]) -> Self {
        let signing_key = SigningKey::from_bytes(&seed);
        let public_key = signing_key.verifying_key();
        let digest = Sha256::digest(public_key.as_bytes());
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let line = signed_note::new_ed25519_verifier_key(&format!("annals-{name}"), &public_key);
        let public = PublicKey::parse(&line).expect("what signed_note makes it reads");
        let private = [&[ED25519], seed.as_slice()].concat();
        let (name, id) = (public.name(), public.verifier.key_id());
        let private = format!("PRIVATE+KEY+{name}+{id:08x}+{}", base64(&private));
        let signer = StandardSigner::new(&private).expect("the id is that of the public key");
        Self { signer, public }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a tenant's tree. The same tree gives the same checkpoint, to the byte.
    pub(super) fn sign(&self, tenant: TenantId, size: u64, root: Hash) -> Checkpoint {
        let text = Text::new(&self.public.origin(tenant), size, root, "").expect("an origin is not empty");
        let mut note = Note::new(&text.to_bytes(), &[]).expect("a checkpoint is a note's text");
        note.add_sigs(&[&self.signer]).expect("the key has a valid name");
        let note = String::from_utf8(note.to_bytes()).expect("a note is UTF-8");
        Checkpoint { tenant, size, root: root.0, note }
    }
}

/// The algorithm's number in C2SP signed-note.
const ED25519: u8 = 1;

fn base64(bytes: &[u8]) -> String {
    use ::base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

impl PublicKey {
    /// Reads a verifier key.
    pub fn parse(line: &str) -> Result<Self, PublicKeyError> {
        let line = line.trim().to_owned();
        let verifier = StandardVerifier::new(&line).map_err(|error| PublicKeyError(error.to_string()))?;
        Ok(Self { line, verifier })
    }

    /// The verifier key's text.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// The key's name, which is also the installation's.
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// What a tenant's checkpoints begin with: who signs, and for whom.
    pub fn origin(&self, tenant: TenantId) -> String {
        format!("{}/{tenant}", self.name())
    }

    /// Reads a checkpoint that this key has signed.
    pub fn open(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let known = VerifierList::new(vec![Box::new(self.verifier.clone())]);
        parsed.verify(&known).map_err(|error| match error {
            NoteError::UnverifiedNote => CheckpointError::OtherKey,
            _ => CheckpointError::Signature,
        })?;
        let text = Text::from_bytes(parsed.text()).map_err(|_| CheckpointError::Malformed)?;
        let (name, tenant) = text.origin().split_once('/').ok_or(CheckpointError::Origin)?;
        let tenant = tenant.parse().map_err(|_| CheckpointError::Origin)?;
        if name != self.name() {
            return Err(CheckpointError::Origin);
        }
        Ok(Checkpoint { tenant, size: text.size(), root: text.hash().0, note: note.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_can_be_opened_with_the_public_key_only() {
        let (key, other) = (NotaryKey::of_seed([1; 32]), NotaryKey::of_seed([2; 32]));
        let tenant = TenantId::random();
        let signed = key.sign(tenant, 7, Hash([9; 32]));
        let public = PublicKey::parse(&format!("{}\n", key.public().as_str())).unwrap();
        let opened = public.open(&signed.note).unwrap();
        assert_eq!((opened.tenant, opened.size, opened.root), (tenant, 7, [9; 32]));
        assert!(matches!(other.public().open(&signed.note), Err(CheckpointError::OtherKey)));
        let forged = signed.note.replacen("\n7\n", "\n8\n", 1);
        assert!(matches!(public.open(&forged), Err(CheckpointError::Signature)));
        assert!(matches!(public.open("nonsense"), Err(CheckpointError::Malformed)));
        assert!(PublicKey::parse("annals+00000000+AQ==").is_err());
    }

    /// The example of docs/journal-format.md.
    #[test]
    fn the_format_does_not_change() {
        let key = NotaryKey::of_seed([0; 32]);
        let leaf = "f4d388ebeb6eb0ccffb8c9ba8287fe21c6457c759384e297d74a792907326882";
        let leaf: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&leaf[2 * at..2 * at + 2], 16).unwrap()).collect();
        let signed = key.sign(TenantId::PLATFORM, 1, Hash(leaf.try_into().unwrap()));
        assert_eq!(
            key.public().as_str(),
            "annals-139e3940e64b5491+fda439a8+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
        );
        assert_eq!(
            signed.note,
            concat!(
                "annals-139e3940e64b5491/ten_00000000000000000000000000\n",
                "1\n",
                "9NOI6+tusMz/uMm6gof+IcZFfHWThOKX10p5KQcyaII=\n",
                "\n",
                "— annals-139e3940e64b5491 /aQ5qPfeIfQq+DGnFL41QXP1pKe2Yf8dh0otOi4APngdAZV4wzSE4XIqGUs31PwksY69/7KFTVq4YN1HSKjIxjuPWgk=\n",
            )
        );
    }
}
