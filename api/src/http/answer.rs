//! What is answered: one thing, or a page of a list. With the position of the journal that the answer has seen.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use serde::Serialize;

use super::{
    problem::Problem,
    reply::{Answer, Reply},
};

/// The position of the tenant's journal: on a write the one it reached, on a read the one it has seen.
pub const POSITION: HeaderName = HeaderName::from_static("annals-position");

/// One thing: `{"data": {…}}`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Data<T> {
    /// The thing.
    pub data: T,
    #[serde(skip)]
    #[schema(ignore)]
    head: Head,
}

/// A page of a list: `{"data": […], "meta": {…}}`. Made by [`Listing::list`](super::listing::Listing::list).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct List<T> {
    /// The items, in order.
    pub data: Vec<T>,
    /// How to go on.
    pub meta: ListMeta,
    #[serde(skip)]
    #[schema(ignore)]
    head: Head,
}

/// How to go on in a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ListMeta {
    /// Whether there are more items.
    pub has_more: bool,
    /// The `cursor` of the next page; `null` on the last one.
    pub next_cursor: Option<String>,
}

/// Status and headers.
#[derive(Debug)]
struct Head {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Default for Head {
    fn default() -> Self {
        Self { status: StatusCode::OK, headers: Vec::new() }
    }
}

impl Head {
    fn set(&mut self, name: HeaderName, value: impl ToString) {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.headers.push((name, value));
        }
    }

    fn reply(&self, body: &impl Serialize) -> Result<Reply, Problem> {
        Reply::json(self.status, self.headers.clone(), body)
    }
}

impl<T> Data<T> {
    /// A thing that was asked for (200).
    pub fn new(data: T) -> Self {
        Self { data, head: Head::default() }
    }

    /// A thing that was made (201), and where it is.
    pub fn created(data: T, location: impl ToString) -> Self {
        let mut created = Self::new(data);
        created.head.status = StatusCode::CREATED;
        created.head.set(header::LOCATION, location);
        created
    }

    /// A thing that will be done (202).
    pub fn accepted(data: T) -> Self {
        Self { data, head: Head { status: StatusCode::ACCEPTED, ..Head::default() } }
    }

    /// With the position that the answer has seen, or the write has reached.
    #[must_use]
    pub fn at(mut self, position: u64) -> Self {
        self.head.set(POSITION, position);
        self
    }

    /// With the entity's sequence as its `ETag`.
    #[must_use]
    pub fn sequence(mut self, sequence: u64) -> Self {
        self.head.set(header::ETAG, format!("\"{sequence}\""));
        self
    }

    /// With another header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl ToString) -> Self {
        self.head.set(name, value);
        self
    }
}

impl<T> List<T> {
    pub(super) fn new(data: Vec<T>, meta: ListMeta, position: u64) -> Self {
        let mut head = Head::default();
        head.set(POSITION, position);
        Self { data, meta, head }
    }
}

impl<T: Serialize> Answer for Data<T> {
    fn reply(&self) -> Result<Reply, Problem> {
        self.head.reply(self)
    }
}

impl<T: Serialize> Responder for Data<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(self.reply())
    }
}

impl<T: Serialize> Responder for List<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(self.head.reply(&self))
    }
}

fn respond(reply: Result<Reply, Problem>) -> HttpResponse {
    reply.map_or_else(HttpResponse::from_error, Reply::respond)
}

/// Nothing to tell but that it is done (204), and the position that the write has reached.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// The position of the tenant's journal.
    pub position: u64,
}

impl Answer for Done {
    fn reply(&self) -> Result<Reply, Problem> {
        let position = (POSITION, HeaderValue::from(self.position));
        Ok(Reply::empty(StatusCode::NO_CONTENT, vec![position]))
    }
}

impl Responder for Done {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(self.reply())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{body::to_bytes, test::TestRequest};

    use super::*;

    async fn sent(answer: impl Responder<Body = BoxBody>) -> (StatusCode, header::HeaderMap, String) {
        let response = answer.respond_to(&TestRequest::default().to_http_request());
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, String::from_utf8(to_bytes(response.into_body()).await.unwrap().to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn one_thing_is_in_data() {
        let (status, headers, body) = sent(Data::created("x", "/v1/things/1").at(7).sequence(3)).await;
        assert_eq!((status, body.as_str()), (StatusCode::CREATED, r#"{"data":"x"}"#));
        assert_eq!(headers.get("annals-position").unwrap(), "7");
        assert_eq!(headers.get("etag").unwrap(), "\"3\"");
        assert_eq!(headers.get("location").unwrap(), "/v1/things/1");
        assert_eq!(headers.get("content-type").unwrap(), "application/json");
    }

    #[actix_web::test]
    async fn a_page_says_how_to_go_on() {
        let meta = ListMeta { has_more: false, next_cursor: None };
        let (_, headers, body) = sent(List::new(vec![1, 2], meta, 9)).await;
        assert_eq!(body, r#"{"data":[1,2],"meta":{"has_more":false,"next_cursor":null}}"#);
        assert_eq!(headers.get("annals-position").unwrap(), "9");
        assert_eq!(sent(Done { position: 4 }).await.1.get("annals-position").unwrap(), "4");
    }
}
