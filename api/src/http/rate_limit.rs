//! How much of a limited route is left, as draft-ietf-httpapi-ratelimit-headers (revision 8 and later) tells it in
//! structured fields (RFC 9651).

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// A limit and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The policy's name, in ASCII.
    pub policy: &'static str,
    /// How many requests the window allows.
    pub quota: u64,
    /// The window.
    pub window: Duration,
    /// How many requests are left in it.
    pub remaining: u64,
    /// When there will be more.
    pub reset: Duration,
}

impl RateLimit {
    /// `RateLimit-Policy` and `RateLimit`, for an answer or a problem. A route with several limits appends all of them.
    pub fn fields(&self) -> [(HeaderName, String); 2] {
        let name = self.policy.replace('\\', "\\\\").replace('"', "\\\"");
        // Rounded up: who comes back a moment too early is refused.
        let reset = self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0);
        let policy = format!("\"{name}\";q={};w={}", self.quota, self.window.as_secs());
        let left = format!("\"{name}\";r={};t={reset}", self.remaining);
        [(HeaderName::from_static("ratelimit-policy"), policy), (HeaderName::from_static("ratelimit"), left)]
    }

    /// Appends the [fields](Self::fields) to an answer's headers.
    pub fn tell(&self, headers: &mut HeaderMap) {
        for (name, value) in self.fields() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_structured_fields() {
        let mut headers = HeaderMap::new();
        let login = RateLimit {
            policy: "login",
            quota: 5,
            window: Duration::from_secs(60),
            remaining: 3,
            reset: Duration::from_millis(41_001),
        };
        login.tell(&mut headers);
        RateLimit { policy: "a\"b", ..login }.tell(&mut headers);
        let told = |name: &str| {
            headers.get_all(name).map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(told("ratelimit-policy"), ["\"login\";q=5;w=60", "\"a\\\"b\";q=5;w=60"]);
        assert_eq!(told("ratelimit")[0], "\"login\";r=3;t=42");
    }
}
