//! All routes there are.

use actix_web::web::Data;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    administration,
    annals::Annals,
    api_keys, audit, erasure, health,
    http::metrics::{self, Metrics},
    invitations, journal, members, projects, sessions, subscriptions, tenants, tracked_events, usage, users,
    workspaces,
};

/// Every feature's routes, and what their handlers work with.
pub fn all(config: &mut ServiceConfig, annals: Data<Annals>, metrics: Data<Metrics>) {
    config.app_data(annals).app_data(metrics).configure(services);
}

/// Every feature's routes.
pub(crate) fn services(config: &mut ServiceConfig) {
    config
        .configure(health::routes)
        .service(metrics::prometheus)
        .configure(users::routes)
        .configure(sessions::routes)
        .configure(erasure::routes)
        .configure(tenants::routes)
        .configure(workspaces::routes)
        .configure(projects::routes)
        .configure(api_keys::routes)
        .configure(invitations::routes)
        .configure(members::routes)
        .configure(subscriptions::routes)
        .configure(usage::routes)
        .configure(tracked_events::routes)
        .configure(audit::routes)
        .configure(journal::routes)
        .configure(administration::routes);
}
