//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the client's name for a request, by which it is recognized
//! when it is sent again.

use actix_web::http::header::{HeaderMap, HeaderName};

use super::problem::Problem;

/// The header that it is sent in.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before, as Stripe has it.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How many characters a key has at most.
const MAX_CHARACTERS: usize = 255;

/// A key, as the draft has it (a string of RFC 9651, in quotes) or bare, as everybody sends it: the two are the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of a request, if it has one.
    ///
    /// # Errors
    /// 400 if it is none: it must be 1 to 255 visible ASCII characters, in quotes also spaces, and be there once.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER);
        let Some(value) = values.next() else { return Ok(None) };
        let text = if values.next().is_some() { None } else { value.to_str().ok() };
        let key = text.map(str::trim).and_then(|text| match text.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned()),
        });
        match key.filter(|key| (1..=MAX_CHARACTERS).contains(&key.len())) {
            Some(key) => Ok(Some(Self(key))),
            None => {
                let detail =
                    "Idempotency-Key must be 1 to 255 visible ASCII characters, bare or in quotes, once";
                Err(Problem::malformed("invalid_idempotency_key", detail))
            }
        }
    }

    /// The key without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The string whose opening quote has been read (RFC 9651, section 4.2.5); nothing may follow it.
fn unquoted(text: &str) -> Option<String> {
    let (mut key, mut letters) = (String::new(), text.chars());
    loop {
        match letters.next()? {
            '"' => return letters.next().is_none().then_some(key),
            '\\' => key.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            letter @ ' '..='~' => key.push(letter),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, http::header::HeaderValue};

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, (u16, &'static str)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        let key = IdempotencyKey::of(&headers);
        key.map(|key| key.map(|key| key.0))
            .map_err(|problem| (problem.status_code().as_u16(), problem.code()))
    }

    #[test]
    fn bare_and_quoted_are_the_same_key() {
        assert_eq!(read(&[]), Ok(None));
        for (sent, key) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (" k ", "k"),
            ("a\"b", "a\"b"),
            (r#""a\"b\\c d""#, r#"a"b\c d"#),
            (&"x".repeat(255), &"x".repeat(255)),
            (&format!("\"{}\"", "x".repeat(255)), &"x".repeat(255)),
        ] {
            assert_eq!(read(&[sent.as_bytes()]), Ok(Some(key.to_owned())), "{sent}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(256);
        for wrong in [
            "",
            " ",
            "\"\"",
            "a b",
            "a, b",
            &long,
            &format!("\"{long}\""),
            "\"a",
            "\"a\"b",
            "\"a\";p=1",
            "\"a\\",
            r#""a\b""#,
            "k\u{e9}y",
            "\"k\u{e9}y\"",
        ] {
            assert_eq!(read(&[wrong.as_bytes()]), Err((400, "invalid_idempotency_key")), "{wrong}");
        }
        assert_eq!(read(&[b"\xff"]), Err((400, "invalid_idempotency_key")));
        assert_eq!(read(&[b"a", b"a"]), Err((400, "invalid_idempotency_key")));
    }
}
