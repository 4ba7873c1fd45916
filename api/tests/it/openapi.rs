//! The document that the server describes itself with.

use std::collections::HashSet;

use serde_json::Value;

use crate::app::TestApp;

/// What there must be; methods by path.
const ROUTES: &[(&str, &[&str])] = &[
    ("/v1/auth/register", &["post"]),
    ("/v1/auth/verify-email", &["post"]),
    ("/v1/auth/verify-email/resend", &["post"]),
    ("/v1/auth/login", &["post"]),
    ("/v1/auth/refresh", &["post"]),
    ("/v1/auth/logout", &["post"]),
    ("/v1/me", &["get"]),
    ("/v1/tenants", &["post"]),
    ("/v1/tenants/{tenant}", &["get", "patch"]),
    ("/v1/tenants/{tenant}/workspaces", &["get", "post"]),
    ("/v1/tenants/{tenant}/workspaces/{workspace}/projects", &["get", "post"]),
    ("/v1/tenants/{tenant}/projects/{project}", &["get", "patch"]),
    ("/v1/tenants/{tenant}/projects/{project}/api-keys", &["get", "post"]),
    ("/v1/tenants/{tenant}/projects/{project}/api-keys/{key}", &["delete"]),
    ("/v1/tenants/{tenant}/projects/{project}/api-keys/{key}/rotate", &["post"]),
    ("/v1/tenants/{tenant}/projects/{project}/events", &["get"]),
    ("/v1/tenants/{tenant}/invitations", &["get", "post"]),
    ("/v1/tenants/{tenant}/invitations/{invitation}", &["get"]),
    ("/v1/tenants/{tenant}/invitations/{invitation}/resend", &["post"]),
    ("/v1/tenants/{tenant}/invitations/{invitation}/revoke", &["post"]),
    ("/v1/invitations/preview", &["post"]),
    ("/v1/invitations/accept", &["post"]),
    ("/v1/invitations/decline", &["post"]),
    ("/v1/tenants/{tenant}/members", &["get"]),
    ("/v1/tenants/{tenant}/members/{member}", &["get", "patch", "delete"]),
    ("/v1/tenants/{tenant}/members/leave", &["post"]),
    ("/v1/plans", &["get"]),
    ("/v1/tenants/{tenant}/subscription", &["get"]),
    ("/v1/tenants/{tenant}/subscription/change", &["post"]),
    ("/v1/tenants/{tenant}/subscription/cancel", &["post"]),
    ("/v1/tenants/{tenant}/subscription/resume", &["post"]),
    ("/v1/tenants/{tenant}/usage", &["get"]),
    ("/v1/tenants/{tenant}/usage/current", &["get"]),
    ("/v1/batch", &["post"]),
    ("/v1/track", &["post"]),
    ("/v1/identify", &["post"]),
    ("/v1/page", &["post"]),
    ("/v1/screen", &["post"]),
    ("/v1/group", &["post"]),
    ("/v1/alias", &["post"]),
    ("/v1/events", &["post"]),
    ("/v1/tenants/{tenant}/audit", &["get"]),
    ("/v1/tenants/{tenant}/journal", &["get"]),
    ("/v1/tenants/{tenant}/journal/export", &["get"]),
    ("/v1/tenants/{tenant}/journal/checkpoint", &["get"]),
    ("/v1/tenants/{tenant}/journal/tile/{level}/{index}", &["get"]),
    ("/v1/tenants/{tenant}/journal/proof/{position}", &["get"]),
    ("/v1/tenants/{tenant}/journal/consistency", &["get"]),
    ("/.well-known/annals-journal-key", &["get"]),
    ("/v1/admin/tenants", &["get"]),
    ("/v1/admin/audit", &["get"]),
    ("/v1/admin/tenants/{tenant}/freeze", &["post"]),
    ("/v1/admin/tenants/{tenant}/unfreeze", &["post"]),
    ("/v1/admin/tenants/{tenant}/plan", &["post"]),
    ("/v1/admin/projections", &["get"]),
    ("/v1/admin/projections/{projection}/rebuild", &["post"]),
    ("/health/live", &["get"]),
    ("/health/ready", &["get"]),
    ("/metrics", &["get"]),
    ("/openapi.json", &["get"]),
];

#[tokio::test]
async fn the_document_is_whole() {
    let app = TestApp::spawn().await;
    let document = app.anonymous.get("/openapi.json").await.ok().json;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in ROUTES {
        for method in *methods {
            assert!(paths.get(*path).is_some_and(|item| item[method].is_object()), "no {method} {path}");
        }
    }
    let tags: HashSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone()).collect();
    let mut ids = HashSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let route = format!("{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{route}: its operationId is another's"
            );
            let tag = &operation["tags"].as_array().unwrap_or_else(|| panic!("{route} has no tag"))[0];
            assert!(tags.contains(tag), "{route}: {tag}");
            let summary = operation["summary"].as_str().or(operation["description"].as_str());
            assert!(summary.is_some_and(|text| !text.is_empty()), "{route} is not described");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
            let described: HashSet<_> =
                in_path.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            let placeholders: HashSet<_> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            assert_eq!(described, placeholders, "{route}");
            assert!(parameters.iter().all(|parameter| parameter["schema"].is_object()), "{route}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("default"), "{route} is never refused?");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{route} never succeeds?");
        }
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect<'d>(value: &'d Value, references: &mut Vec<&'d str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| collect(field, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_not_in_the_document_is_no_route() {
    let app = TestApp::spawn().await;
    let document = app.anonymous.get("/openapi.json").await.ok().json;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            // A word such as `leave` could be a member's id, too.
            if item[method].is_null() && !path.starts_with("/v1/tenants/{tenant}/members/") {
                let path = path.replace(['{', '}'], "");
                let request = app.anonymous.request(method.to_uppercase().parse().unwrap(), &path);
                request.send().await.problem(405, "method_not_allowed");
            }
        }
    }
}
