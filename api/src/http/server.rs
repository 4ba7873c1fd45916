//! How it is put together: the app around the features' routes, and the server around the app.

use std::{net::TcpListener, time::Duration};

use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Compress, from_fn},
    web::{self, Data},
};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt, service_config::ServiceConfig};

use super::{
    edge::edge,
    openapi::{self, Document},
    unknown_route::{Routes, unknown_route},
};

/// What bounds the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many threads serve requests.
    pub workers: usize,
    /// How many connections each of them takes at a time; more wait in the listener's backlog.
    pub connections_per_worker: usize,
    /// How long the head of a request may take to arrive.
    pub head_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive: Duration,
    /// How long requests may still take when the server stops.
    pub shutdown_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            connections_per_worker: 10_000,
            head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            // Orchestrators kill what has not ended after ten.
            shutdown_timeout: Duration::from_secs(8),
        }
    }
}

/// The app: the features' routes, the document of them, and what is around every handler.
///
/// `features` gets utoipa's `ServiceConfig`, whose `service` takes documented handlers only; a route is in the document
/// or it does not exist.
pub fn app(
    features: impl FnOnce(&mut ServiceConfig),
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let (app, document) = App::new()
        .into_utoipa_app()
        .openapi(openapi::base())
        .configure(features)
        .service(openapi::openapi_json)
        .split_for_parts();
    let document = openapi::complete(document);
    let text = document.to_json().unwrap_or_default();
    app.configure(openapi::docs)
        .app_data(Data::new(Routes::of(&document)))
        .app_data(Data::new(Document(text.into())))
        .default_service(web::to(unknown_route))
        .wrap(Compress::default())
        // Outermost, so that what compression refuses is a problem too.
        .wrap(from_fn(edge))
}

/// The document of `features` alone, without a server.
pub fn document(features: impl FnOnce(&mut ServiceConfig)) -> OpenApi {
    let (_, document) = App::new()
        .into_utoipa_app()
        .openapi(openapi::base())
        .configure(features)
        .service(openapi::openapi_json)
        .split_for_parts();
    openapi::complete(document)
}

/// Serves `features` on `listener` until the returned server's handle stops it; requests that are being served then
/// finish first. Signals are the caller's, who has more to stop than this.
pub fn serve(
    listener: TcpListener,
    settings: &Settings,
    features: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<Server> {
    let server = HttpServer::new(move || app(features.clone()))
        .workers(settings.workers)
        .max_connections(settings.connections_per_worker)
        .client_request_timeout(settings.head_timeout)
        // How long a refused client may go on sending before its connection is cut.
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(settings.keep_alive)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .tcp_nodelay(true)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(server)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
