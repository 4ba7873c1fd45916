use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use actix_web::test::TestRequest;
use domain::ids::{InvitationId, TenantId};
use serde_json::Value;

use super::*;
use crate::http::example::{post_json, problem, send, things};

#[actix_web::test]
async fn a_good_request_goes_through() {
    let (status, headers, body) =
        send(post_json(br#"{"email": "ada@example.com", "role": "admin", "unknown": 1}"#)).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    assert_eq!(headers.get("annals-position").unwrap(), "8");
    assert!(headers.get("x-request-id").unwrap().to_str().unwrap().starts_with("req_"));
    assert_eq!(headers.get("cache-control").unwrap(), "private, no-cache");
    let (status, _, body) = send(TestRequest::get().uri(&things())).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["meta"]["has_more"]), (StatusCode::OK, &true.into()));
}

#[actix_web::test]
async fn what_can_not_be_read_is_a_problem() {
    let deep = "[".repeat(60_000).leak().as_bytes();
    for (body, status, code) in [
        (&b"{"[..], 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"{\"email\": \"\xff\"}", 400, "malformed_json"),
        (b"{\"email\": \"hunter2\", \"email\": \"hunter2\"}", 400, "malformed_json"),
        (deep, 400, "malformed_json"),
        (vec![b' '; 70_000].leak(), 413, "payload_too_large"),
        (b"{\"email\": \"hunter2\", \"role\": \"\\u0000\"}", 422, "validation_failed"),
    ] {
        let (sent_status, sent_code, _) = problem(post_json(body)).await;
        assert_eq!((sent_status, sent_code.as_str()), (status, code));
    }
    let (_, _, body) = problem(post_json(br#"{"email": 1}"#)).await;
    assert_eq!(
        body["errors"],
        serde_json::json!([
            {"pointer": "/email", "code": "wrong_type", "detail": "must be a string"},
            {"pointer": "/role", "code": "required", "detail": "is missing"},
        ])
    );
    let untyped = TestRequest::post().uri(&things()).set_payload("{}");
    assert_eq!(problem(untyped).await.0, 415);
    let (status, _, body) =
        problem(TestRequest::get().uri(&format!("{}?limit=0&cursor=x&role=king", things()))).await;
    assert_eq!((status, body["errors"].as_array().unwrap().len()), (422, 3));
}

#[actix_web::test]
async fn an_unknown_a_foreign_and_a_malformed_id_look_the_same() {
    let revoke = async |id: &str| problem(TestRequest::delete().uri(&format!("{}/{id}", things()))).await;
    let unknown = revoke(&InvitationId::random().to_string()).await;
    assert_eq!((unknown.0, unknown.1.as_str()), (404, "not_found"));
    for id in ["inv_x", "x", "%00", "%ff", &TenantId::random().to_string()] {
        assert_eq!(revoke(id).await, unknown, "{id}");
    }
    assert_eq!(problem(TestRequest::get().uri("/v1/tenants/ten_x/things")).await, unknown);
    let known = format!("{}/{}", things(), InvitationId::from(uuid::Uuid::nil()));
    assert_eq!(send(TestRequest::delete().uri(&known)).await.0, StatusCode::NO_CONTENT);
}

#[actix_web::test]
async fn what_no_route_answers_is_a_problem() {
    for path in ["/", "/v1", "/v1/tenants", "/v2/batch", "/v1/batch/", "//v1/batch", "/v1/%2e%2e/batch"] {
        let (status, code, _) = problem(TestRequest::get().uri(path)).await;
        assert_eq!((status, code.as_str()), (404, "unknown_route"), "{path}");
    }
    for (method, path, allow) in [
        (Method::PUT, things(), "GET, HEAD, POST"),
        (Method::GET, "/v1/batch".to_owned(), "POST"),
        (Method::OPTIONS, "/openapi.json".to_owned(), "GET, HEAD"),
    ] {
        let request = || TestRequest::with_uri(&path).method(method.clone());
        let (status, code, _) = problem(request()).await;
        assert_eq!((status, code.as_str()), (405, "method_not_allowed"));
        assert_eq!(send(request()).await.1.get("allow").unwrap(), allow);
    }
}

#[actix_web::test]
async fn whatever_breaks_is_a_problem_that_tells_nothing() {
    for (how, status, code) in [
        ("panic", 500, "internal_error"),
        ("internal", 500, "internal_error"),
        ("away", 503, "unavailable"),
        ("foreign", 502, "internal_error"),
        ("large", 413, "payload_too_large"),
        ("empty", 403, "bad_request"),
    ] {
        let (sent_status, sent_code, _) = problem(TestRequest::get().uri(&format!("/v1/broken/{how}"))).await;
        assert_eq!((sent_status, sent_code.as_str()), (status, code), "{how}");
    }
}

#[actix_web::test]
async fn figures_are_by_route_and_not_by_path() {
    let tenant = TenantId::random();
    send(TestRequest::get().uri(&format!("/v1/tenants/{tenant}/things"))).await;
    send(TestRequest::get().uri("/no/such/path")).await;
    send(TestRequest::with_uri("/v1/batch").method(Method::from_bytes(b"HUNT").unwrap())).await;
    let (status, _, figures) = send(TestRequest::get().uri("/metrics")).await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        r#"http_requests_total{method="GET",route="/v1/tenants/{tenant}/things",status="2xx"}"#,
        r#"http_requests_total{method="GET",route="unmatched",status="4xx"}"#,
        r#"http_requests_total{method="OTHER",route="/v1/batch",status="4xx"}"#,
        r#"http_request_duration_seconds_bucket{method="GET",route="/v1/tenants/{tenant}/things",status="2xx",le="0.005"}"#,
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
    assert!(!figures.contains(&tenant.to_string()) && !figures.contains("HUNT"));
}

#[actix_web::test]
async fn answers_are_compressed_for_who_asks() {
    let request = TestRequest::get().uri(&things()).insert_header(("accept-encoding", "gzip"));
    let (_, headers, body) = send(request).await;
    assert_eq!(headers.get("content-encoding").unwrap(), "gzip");
    assert!(body.len() < 1_000);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn the_log_has_the_id_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let tenant = TenantId::random();
    let request = TestRequest::get()
        .uri(&format!("/v1/tenants/{tenant}/things?token=hunter2"))
        .insert_header(("authorization", "Bearer hunter2"))
        .insert_header(("cookie", "refresh_token=hunter2"))
        .insert_header(("x-request-id", "req-1"));
    assert_eq!(send(request).await.0, StatusCode::OK);
    problem(TestRequest::get().uri("/v1/broken/internal")).await;
    problem(post_json(br#"{"email": "hunter2"}"#)).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = &lines[0]["span"];
    assert_eq!((&first["request_id"], &first["status"]), (&"req-1".into(), &200.into()));
    assert_eq!((&first["route"], &first["method"]), (&"/v1/tenants/{tenant}/things".into(), &"GET".into()));
    assert_eq!(first["tenant_id"], tenant.to_string());
    assert!(first["latency_ms"].is_number());
    // What the caller is not told is in the log, once and with the id of the request.
    let causes: Vec<_> = lines.iter().filter(|line| line.to_string().contains("hunter2")).collect();
    assert_eq!(causes.len(), 1, "{log}");
    assert_eq!(
        (&causes[0]["fields"]["error"], &causes[0]["span"]["request_id"]),
        (&"hunter2".into(), &"my-request".into())
    );
}
