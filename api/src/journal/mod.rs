//! A tenant's journal: its events as they are stored, and the proofs that they are what was signed.

mod events;
mod export;
mod proofs;

use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(events::read)
        .service(export::export)
        .service(proofs::checkpoint)
        .service(proofs::tile)
        .service(proofs::inclusion)
        .service(proofs::consistency)
        .service(proofs::public_key);
}

pub(crate) fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
