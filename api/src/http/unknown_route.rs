//! What no route answers: 404, or 405 where the path is known but not with this method.

use actix_web::{
    HttpRequest, HttpResponse,
    dev::{ResourceDef, ResourcePath},
    http::Method,
    web,
};
use utoipa::openapi::{OpenApi, PathItem};

use super::problem::Problem;

/// Every path and its methods, as the OpenAPI document has them.
pub struct Routes(Vec<(ResourceDef, Vec<Method>)>);

impl Routes {
    /// The routes of the document.
    pub fn of(document: &OpenApi) -> Self {
        Self(
            document
                .paths
                .paths
                .iter()
                .map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item)))
                .collect(),
        )
    }

    fn methods(&self, path: &str) -> Vec<Method> {
        let mut methods: Vec<Method> = self
            .0
            .iter()
            .filter(|(pattern, _)| pattern.is_match(path.path()))
            .flat_map(|(_, methods)| methods.clone())
            .collect();
        methods.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        methods.dedup();
        methods
    }
}

fn methods(item: &PathItem) -> Vec<Method> {
    [
        (&item.get, Method::GET),
        // Every GET answers HEAD too.
        (&item.get, Method::HEAD),
        (&item.post, Method::POST),
        (&item.put, Method::PUT),
        (&item.patch, Method::PATCH),
        (&item.delete, Method::DELETE),
    ]
    .into_iter()
    .filter_map(|(operation, method)| operation.is_some().then_some(method))
    .collect()
}

/// The default service.
pub async fn unknown_route(request: HttpRequest, routes: web::Data<Routes>) -> Result<HttpResponse, Problem> {
    let methods = routes.methods(request.path());
    Err(if methods.is_empty() { Problem::unknown_route() } else { Problem::method_not_allowed(&methods) })
}
