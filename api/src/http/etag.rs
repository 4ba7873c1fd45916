//! `If-Match` (RFC 9110, section 13.1.1): change a thing only in the version that the caller has seen. A version is the
//! entity's sequence, told as its `ETag`.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap},
};

use application::expected::Expected;

use super::problem::Problem;

/// The versions in which the caller wants the change: any, if no condition was given or it is `*`; else those of the
/// listed tags that a sequence can have. Weak tags never match (RFC 9110, section 13.1.1), so they are left out.
///
/// The use case checks it in the commit that changes the thing, and refuses with 412.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(pub Expected);

impl IfMatch {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut sequences = Vec::new();
        let mut given = false;
        for value in headers.get_all(header::IF_MATCH) {
            given = true;
            let mut rest = value.to_str().ok()?.trim();
            if rest == "*" {
                return Some(Self(Expected::Any));
            }
            while !rest.is_empty() {
                let (weak, tag) = rest.strip_prefix("W/").map_or((false, rest), |tag| (true, tag));
                let (tag, after) = tag.strip_prefix('"')?.split_once('"')?;
                // Only as it was told: `"07"` is another tag than `"7"`.
                if let (false, Ok(sequence)) = (weak, tag.parse::<u64>())
                    && sequence.to_string() == tag
                {
                    sequences.push(sequence);
                }
                let after = after.trim_start();
                rest = match after.strip_prefix(',') {
                    Some(next) => next.trim_start(),
                    None if after.is_empty() => "",
                    None => return None,
                };
            }
        }
        Some(Self(if given { Expected::OneOf(sequences) } else { Expected::Any }))
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let detail = "If-Match must be * or a list of entity tags, such as \"7\"";
        ready(Self::of(request.headers()).ok_or_else(|| Problem::malformed("malformed_if_match", detail)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, test::TestRequest};

    use super::*;

    fn read(values: &[&str]) -> Result<Expected, Problem> {
        let request = values
            .iter()
            .fold(TestRequest::default(), |request, value| request.append_header((header::IF_MATCH, *value)));
        IfMatch::extract(&request.to_http_request()).into_inner().map(|condition| condition.0)
    }

    #[test]
    fn it_matches_what_etag_told() {
        assert_eq!(read(&[]).unwrap(), Expected::Any);
        assert_eq!(read(&["*"]).unwrap(), Expected::Any);
        assert_eq!(read(&["\"7\""]).unwrap(), Expected::OneOf(vec![7]));
        let several = read(&["\"7\" , W/\"8\",\"a,b\",\"07\", \"9\"", "\"1\""]).unwrap();
        assert_eq!(several, Expected::OneOf(vec![7, 9, 1]));
        assert!(!read(&["W/\"7\""]).unwrap().allows(7));
        assert!(!read(&[""]).unwrap().allows(7));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for wrong in ["7", "\"7", "\"7\" \"8\"", "w/\"7\"", "*, \"7\""] {
            assert_eq!(read(&[wrong]).unwrap_err().status_code().as_u16(), 400, "{wrong}");
        }
    }
}
