//! The OpenAPI 3.1 document and its page. Routes get into it by being registered, so it lists all there are:
//! [`server::app`](super::server::app) takes nothing that does not describe itself.

use actix_web::{
    HttpResponse, get,
    http::header,
    web::{self, Bytes},
};
use domain::ids;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, Header, Info, ObjectBuilder, OpenApi, PathItem, Paths, Ref, RefOr,
        Required, ResponseBuilder, SecurityRequirement, Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::{FieldDetails, MEDIA_TYPE, ProblemDetails};

/// What routes are grouped by, in reading order. A route's tag must be one of these.
const TAGS: &[(&str, &str)] = &[
    ("auth", "Sign-up and sessions."),
    ("tenants", "Tenants, workspaces, projects and their API keys."),
    ("members", "Invitations and members."),
    ("billing", "Plans, subscriptions and usage."),
    ("tracking", "Tracked events, in Segment's format."),
    ("audit", "The audit log and the journal."),
    ("admin", "For administrators of the installation."),
    ("operations", "Health, figures and this document."),
];

/// What the ids in paths begin with, by the placeholder's name.
const ID_PREFIXES: &[(&str, &str)] = &[
    ("tenant", ids::TenantId::PREFIX),
    ("workspace", ids::WorkspaceId::PREFIX),
    ("project", ids::ProjectId::PREFIX),
    ("key", ids::ApiKeyId::PREFIX),
    ("invitation", ids::InvitationId::PREFIX),
    ("member", ids::MemberId::PREFIX),
    ("session", ids::SessionId::PREFIX),
    ("user", ids::UserId::PREFIX),
];

/// The document before any route is in it.
pub fn base() -> OpenApi {
    let mut info = Info::new("Annals", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "One object is `{\"data\": {…}}`, a list `{\"data\": […], \"meta\": {…}}`, a refusal a problem (RFC 9457) with a \
         stable `code`. Answers of a tenant's routes tell the journal's position in `Annals-Position`."
            .to_owned(),
    );
    let mut document = OpenApi::new(info, Paths::new());
    let mut components = Components::new();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token, or an API key (`ak_…`)."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let mut basic = Http::new(HttpAuthScheme::Basic);
    basic.description =
        Some("An API key as the user name, no password: as Segment's libraries send it.".to_owned());
    components.add_security_scheme("basic", SecurityScheme::Http(basic));
    for (name, schema) in
        [(ProblemDetails::name(), ProblemDetails::schema()), (FieldDetails::name(), FieldDetails::schema())]
    {
        components.schemas.insert(name.into_owned(), schema);
    }
    document.components = Some(components);
    // What says nothing else takes a token; a public route says `security(())`.
    document.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    document.tags = Some(
        TAGS.iter()
            .map(|(name, what)| TagBuilder::new().name(*name).description(Some(*what)).build())
            .collect(),
    );
    document
}

/// The document with what is the same for every route: the ids in its path, problems, and on each POST the
/// idempotency key.
pub fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            let mut parameters = operation.parameters.take().unwrap_or_default();
            for name in ids_in(path) {
                let is_declared = |parameter: &RefOr<Parameter>| match parameter {
                    RefOr::T(parameter) => parameter.name == name,
                    RefOr::Ref(_) => false,
                };
                if !parameters.iter().any(is_declared) {
                    parameters.push(id_parameter(name).into());
                }
            }
            operation.parameters = (!parameters.is_empty()).then_some(parameters);
            describe(operation, "default", "A refusal");
            if method == "post" {
                can_be_repeated(operation);
            }
        }
    }
    document
}

/// Says how a request can be sent again.
fn can_be_repeated(operation: &mut Operation) {
    let description = "A name for this request, made up by the client. Sent again with the same name within 24 hours, it is \
                       not carried out again but gets the same answer, with `Idempotent-Replayed: true`. Bare or in quotes.";
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(
            ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255)),
        ));
    operation.parameters.get_or_insert_default().push(key.build().into());
    describe(
        operation,
        "409",
        "A conflict with what there is, or `idempotency_key_in_use`: the same request is being carried out",
    );
    describe(
        operation,
        "422",
        "The body breaks rules, or `idempotency_key_reused`: the Idempotency-Key was another request's",
    );
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
            let replayed =
                Header::new(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])));
            response.headers.insert("Idempotent-Replayed".to_owned(), RefOr::T(replayed));
        }
    }
}

/// Describes a kind of refusal, unless the route does so itself.
fn describe(operation: &mut Operation, status: &str, what: &str) {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemDetails::name()))).build();
    let refusal = ResponseBuilder::new().description(what).content(MEDIA_TYPE, problem).build();
    operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(refusal));
}

/// Every method and operation of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("post", &mut item.post),
        ("put", &mut item.put),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name for generated clients, the only one of its kind: `get_tenants_projects_one` for
/// `GET /v1/tenants/{tenant}/projects/{project}`.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let words =
        path.split(['/', '-', '.']).filter(|segment| !segment.is_empty() && !segment.starts_with('{'));
    let mut id = words.fold(method.to_owned(), |id, word| format!("{id}_{word}"));
    if path.ends_with('}') {
        id.push_str("_one");
    }
    id
}

fn ids_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// An id in a path, described by what it begins with.
fn id_parameter(name: &str) -> Parameter {
    let prefix = ID_PREFIXES.iter().find(|(placeholder, _)| *placeholder == name).map(|(_, prefix)| prefix);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(prefix.map(|prefix| format!("An id that begins with `{prefix}_`.")))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// The finished document, as it is sent.
pub struct Document(pub Bytes);

/// This document.
#[utoipa::path(tag = "operations", security(()), responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
#[get("/openapi.json")]
pub(crate) async fn openapi_json(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}

/// The page that shows the document: Swagger UI, from the binary.
pub fn docs(config: &mut web::ServiceConfig) {
    let start = web::get()
        .to(async || HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish());
    // Without "none", the page would send its address to a validator on the internet.
    let page = Config::from("/openapi.json").validator_url("none");
    config.route("/docs", start).service(SwaggerUi::new("/docs/{_:.*}").config(page));
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
