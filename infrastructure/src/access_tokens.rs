//! Access tokens: JSON Web Tokens (RFC 7519) that say who is signed in, in which session, for fifteen minutes.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

/// How long an access token is good for. Ending its session ends it sooner.
pub const LIFETIME_SECONDS: i64 = 900;

/// Signs and checks access tokens.
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who is signed in.
    pub sub: UserId,
    /// In which session.
    pub sid: SessionId,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
}

impl AccessTokens {
    /// Tokens signed with HMAC-SHA256 under `key`.
    pub fn new(key: [u8; 32]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        Self {
            encoding: EncodingKey::from_secret(&key),
            decoding: DecodingKey::from_secret(&key),
            validation,
        }
    }

    /// A token for a session, issued at `now`.
    pub fn issue(
        &self,
        user: UserId,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<String, application::error::Error> {
        let exp = (now + TimeDelta::seconds(LIFETIME_SECONDS)).timestamp();
        let claims = Claims { sub: user, sid: session, iat: now.timestamp(), exp };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(application::error::Error::internal)
    }

    /// What a token says, if it is genuine and has not expired.
    pub fn open(&self, token: &str) -> Option<Claims> {
        decode::<Claims>(token, &self.decoding, &self.validation).ok().map(|token| token.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_until_it_expires_and_under_its_key_only() {
        let (tokens, user, session) = (AccessTokens::new([1; 32]), UserId::random(), SessionId::random());
        let token = tokens.issue(user, session, Utc::now()).unwrap();
        let claims = tokens.open(&token).unwrap();
        assert_eq!((claims.sub, claims.sid), (user, session));
        assert_eq!(AccessTokens::new([2; 32]).open(&token), None);
        let old = Utc::now() - TimeDelta::seconds(LIFETIME_SECONDS + 1);
        assert_eq!(tokens.open(&tokens.issue(user, session, old).unwrap()), None);
    }

    #[test]
    fn an_unsigned_token_does_not_open() {
        // {"alg":"none"} with a far expiry: the classic forgery.
        let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTl9.";
        assert_eq!(AccessTokens::new([1; 32]).open(token), None);
    }
}
