use actix_web::{http::StatusCode, test::TestRequest};
use serde_json::Value;

use crate::http::example::{problem, send};

#[actix_web::test]
async fn the_document_lists_every_route() {
    let (_, _, document) = send(TestRequest::get().uri("/openapi.json")).await;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        paths,
        [
            "/metrics",
            "/openapi.json",
            "/v1/batch",
            "/v1/broken/{how}",
            "/v1/tenants/{tenant}/things",
            "/v1/tenants/{tenant}/things/{invitation}"
        ]
    );
    let list = &document["paths"]["/v1/tenants/{tenant}/things"]["get"];
    let parameters: Vec<_> =
        list["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(parameters, ["role", "limit", "cursor", "min_position", "tenant"]);
    assert_eq!(
        list["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"],
        "#/components/schemas/Problem"
    );
    let invite = &document["paths"]["/v1/tenants/{tenant}/things"]["post"];
    assert_eq!(
        invite["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Invite"
    );
    assert_eq!(invite["requestBody"]["required"], true);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    // Whatever is referred to is there.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}: {:?}", schemas.keys());
    }
    assert_eq!(document["security"], serde_json::json!([{"bearer": []}]));
    assert_eq!(document["paths"]["/metrics"]["get"]["security"], serde_json::json!([{}]));
}

#[actix_web::test]
async fn the_page_of_the_document_needs_nothing_from_elsewhere() {
    let (status, headers, _) = send(TestRequest::get().uri("/docs")).await;
    assert_eq!((status.as_u16(), headers.get("location").unwrap().to_str().unwrap()), (308, "/docs/"));
    let (status, headers, page) = send(TestRequest::get().uri("/docs/")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers.get("content-type").unwrap().to_str().unwrap().starts_with("text/html"));
    assert!(headers.get("content-security-policy").unwrap().to_str().unwrap().contains("script-src 'self';"));
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    // No inline script, which the policy would stop.
    assert!(page.split("<script").skip(1).all(|script| script.trim_start().starts_with("src=")), "{page}");
    for file in page.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        assert_eq!(send(TestRequest::get().uri(&path)).await.0, StatusCode::OK, "{path}");
    }
    let (_, _, start) = send(TestRequest::get().uri("/docs/swagger-initializer.js")).await;
    assert!(start.contains("/openapi.json") && !start.contains("petstore"), "{start}");
    assert_eq!(problem(TestRequest::get().uri("/docs/no-such-file")).await.0, 404);
}
