//! The bytes of a body: of a type that is read here, in time, and no more than the route takes.

use std::{io::Read, time::Duration};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap},
    web::{Bytes, BytesMut},
};
use futures_util::{StreamExt, future::LocalBoxFuture};

use super::problem::Problem;

/// How long a body may take to arrive; a slow one would hold its connection for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body whose content its route looks into by itself, as a batch of events does: one bad event must not fail the
/// others, so nothing but type, encoding and size is checked.
///
/// Besides JSON it takes `text/plain`, which analytics.js sends to spare its users a CORS preflight.
#[derive(Debug)]
pub struct RawBody<const LIMIT: usize>(pub Bytes);

impl<const LIMIT: usize> FromRequest for RawBody<LIMIT> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            if !is_json(&request) && request.content_type() != "text/plain" {
                return Err(not_json());
            }
            read(request.headers(), payload, LIMIT).await.map(Self)
        })
    }
}

/// Whether the body says that it is JSON (RFC 8259) or something written in it (RFC 6839, section 3.1).
pub fn is_json(request: &HttpRequest) -> bool {
    let content_type = request.content_type().to_ascii_lowercase();
    content_type == "application/json"
        || (content_type.starts_with("application/") && content_type.ends_with("+json"))
}

/// The refusal of a body that is not JSON.
pub fn not_json() -> Problem {
    Problem::unsupported_media_type("the body must be JSON, with Content-Type: application/json")
        .header(header::ACCEPT, "application/json")
}

/// The body's bytes, decompressed: at most `limit` of them.
pub async fn read(headers: &HeaderMap, payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let gzipped = match headers
        .get(header::CONTENT_ENCODING)
        .map(|encoding| encoding.as_bytes().to_ascii_lowercase())
    {
        None => false,
        Some(encoding) if encoding.trim_ascii() == b"identity" => false,
        Some(encoding) if matches!(encoding.trim_ascii(), b"gzip" | b"x-gzip") => true,
        // RFC 9110, section 15.5.16: the answer names the encodings that would do.
        Some(_) => {
            return Err(Problem::unsupported_media_type("the body may be encoded with gzip, or not at all")
                .header(header::ACCEPT_ENCODING, "gzip"));
        }
    };
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    // Compressing makes a body longer by some bytes at most, so the limit holds for what is sent too.
    if length.is_some_and(|length| length > limit.saturating_add(1024)) {
        return Err(Problem::payload_too_large(limit));
    }
    let sent = tokio::time::timeout(PATIENCE, collect(payload, limit.saturating_add(1024)))
        .await
        .map_err(|_| Problem::request_timeout())?
        .and_then(|sent| sent.ok_or_else(|| Problem::payload_too_large(limit)))?;
    let bytes = if gzipped { gunzip(&sent, limit)? } else { sent };
    if bytes.len() > limit { Err(Problem::payload_too_large(limit)) } else { Ok(bytes) }
}

/// All bytes of `payload`; `None` if there are more than `limit`.
async fn collect(mut payload: Payload, limit: usize) -> Result<Option<Bytes>, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|_| Problem::malformed("incomplete_body", "the body ended before its end"))?;
        if bytes.len() + chunk.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

/// Stops after `limit` bytes, so that a small body can't fill the memory.
fn gunzip(sent: &[u8], limit: usize) -> Result<Bytes, Problem> {
    let mut bytes = Vec::with_capacity(sent.len().saturating_mul(3).min(limit));
    flate2::read::MultiGzDecoder::new(sent).take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|_| {
        Problem::malformed("malformed_gzip", "the body is not the gzip that Content-Encoding says")
    })?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use actix_web::{
        ResponseError,
        http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
        test::TestRequest,
    };
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const LIMIT: usize = 1_000;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    async fn receive(request: TestRequest) -> Result<Bytes, Problem> {
        let (request, mut payload) = request.to_http_parts();
        RawBody::<LIMIT>::from_request(&request, &mut payload).await.map(|body| body.0)
    }

    fn json() -> TestRequest {
        TestRequest::post().insert_header((CONTENT_TYPE, "application/json"))
    }

    fn gzipped() -> TestRequest {
        json().insert_header((CONTENT_ENCODING, "gzip"))
    }

    #[actix_web::test]
    async fn the_limit_holds_for_what_is_sent_and_for_what_it_unfolds_to() {
        assert_eq!(receive(json().set_payload(vec![b' '; LIMIT])).await.unwrap().len(), LIMIT);
        assert_eq!(receive(gzipped().set_payload(gzip(&[b' '; LIMIT]))).await.unwrap().len(), LIMIT);
        let bomb = gzip(&vec![b' '; 10_000_000]);
        assert!(bomb.len() < 100_000);
        for request in [
            json().set_payload(vec![b' '; LIMIT + 1]),
            json().set_payload(vec![b' '; 100 * LIMIT]),
            json().insert_header((CONTENT_LENGTH, "999999999999")),
            gzipped().set_payload(gzip(&[b' '; LIMIT + 1])),
            gzipped().set_payload(bomb),
        ] {
            assert_eq!(receive(request).await.unwrap_err().status_code().as_u16(), 413);
        }
        // The limit itself decides, whatever the decoder would still make of the rest.
        assert_eq!(gunzip(&gzip(&vec![b' '; 10_000_000]), LIMIT).unwrap().len(), LIMIT + 1);
    }

    #[actix_web::test]
    async fn what_is_no_gzip_is_refused() {
        let mut cut = gzip(b"{\"hunter2\": 1}");
        cut.truncate(cut.len() - 5);
        for body in [b"{}".to_vec(), cut] {
            let problem = receive(gzipped().set_payload(body)).await.unwrap_err();
            assert_eq!((problem.status_code().as_u16(), problem.code()), (400, "malformed_gzip"));
        }
        let problem =
            receive(json().insert_header((CONTENT_ENCODING, "br")).set_payload("{}")).await.unwrap_err();
        assert_eq!(problem.status_code().as_u16(), 415);
        assert_eq!(problem.error_response().headers().get(ACCEPT_ENCODING).unwrap(), "gzip");
    }

    #[actix_web::test]
    async fn the_type_must_be_told() {
        for (content_type, taken) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON", true),
            ("application/cloudevents+json", true),
            ("text/plain", true),
            ("text/html", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            let request = TestRequest::post().insert_header((CONTENT_TYPE, content_type)).set_payload("{}");
            assert_eq!(receive(request).await.is_ok(), taken, "{content_type}");
        }
        let problem = receive(TestRequest::post().set_payload("{}")).await.unwrap_err();
        assert_eq!(problem.status_code().as_u16(), 415);
    }
}
