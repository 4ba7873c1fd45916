//! Headers that tell browsers to do less.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// Nothing that is answered here is a page, but for the documentation.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The documentation runs its own scripts; its styles are partly inline, its icons are `data:`.
const DOCS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
);

/// Adds to the answer of `path` what it has not set by itself.
pub fn set(path: &str, headers: &mut HeaderMap) {
    let is_docs = path == "/docs" || path.starts_with("/docs/");
    if path.starts_with("/v1/auth/") {
        // Tokens and passwords are in there, whatever the handler thinks of caching.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let mut unless_set = |name, value| {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    };
    unless_set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    unless_set(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    unless_set(header::CONTENT_SECURITY_POLICY, if is_docs { DOCS } else { NO_PAGE });
    if path.starts_with("/v1/") {
        // Kept by the caller alone, and asked again before it is used.
        unless_set(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(path: &str, name: &str) -> String {
        let mut headers = HeaderMap::new();
        set(path, &mut headers);
        headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn only_the_documentation_may_run_scripts() {
        assert!(sent("/docs/index.html", "content-security-policy").contains("script-src 'self';"));
        for path in ["/v1/me", "/docsx", "/"] {
            assert_eq!(sent(path, "content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
            assert_eq!(sent(path, "x-content-type-options"), "nosniff");
            assert_eq!(sent(path, "referrer-policy"), "no-referrer");
        }
    }

    #[test]
    fn no_token_is_cached() {
        assert_eq!(sent("/v1/auth/login", "cache-control"), "no-store");
        assert_eq!(sent("/v1/me", "cache-control"), "private, no-cache");
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        set("/v1/plans", &mut headers);
        assert_eq!(headers.get("cache-control").unwrap(), "max-age=60");
        set("/v1/auth/login", &mut headers);
        assert_eq!(headers.get("cache-control").unwrap(), "no-store");
    }
}
