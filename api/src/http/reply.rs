//! An answer as it is sent: status, headers, and the bytes of the body. It can be kept and sent again.

use actix_web::{
    HttpResponse,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use application::error::Error;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// An answer as it is sent, but for what belongs to the single exchange: the request's id, limits, encodings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

/// What a handler can answer with.
pub trait Answer {
    /// The answer as it is sent.
    fn reply(&self) -> Result<Reply, Problem>;
}

/// What is in front of a kept body: one line of JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: StatusCode, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { status, headers, body: Vec::new() }
    }

    /// An answer in JSON.
    pub fn json(
        status: StatusCode,
        mut headers: Vec<(HeaderName, HeaderValue)>,
        body: &impl Serialize,
    ) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(Problem::internal)?;
        headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        Ok(Self { status, headers, body })
    }

    /// The response to send.
    pub fn respond(self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        if self.body.is_empty() { response } else { response.set_body(BoxBody::new(self.body)) }
    }

    /// The bytes to keep.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let texts = self.headers.iter().map(|(name, value)| {
            Ok((name.as_str().to_owned(), value.to_str().map_err(Error::internal)?.to_owned()))
        });
        let headers = texts.collect::<Result<_, Error>>()?;
        let mut bytes =
            serde_json::to_vec(&Head { status: self.status.as_u16(), headers }).map_err(Error::internal)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }

    /// The answer that was kept.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| Error::internal("a kept answer has a head"))?;
        let (head, body) = (&bytes[..end], bytes[end + 1..].to_vec());
        let Head { status, headers } = serde_json::from_slice(head).map_err(Error::internal)?;
        let status = StatusCode::from_u16(status).map_err(Error::internal)?;
        let header = |(name, value): (String, String)| {
            let value = HeaderValue::from_str(&value).map_err(Error::internal)?;
            Ok((name.parse::<HeaderName>().map_err(Error::internal)?, value))
        };
        let headers = headers.into_iter().map(header).collect::<Result<_, Error>>()?;
        Ok(Self { status, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::{MessageBody, to_bytes};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_what_is_sent(
            status in 200_u16..300,
            headers in proptest::collection::vec(("[a-z]{1,9}", "[ -~]{0,20}"), 0..4),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let header = |(name, value): (String, String)| {
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap())
            };
            let headers = headers.into_iter().map(header).collect();
            let reply = Reply { status: StatusCode::from_u16(status).unwrap(), headers, body };
            prop_assert_eq!(&Reply::from_bytes(&reply.to_bytes().unwrap()).unwrap(), &reply);
        }
    }

    #[actix_web::test]
    async fn it_is_sent_with_all_its_headers() {
        let cookies = ["a=1", "b=2"].map(|value| (header::SET_COOKIE, HeaderValue::from_static(value)));
        let reply = Reply::json(StatusCode::CREATED, cookies.to_vec(), &"x").unwrap();
        let response = reply.respond();
        assert_eq!(
            (response.status(), response.headers().get_all(header::SET_COOKIE).count()),
            (StatusCode::CREATED, 2)
        );
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "application/json");
        assert_eq!(to_bytes(response.into_body()).await.unwrap(), "\"x\"");
        let nothing = Reply::empty(StatusCode::NO_CONTENT, vec![]).respond();
        assert!(nothing.into_body().size().is_eof());
    }
}
