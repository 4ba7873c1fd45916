//! Sending requests, and looking at answers.

use std::fmt;

use api::http::answer::POSITION;
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use serde_json::Value;

/// Somebody who sends requests: with a token, a key, or nothing.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    authorization: Option<String>,
}

/// A request that is not sent yet.
pub(crate) struct Request {
    what: String,
    builder: RequestBuilder,
}

/// What was answered.
pub(crate) struct Answer {
    what: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Client {
    /// Somebody unknown.
    pub(crate) fn new(base: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, base, authorization: None }
    }

    /// Somebody who calls from an address of this machine, with a program of that name.
    pub(crate) fn from(&self, address: &str, user_agent: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().user_agent(user_agent);
        let http = http.local_address(Some(address.parse().unwrap())).build().unwrap();
        Self { http, ..self.clone() }
    }

    /// The same connection with an `Authorization` header.
    pub(crate) fn authorized(&self, authorization: impl Into<String>) -> Self {
        Self { authorization: Some(authorization.into()), ..self.clone() }
    }

    /// The same caller at another server.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// With a bearer's token.
    pub(crate) fn bearing(&self, token: &str) -> Self {
        self.authorized(format!("Bearer {token}"))
    }

    /// The `Authorization` header, if there is one.
    pub(crate) fn authorization(&self) -> &str {
        self.authorization.as_deref().unwrap_or_default()
    }

    /// Where requests go.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        let mut builder = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        Request { what: format!("{method} {path}"), builder }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path).json(&body).send().await
    }

    /// A POST that may be sent again.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.request(Method::POST, path).header("idempotency-key", key).json(body).send().await
    }

    /// A POST without a body.
    pub(crate) async fn act(&self, path: &str) -> Answer {
        self.request(Method::POST, path).send().await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PATCH, path).json(&body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).send().await
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    /// A body of these very bytes, said to be JSON.
    pub(crate) fn raw(self, body: impl Into<Vec<u8>>) -> Self {
        self.body("application/json", body)
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.builder = self.builder.header(CONTENT_TYPE, content_type).body(body.into());
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let what = self.what.clone();
        self.try_send().await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// The same at a server that may go away.
    pub(crate) async fn try_send(self) -> reqwest::Result<Answer> {
        let response = self.builder.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { what: self.what, status: status.as_u16(), headers, text, json })
    }
}

impl Answer {
    /// The same answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status.as_u16(), "{self:?}");
        self
    }

    /// The same answer, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    /// The same answer, which must be a problem of this status and code, in the shape that every problem has.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], status, "{self:?}");
        assert_eq!(self.json["type"], format!("/problems/{code}"), "{self:?}");
        assert_eq!(self.json["request_id"], self.headers["x-request-id"].to_str().unwrap(), "{self:?}");
        assert!(self.json["title"].is_string() && self.json["detail"].is_string(), "{self:?}");
        self
    }

    /// What `data` says.
    #[track_caller]
    pub(crate) fn data(&self) -> &Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        &self.json["data"]
    }

    /// A text of `data`.
    #[track_caller]
    pub(crate) fn text_of(&self, field: &str) -> String {
        self.data()[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned()
    }

    /// The items of a list.
    #[track_caller]
    pub(crate) fn items(&self) -> &[Value] {
        self.data().as_array().unwrap_or_else(|| panic!("no list: {self:?}"))
    }

    /// One field of each item of a list.
    #[track_caller]
    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        self.items().iter().map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The problem's code.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// The faulty fields with what is wrong with them: `/email=required`.
    pub(crate) fn faults(&self) -> Vec<String> {
        let fault = |error: &Value| {
            format!("{}={}", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())
        };
        self.json["errors"].as_array().into_iter().flatten().map(fault).collect()
    }

    /// The journal's position that the answer tells.
    #[track_caller]
    pub(crate) fn position(&self) -> u64 {
        let position = self.headers.get(POSITION.as_str());
        let position = position.unwrap_or_else(|| panic!("no position: {self:?}"));
        position.to_str().unwrap().parse().unwrap()
    }

    /// The entity's version.
    #[track_caller]
    pub(crate) fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }

    /// A header's value, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Whether the answer was given before.
    pub(crate) fn is_replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// The same answer, which must be that of an earlier request, byte for byte, headers included.
    #[track_caller]
    pub(crate) fn replays(self, first: &Self) -> Self {
        assert!(self.is_replayed() && !first.is_replayed(), "{self:?} after {first:?}");
        assert_eq!((self.status, &self.text), (first.status, &first.text));
        assert_eq!(self.lasting_headers(), first.lasting_headers(), "{self:?}");
        self
    }

    /// The headers but for those of the single exchange.
    fn lasting_headers(&self) -> Vec<(&str, &[u8])> {
        const OF_EXCHANGE: &[&str] =
            &["x-request-id", "date", "ratelimit", "ratelimit-policy", "idempotent-replayed"];
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut headers: Vec<_> = headers.filter(|(name, _)| !OF_EXCHANGE.contains(name)).collect();
        headers.sort_unstable();
        headers
    }

    /// The body but for the request's id: what two answers that tell nothing have in common.
    pub(crate) fn anonymized(&self) -> Value {
        let mut json = self.json.clone();
        if let Some(object) = json.as_object_mut() {
            object.remove("request_id");
        }
        json
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} -> {} {}", self.what, self.status, self.text)
    }
}
