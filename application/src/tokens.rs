//! Tokens that prove their own origin: what a link in a mail, a refresh cookie or an API key carries.
//!
//! A token is ids, a generation, and an HMAC-SHA256 over them (RFC 2104, FIPS 180-4), in base64url. Nothing secret is
//! stored anywhere: the worker that sends a mail makes the same token from the journal's event, and which generation
//! is the valid one is the aggregate's state. Rotating a token is raising its generation.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::ids::{InvitationId, SessionId, TenantId, UserId};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use uuid::Uuid;

/// What a token is for; a token of one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Purpose {
    VerifyEmail = 1,
    Invitation = 2,
    Refresh = 3,
}

/// Makes and checks tokens with the installation's key.
pub struct Tokens {
    key: SecretBox<[u8; 32]>,
}

/// Proves that its bearer reads the mail of a user's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationToken {
    /// Whose address.
    pub user: UserId,
    /// Which of the mails sent.
    pub generation: u32,
}

/// Proves that its bearer reads the mail of the invited address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvitationToken {
    /// Who invites.
    pub tenant: TenantId,
    /// To what.
    pub invitation: InvitationId,
    /// Which of the mails sent.
    pub generation: u32,
}

/// Continues a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// Which session.
    pub session: SessionId,
    /// How often it has been continued.
    pub generation: u32,
}

impl Tokens {
    /// Tokens under `key`. Another key makes every token out there invalid.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: SecretBox::new(Box::new(key)) }
    }

    /// The text of a verification token.
    pub fn verification(&self, token: VerificationToken) -> String {
        self.seal(Purpose::VerifyEmail, &[token.user.uuid()], token.generation)
    }

    /// The token that a text is, if it is a genuine one.
    pub fn open_verification(&self, text: &str) -> Option<VerificationToken> {
        let ([user], generation) = self.open(Purpose::VerifyEmail, text)?;
        Some(VerificationToken { user: user.into(), generation })
    }

    /// The text of an invitation token.
    pub fn invitation(&self, token: InvitationToken) -> String {
        self.seal(Purpose::Invitation, &[token.tenant.uuid(), token.invitation.uuid()], token.generation)
    }

    /// The token that a text is, if it is a genuine one.
    pub fn open_invitation(&self, text: &str) -> Option<InvitationToken> {
        let ([tenant, invitation], generation) = self.open(Purpose::Invitation, text)?;
        Some(InvitationToken { tenant: tenant.into(), invitation: invitation.into(), generation })
    }

    /// The text of a refresh token.
    pub fn refresh(&self, token: RefreshToken) -> String {
        self.seal(Purpose::Refresh, &[token.session.uuid()], token.generation)
    }

    /// The token that a text is, if it is a genuine one.
    pub fn open_refresh(&self, text: &str) -> Option<RefreshToken> {
        let ([session], generation) = self.open(Purpose::Refresh, text)?;
        Some(RefreshToken { session: session.into(), generation })
    }

    fn seal(&self, purpose: Purpose, ids: &[Uuid], generation: u32) -> String {
        let mut bytes = ids.iter().flat_map(Uuid::as_bytes).copied().collect::<Vec<u8>>();
        bytes.extend(generation.to_be_bytes());
        let mac = self.mac(purpose, &bytes).finalize().into_bytes();
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open<const IDS: usize>(&self, purpose: Purpose, text: &str) -> Option<([Uuid; IDS], u32)> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok()?;
        let (content, mac) = bytes.split_at_checked(IDS * 16 + 4)?;
        // In constant time, and only for the full length.
        self.mac(purpose, content).verify_slice(mac).ok()?;
        let (ids, generation) = content.split_at(IDS * 16);
        let mut parsed = [Uuid::nil(); IDS];
        for (id, bytes) in parsed.iter_mut().zip(ids.chunks_exact(16)) {
            *id = Uuid::from_slice(bytes).ok()?;
        }
        Some((parsed, u32::from_be_bytes(generation.try_into().ok()?)))
    }

    fn mac(&self, purpose: Purpose, content: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("HMAC takes a key of any length");
        mac.update(&[purpose as u8]);
        mac.update(content);
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> Tokens {
        Tokens::new([7; 32])
    }

    #[test]
    fn a_token_opens_for_its_purpose_and_key_only() {
        let token = VerificationToken { user: UserId::random(), generation: 3 };
        let text = tokens().verification(token);
        assert_eq!(tokens().open_verification(&text), Some(token));
        assert_eq!(tokens().open_refresh(&text), None);
        assert_eq!(Tokens::new([8; 32]).open_verification(&text), None);
    }

    #[test]
    fn a_changed_or_shortened_token_does_not_open() {
        let token = RefreshToken { session: SessionId::random(), generation: 1 };
        let text = tokens().refresh(token);
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert_eq!(tokens().open_refresh(&URL_SAFE_NO_PAD.encode(&bytes)), None);
            bytes[index] ^= 1;
            assert_eq!(tokens().open_refresh(&URL_SAFE_NO_PAD.encode(&bytes[..index])), None);
        }
    }

    proptest! {
        #[test]
        fn garbage_never_opens(text in "\\PC{0,120}") {
            prop_assert_eq!(tokens().open_invitation(&text), None);
        }
    }
}
