//! Who may do what: every route of the OpenAPI document and every kind of caller, in one table.

use std::collections::BTreeSet;

use domain::permission::{Permission, Role};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    actors::{Owner, event},
    app::TestApp,
    client::{Answer, Client},
    isolation,
};

/// What it takes to be let in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Access {
    /// Nothing.
    Public,
    /// To have signed in.
    SignedIn,
    /// To be a member with this permission; `None`: to be a member.
    Member(Option<Permission>),
    /// To administer the installation.
    Administrator,
    /// An API key.
    Key,
}

use Access::{Administrator, Key, Member, Public, SignedIn};
use Permission::*;

/// Every route there is. `{…}` of what would be changed stand for ids that nothing has, so that a route that lets in
/// answers 404 and the next caller finds everything as it was.
const ROUTES: &[(&str, &str, Access)] = &[
    ("GET", "/health/live", Public),
    ("GET", "/health/ready", Public),
    ("GET", "/metrics", Public),
    ("GET", "/openapi.json", Public),
    ("GET", "/.well-known/annals-journal-key", Public),
    ("GET", "/v1/plans", Public),
    ("POST", "/v1/auth/register", Public),
    ("POST", "/v1/auth/verify-email", Public),
    ("POST", "/v1/auth/verify-email/resend", Public),
    ("POST", "/v1/auth/login", Public),
    ("POST", "/v1/auth/refresh", Public),
    ("GET", "/v1/me", SignedIn),
    ("POST", "/v1/me/erase", SignedIn),
    ("POST", "/v1/tenants", SignedIn),
    ("POST", "/v1/invitations/preview", SignedIn),
    ("POST", "/v1/invitations/accept", SignedIn),
    ("POST", "/v1/invitations/decline", SignedIn),
    ("GET", "/v1/tenants/{tenant}", Member(Some(TenantRead))),
    ("PATCH", "/v1/tenants/{tenant}", Member(Some(TenantManage))),
    ("GET", "/v1/tenants/{tenant}/workspaces", Member(Some(TenantRead))),
    ("POST", "/v1/tenants/{tenant}/workspaces", Member(Some(ProjectsManage))),
    ("GET", "/v1/tenants/{tenant}/workspaces/{workspace}", Member(Some(TenantRead))),
    ("GET", "/v1/tenants/{tenant}/workspaces/{workspace}/projects", Member(Some(TenantRead))),
    ("POST", "/v1/tenants/{tenant}/workspaces/{workspace}/projects", Member(Some(ProjectsManage))),
    ("GET", "/v1/tenants/{tenant}/projects/{project}", Member(Some(TenantRead))),
    ("PATCH", "/v1/tenants/{tenant}/projects/{project}", Member(Some(ProjectsManage))),
    ("GET", "/v1/tenants/{tenant}/projects/{project}/api-keys", Member(Some(ApiKeysManage))),
    ("POST", "/v1/tenants/{tenant}/projects/{project}/api-keys", Member(Some(ApiKeysManage))),
    ("DELETE", "/v1/tenants/{tenant}/projects/{project}/api-keys/{key}", Member(Some(ApiKeysManage))),
    ("POST", "/v1/tenants/{tenant}/projects/{project}/api-keys/{key}/rotate", Member(Some(ApiKeysManage))),
    ("GET", "/v1/tenants/{tenant}/projects/{project}/events", Member(Some(EventsRead))),
    ("GET", "/v1/tenants/{tenant}/invitations", Member(Some(MembersInvite))),
    ("POST", "/v1/tenants/{tenant}/invitations", Member(Some(MembersInvite))),
    ("GET", "/v1/tenants/{tenant}/invitations/{invitation}", Member(Some(MembersInvite))),
    ("POST", "/v1/tenants/{tenant}/invitations/{invitation}/resend", Member(Some(MembersInvite))),
    ("POST", "/v1/tenants/{tenant}/invitations/{invitation}/revoke", Member(Some(MembersInvite))),
    ("GET", "/v1/tenants/{tenant}/members", Member(Some(TenantRead))),
    ("GET", "/v1/tenants/{tenant}/members/{member}", Member(Some(TenantRead))),
    ("PATCH", "/v1/tenants/{tenant}/members/{member}", Member(Some(MembersManage))),
    ("DELETE", "/v1/tenants/{tenant}/members/{member}", Member(Some(MembersManage))),
    ("GET", "/v1/tenants/{tenant}/subscription", Member(Some(BillingRead))),
    ("POST", "/v1/tenants/{tenant}/subscription/change", Member(Some(BillingManage))),
    ("POST", "/v1/tenants/{tenant}/subscription/cancel", Member(Some(BillingManage))),
    ("POST", "/v1/tenants/{tenant}/subscription/resume", Member(Some(BillingManage))),
    ("GET", "/v1/tenants/{tenant}/usage", Member(Some(UsageRead))),
    ("GET", "/v1/tenants/{tenant}/usage/current", Member(Some(UsageRead))),
    ("GET", "/v1/tenants/{tenant}/audit", Member(Some(AuditRead))),
    ("GET", "/v1/tenants/{tenant}/journal", Member(Some(AuditRead))),
    ("GET", "/v1/tenants/{tenant}/journal/export", Member(Some(AuditRead))),
    ("GET", "/v1/tenants/{tenant}/journal/checkpoint", Member(Some(AuditRead))),
    ("GET", "/v1/tenants/{tenant}/journal/tile/{level}/{index}", Member(Some(AuditRead))),
    ("GET", "/v1/tenants/{tenant}/journal/proof/{position}", Member(Some(AuditRead))),
    ("GET", "/v1/tenants/{tenant}/journal/consistency", Member(Some(AuditRead))),
    ("POST", "/v1/batch", Key),
    ("POST", "/v1/track", Key),
    ("POST", "/v1/identify", Key),
    ("POST", "/v1/page", Key),
    ("POST", "/v1/screen", Key),
    ("POST", "/v1/group", Key),
    ("POST", "/v1/alias", Key),
    ("POST", "/v1/events", Key),
    ("GET", "/v1/admin/tenants", Administrator),
    ("GET", "/v1/admin/audit", Administrator),
    ("GET", "/v1/admin/projections", Administrator),
    ("GET", "/v1/admin/jobs/failed", Administrator),
    ("POST", "/v1/admin/projections/{projection}/rebuild", Administrator),
    ("POST", "/v1/admin/users/{user}/erase", Administrator),
    ("POST", "/v1/admin/tenants/{tenant}/plan", Administrator),
    ("POST", "/v1/admin/tenants/{tenant}/freeze", Administrator),
    ("POST", "/v1/admin/tenants/{tenant}/unfreeze", Administrator),
    // These two end what the callers above need, so they are the last.
    ("POST", "/v1/tenants/{tenant}/members/leave", Member(None)),
    ("POST", "/v1/auth/logout", SignedIn),
];

/// How a caller is received.
#[derive(Debug, PartialEq)]
enum Reception {
    /// Whatever the route itself says: it let the caller in.
    LetIn,
    /// Refused at the door, with this.
    Refused(u16, &'static str),
}

use Reception::{LetIn, Refused};

const UNKNOWN: Reception = Refused(401, "unauthenticated");
const NO_MEMBER: Reception = Refused(404, "not_found");
const FROZEN: Reception = Refused(423, "tenant_frozen");

/// Who calls.
enum Caller {
    Anonymous,
    /// Somebody whose session has ended.
    SignedOut,
    /// A program with a key of the tenant.
    Program,
    /// Somebody who belongs to another tenant, as its owner.
    Foreigner,
    /// A member of the tenant.
    Of(Role),
    /// A member of a frozen tenant.
    OfFrozen(Role),
    /// A program with a key of a frozen tenant.
    ProgramOfFrozen,
    Administrator,
}

fn expected(caller: &Caller, method: &str, access: Access) -> Reception {
    let person = |allowed: Reception| match access {
        Public | SignedIn => LetIn,
        // The token is no key: it has not even the form of one.
        Key => Refused(401, "invalid_api_key"),
        Access::Administrator => Refused(403, "not_an_administrator"),
        Member(_) => allowed,
    };
    match (caller, access) {
        (_, Public) => LetIn,
        (Caller::Anonymous, _) => UNKNOWN,
        (Caller::SignedOut, Key) => Refused(401, "invalid_api_key"),
        (Caller::SignedOut, _) => Refused(401, "session_ended"),
        (Caller::Program, Key) => LetIn,
        (Caller::ProgramOfFrozen, Key) => FROZEN,
        (Caller::Program | Caller::ProgramOfFrozen, _) => UNKNOWN,
        (Caller::Administrator, Access::Administrator) => LetIn,
        (Caller::Foreigner | Caller::Administrator, _) => person(NO_MEMBER),
        (Caller::Of(role), Member(permission)) => allowed(*role, permission),
        (Caller::OfFrozen(Role::Owner), Member(permission)) if method == "GET" => {
            allowed(Role::Owner, permission)
        }
        (Caller::OfFrozen(_), Member(_)) => FROZEN,
        (Caller::Of(_) | Caller::OfFrozen(_), _) => person(LetIn),
    }
}

fn allowed(role: Role, permission: Option<Permission>) -> Reception {
    match permission {
        Some(permission) if !role.permissions().allow(permission) => Refused(403, "missing_permission"),
        _ => LetIn,
    }
}

fn received(answer: &Answer) -> Reception {
    match (answer.status, answer.code()) {
        (401, "unauthenticated") => UNKNOWN,
        (401, "session_ended") => Refused(401, "session_ended"),
        (401, "invalid_api_key") => Refused(401, "invalid_api_key"),
        (403, "missing_permission") => Refused(403, "missing_permission"),
        (403, "not_an_administrator") => Refused(403, "not_an_administrator"),
        (404, "not_found") => NO_MEMBER,
        (423, "tenant_frozen") => FROZEN,
        (500.., _) => panic!("{answer:?}"),
        _ => LetIn,
    }
}

/// A body that the route can read.
fn body(method: &str, path: &str) -> Value {
    match (method, path) {
        ("POST", path) if path.ends_with("/freeze") => json!({"reason": "unpaid"}),
        ("POST", path) if path.starts_with("/v1/admin/users/") => json!({"reason": "they asked for it"}),
        ("POST", path) if path.ends_with("/plan") => json!({"plan": "enterprise"}),
        ("POST", path) if path.ends_with("/rebuild") => json!({}),
        ("POST", "/v1/batch") => json!({"batch": [event("m1")]}),
        ("POST", "/v1/track" | "/v1/events") => event("m1"),
        // Each single route finds something to reject in it, which is to let it in.
        ("POST", "/v1/identify" | "/v1/page" | "/v1/screen" | "/v1/group" | "/v1/alias") => json!({}),
        // An address that is invited already, and the plan that there is: nothing changes.
        (_, path) if path.starts_with("/v1/tenants") => isolation::body(&method.parse().unwrap(), path),
        (_, path) if path.starts_with("/v1/invitations/") => json!({"token": "x"}),
        _ => json!({"email": "nobody@example.com", "password": "a password", "name": "Nobody", "token": "x"}),
    }
}

async fn call(client: &Client, tenant: &Owner, method: &str, pattern: &str) -> Answer {
    let is_read = method == "GET";
    let known = |id: &str, unknown: &str| if is_read { id.to_owned() } else { unknown.to_owned() };
    let unknown = |prefix: &str| format!("{prefix}_01h455vb4pex5vsknk084sn02q");
    let admin = pattern.starts_with("/v1/admin");
    let path = pattern
        // A frozen tenant of the administrator's would change what the other callers meet.
        .replace("{tenant}", &if admin { unknown("ten") } else { tenant.tenant.clone() })
        .replace("{workspace}", &known(&tenant.workspace, &unknown("wsp")))
        .replace("{project}", &known(&tenant.project, &unknown("prj")))
        .replace("{projection}", "usage")
        .replace("{key}", &unknown("key"))
        .replace("{invitation}", &unknown("inv"))
        .replace("{member}", &unknown("mem"))
        .replace("{user}", &unknown("usr"))
        .replace("{level}/{index}", "0/000.p/1")
        .replace("{position}", "1");
    let path = match path.as_str() {
        path if path.ends_with("/usage") => format!("{path}?from=2026-01-01T00:00:00Z"),
        path if path.ends_with("/consistency") => format!("{path}?from=1"),
        _ => path,
    };
    let request = client.request(method.parse::<Method>().unwrap(), &path);
    match method {
        "GET" | "DELETE" => request.send().await,
        _ => request.json(&body(method, pattern)).send().await,
    }
}

/// Whether "not found" may be what the route says of the id that nothing has, to who was let in.
fn is_about_unknown(method: &str, pattern: &str) -> bool {
    let (_, rest) = pattern.split_once("{tenant}").unwrap_or(("", ""));
    let ids = if method == "GET" { &["{key}", "{invitation}", "{member}"][..] } else { &["{"][..] };
    ids.iter().any(|id| rest.contains(id))
        || pattern.starts_with("/v1/admin/tenants/{")
        || pattern.starts_with("/v1/admin/users/{")
        || pattern.starts_with("/v1/invitations/")
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let app = TestApp::spawn().await;
    let documented = documented(&app).await;
    let listed: BTreeSet<_> =
        ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(listed.len(), ROUTES.len(), "a route is listed twice");
    let missing: Vec<_> = documented.difference(&listed).collect();
    assert!(missing.is_empty(), "say in ROUTES who may call these: {missing:?}");
    let gone: Vec<_> = listed.difference(&documented).collect();
    assert!(gone.is_empty(), "these are no routes: {gone:?}");

    let (tenant, frozen, other) = (app.owner().await, app.owner().await, app.owner().await);
    let mut callers: Vec<(Caller, Client, &Owner)> = vec![
        (Caller::Anonymous, app.anonymous.clone(), &tenant),
        (Caller::Program, app.anonymous.bearing(&tenant.key().await.secret), &tenant),
        (Caller::ProgramOfFrozen, app.anonymous.bearing(&frozen.key().await.secret), &frozen),
        (Caller::Foreigner, (**other).clone(), &tenant),
    ];
    for tenant in [&tenant, &frozen] {
        tenant.post(&tenant.path("/subscription/change"), json!({"plan": "pro"})).await.ok();
        tenant.invite("carol@example.com", "auditor").await.ok();
    }
    let signed_out = app.signed_in(&tenant.id, &tenant.email).await;
    signed_out.act("/v1/auth/logout").await.ok();
    callers.push((Caller::SignedOut, (*signed_out).clone(), &tenant));
    for role in [Role::Auditor, Role::Member, Role::Admin] {
        let member = app.member_of(&tenant, role.as_str()).await;
        callers.push((Caller::Of(role), (**member).clone(), &tenant));
        let member = app.member_of(&frozen, role.as_str()).await;
        callers.push((Caller::OfFrozen(role), (**member).clone(), &frozen));
    }
    callers.push((Caller::Of(Role::Owner), (**tenant).clone(), &tenant));
    callers.push((Caller::OfFrozen(Role::Owner), (**frozen).clone(), &frozen));
    let administrator = app.administrator().await;
    callers.push((Caller::Administrator, (*administrator).clone(), &tenant));
    let freeze = format!("/v1/admin/tenants/{}/freeze", frozen.tenant);
    administrator.post(&freeze, json!({"reason": "unpaid"})).await.ok();
    let head = async || app.annals.app.journal.head(frozen.tenant.parse().unwrap()).await.unwrap();
    let before = head().await;

    // Whatever reads, reads what has been projected by now.
    let position = tenant.head().await;
    for path in ["", "/workspaces", "/members", "/subscription", "/audit"] {
        tenant.get(&tenant.path(&format!("{path}?min_position={position}"))).await.ok();
    }
    let mut wrong = Vec::new();
    for (method, path, access) in ROUTES {
        for (caller, client, tenant) in &callers {
            // Once is enough, and some of these hash a password.
            if *access == Public && !matches!(caller, Caller::Anonymous | Caller::SignedOut | Caller::Program)
            {
                continue;
            }
            let answer = call(client, tenant, method, path).await;
            let expected = expected(caller, method, *access);
            let received = received(&answer);
            let is_right = expected == received
                || expected == LetIn && received == NO_MEMBER && is_about_unknown(method, path)
                // Who tries secrets without end is sent away, which is not about who they are.
                || expected == LetIn && path.starts_with("/v1/auth/") && answer.status == 401;
            if !is_right {
                wrong.push(format!("{expected:?} was expected of {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(head().await, before, "something has happened in the frozen tenant");
}

async fn documented(app: &TestApp) -> BTreeSet<(String, String)> {
    let document = app.anonymous.get("/openapi.json").await.ok().json;
    let paths = document["paths"].as_object().unwrap().clone();
    paths
        .into_iter()
        .flat_map(|(path, item)| {
            let methods: Vec<_> =
                item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
            methods.into_iter().map(move |method| (method, path.clone()))
        })
        .collect()
}
