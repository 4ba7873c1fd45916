//! A feature as features are written, and requests to it.

use std::sync::OnceLock;

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::{StatusCode, header},
    post,
    test::{TestRequest, init_service, read_body},
    web,
};
use application::error::Error;
use domain::{
    ids::{InvitationId, TenantId},
    permission::Role,
    text::Email,
};
use serde_json::Value;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    answer::{Data, Done, List},
    body::{Json, body},
    listing::Listing,
    metrics::{self, Metrics},
    path::Ids,
    payload::RawBody,
    problem::Problem,
    query::{Query, query},
    request_span::record_tenant,
    server::app,
};

body! {
    /// Whom to invite.
    struct Invite {
        /// The address.
        email: Email,
        /// The role offered.
        role: Role,
    }
}

query! {
    /// Which things.
    struct Filter {
        /// With this role.
        role: Option<Role>,
    }
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct Thing {
    name: String,
}

fn thing() -> Thing {
    Thing { name: "x".repeat(2_000) }
}

#[utoipa::path(tag = "members", params(Listing<Filter, InvitationId>), responses((status = 200, body = List<Thing>)))]
#[get("/v1/tenants/{tenant}/things")]
async fn list_things(
    request: HttpRequest,
    ids: Ids<TenantId>,
    query: Query<Listing<Filter, InvitationId>>,
) -> Result<List<Thing>, Problem> {
    record_tenant(&request, ids.0);
    assert!(query.0.filter.role.is_none());
    Ok(query.0.list(vec![thing()], Some(InvitationId::random()), 7))
}

#[utoipa::path(tag = "members", responses((status = 201, body = Data<Thing>)))]
#[post("/v1/tenants/{tenant}/things")]
async fn make_thing(ids: Ids<TenantId>, body: Json<Invite>) -> Result<Data<Thing>, Problem> {
    let Invite { email, role } = body.value;
    assert!(!email.as_str().is_empty() && role == Role::Admin && !body.text.is_empty());
    Ok(Data::created(thing(), format!("/v1/tenants/{}/things/1", ids.0)).at(8))
}

#[utoipa::path(tag = "members", responses((status = 204)))]
#[delete("/v1/tenants/{tenant}/things/{invitation}")]
async fn drop_thing(ids: Ids<(TenantId, InvitationId)>) -> Result<Done, Problem> {
    let (_, invitation) = ids.0;
    if invitation == InvitationId::from(uuid::Uuid::nil()) {
        Ok(Done { position: 1 })
    } else {
        Err(Error::not_found().into())
    }
}

#[utoipa::path(tag = "tracking", security(("basic" = [])), request_body = Object, responses((status = 200)))]
#[post("/v1/batch")]
async fn batch(body: RawBody<4_000_000>) -> impl Responder {
    HttpResponse::Ok().body(body.0.len().to_string())
}

#[utoipa::path(tag = "admin", responses((status = 200)))]
#[get("/v1/broken/{how}")]
async fn broken(how: Ids<String>) -> Result<HttpResponse, actix_web::Error> {
    match how.0.as_str() {
        "panic" => panic!("hunter2"),
        "internal" => Err(Problem::from(Error::internal("hunter2")).into()),
        "away" => Err(Problem::from(Error::Unavailable("hunter2".into())).into()),
        "foreign" => Err(actix_web::error::ErrorBadGateway("hunter2")),
        "large" => Err(actix_web::error::ErrorPayloadTooLarge("hunter2")),
        _ => Ok(HttpResponse::Forbidden().finish()),
    }
}

pub(super) fn features(config: &mut ServiceConfig) {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    let figures = METRICS.get_or_init(|| Metrics::install().unwrap()).clone();
    config.app_data(web::Data::new(figures));
    config
        .service(list_things)
        .service(make_thing)
        .service(drop_thing)
        .service(batch)
        .service(broken)
        .service(metrics::prometheus);
}

pub(super) async fn send(request: TestRequest) -> (StatusCode, header::HeaderMap, String) {
    let app = init_service(app(features)).await;
    // As a client sees it: an error of a middleware becomes its response.
    let response = match actix_web::dev::Service::call(&app, request.to_request()).await {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => {
            let request = TestRequest::default().to_http_request();
            actix_web::dev::ServiceResponse::new(request, error.error_response()).map_into_boxed_body()
        }
    };
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, String::from_utf8_lossy(&read_body(response).await).into_owned())
}

/// The problem that a request gets, checked for what every problem has.
pub(super) async fn problem(request: TestRequest) -> (u16, String, Value) {
    let (status, headers, body) = send(request.insert_header(("x-request-id", "my-request"))).await;
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{status} {error}: {body}"));
    assert_eq!(headers.get("content-type").unwrap(), "application/problem+json");
    assert_eq!(headers.get("x-request-id").unwrap(), "my-request");
    assert_eq!(headers.get("x-content-type-options").unwrap(), "nosniff");
    assert_eq!(body["request_id"], "my-request");
    assert_eq!(body["status"], status.as_u16());
    assert_eq!(body["type"], format!("/problems/{}", body["code"].as_str().unwrap()));
    assert!(!body.to_string().contains("hunter2"), "{body}");
    (status.as_u16(), body["code"].as_str().unwrap().to_owned(), body)
}

pub(super) fn things() -> String {
    format!("/v1/tenants/{}/things", TenantId::random())
}

pub(super) fn post_json(body: &'static [u8]) -> TestRequest {
    TestRequest::post().uri(&things()).insert_header(("content-type", "application/json")).set_payload(body)
}
