//! A journal to take away.

use actix_web::{
    HttpResponse, get,
    http::header::{CONTENT_DISPOSITION, ContentDisposition, DispositionParam, DispositionType},
    web,
};
use futures_util::TryStreamExt;
use infrastructure::{export::Export, notary::proofs};

use crate::{
    annals::Annals,
    caller::Member,
    http::{answer::POSITION, min_position::MinPosition, problem::Problem, query::Query},
};

/// The signed journal as lines of JSON, which `annals verify` checks: a header, the events, and the checkpoint that covers
/// them. An answer that breaks off lacks the last line. Before the first checkpoint there is nothing to export; it is
/// waited for.
#[utoipa::path(
    tag = "audit",
    params(MinPosition),
    responses((status = 200, description = "docs/journal-format.md says what is in it", body = String,
               content_type = "application/x-ndjson"))
)]
#[get("/v1/tenants/{tenant}/journal/export")]
pub(super) async fn export(
    annals: web::Data<Annals>,
    member: Member,
    min_position: Query<MinPosition>,
) -> Result<HttpResponse, Problem> {
    let tenant = member.ctx.tenant;
    let tree = proofs::newest(&member.ctx, &annals.database, min_position.0.0).await?;
    let (size, key) = (tree.size, annals.notary_key.public().clone());
    let export = Export { database: annals.database.clone(), key, tenant, tree };
    let lines = export.lines().map_ok(|lines| lines.text).inspect_err(move |error| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%tenant, error = cause.unwrap_or_else(|| error.to_string()), "an export breaks off");
    });
    let file = DispositionParam::Filename(format!("{tenant}.ndjson"));
    let attachment = ContentDisposition { disposition: DispositionType::Attachment, parameters: vec![file] };
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header((CONTENT_DISPOSITION, attachment))
        .insert_header((POSITION, size))
        .streaming(lines))
}
