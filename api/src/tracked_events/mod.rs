//! Tracked events: taking them in, in Segment's format, and listing them.

pub mod intake;
pub mod listing;
pub mod segment;

use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(intake::batch)
        .service(intake::track)
        .service(intake::identify)
        .service(intake::page)
        .service(intake::screen)
        .service(intake::group)
        .service(intake::alias)
        .service(intake::events)
        .service(listing::list);
}
