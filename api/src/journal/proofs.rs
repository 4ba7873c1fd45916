//! What whoever does not trust the server asks it for: C2SP tlog-checkpoint, tlog-tiles, and proofs ready made.

use actix_web::{
    HttpResponse, get,
    http::header::{CACHE_CONTROL, ContentType},
    web,
};
use domain::ids::TenantId;
use infrastructure::notary::proofs;
use serde::Serialize;

use super::hex;
use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::{Data, POSITION},
        min_position::MinPosition,
        path::Ids,
        problem::Problem,
        query::{Query, query},
    },
};

/// A tile never changes once it is there. Only the caller may see it, so only the caller keeps it.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// The newest checkpoint: size and root of the tree over the events, signed. The first is waited for.
#[utoipa::path(
    tag = "audit",
    params(MinPosition),
    responses((status = 200, description = "C2SP tlog-checkpoint", body = String, content_type = "text/plain"))
)]
#[get("/v1/tenants/{tenant}/journal/checkpoint")]
pub(super) async fn checkpoint(
    annals: web::Data<Annals>,
    member: Member,
    min_position: Query<MinPosition>,
) -> Result<HttpResponse, Problem> {
    let tree = proofs::newest(&member.ctx, &annals.database, min_position.0.0).await?;
    let mut answer = HttpResponse::Ok();
    Ok(answer
        .content_type(ContentType::plaintext())
        .insert_header((POSITION, tree.size))
        .body(tree.checkpoint))
}

/// A tile of the tree, for those who compute proofs by themselves: 32 bytes for each hash.
#[utoipa::path(
    tag = "audit",
    params(
        ("level" = String, Path, description = "The level: 0 holds the leaf hashes."),
        ("index" = String, Path, description = "The tile, as `x001/x234/067`; with `.p/` and a width, its first hashes."),
    ),
    responses((status = 200, description = "C2SP tlog-tiles", body = Vec<u8>, content_type = "application/octet-stream"))
)]
#[get("/v1/tenants/{tenant}/journal/tile/{level}/{index:.*}")]
pub(super) async fn tile(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, String, String)>,
) -> Result<HttpResponse, Problem> {
    let (_, level, index) = ids.0;
    let hashes = proofs::tile(&member.ctx, &annals.database, &level, &index).await?;
    let mut answer = HttpResponse::Ok();
    Ok(answer
        .content_type(ContentType::octet_stream())
        .insert_header((CACHE_CONTROL, IMMUTABLE))
        .body(hashes))
}

/// That an event is in the tree (RFC 6962, section 2.1.1).
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct InclusionProof {
    /// The event's position.
    position: u64,
    /// The leaf's place in the tree, from 0.
    leaf_index: u64,
    /// The event's leaf hash, in hexadecimal.
    leaf_hash: String,
    /// How many leaves the tree has.
    tree_size: u64,
    /// The audit path from the leaf to the root, in hexadecimal.
    hashes: Vec<String>,
    /// The tree's signed root: a C2SP tlog-checkpoint.
    checkpoint: String,
}

/// The proof that an event is in the tree that the newest checkpoint signs.
#[utoipa::path(
    tag = "audit",
    params(("position" = u64, Path, description = "The event's position, from 1.")),
    responses((status = 200, body = Data<InclusionProof>))
)]
#[get("/v1/tenants/{tenant}/journal/proof/{position}")]
pub(super) async fn inclusion(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, u64)>,
) -> Result<Data<InclusionProof>, Problem> {
    let (_, position) = ids.0;
    let proof = proofs::inclusion(&member.ctx, &annals.database, position).await?;
    let tree_size = proof.tree.size;
    let answer = InclusionProof {
        position,
        leaf_index: proof.leaf_index,
        leaf_hash: hex(&proof.leaf_hash),
        tree_size,
        hashes: proof.hashes.iter().map(hex).collect(),
        checkpoint: proof.tree.checkpoint,
    };
    Ok(Data::new(answer).at(tree_size))
}

query! {
    /// Which two trees.
    pub(super) struct ConsistencyQuery {
        /// The size of the earlier tree: that of a checkpoint that was kept.
        pub(super) from: u64,
        /// The size of the later tree; by default that of the newest checkpoint.
        pub(super) to: Option<u64>,
    }
}

/// That a tree continues an earlier one (RFC 6962, section 2.1.2).
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ConsistencyProof {
    /// The size of the earlier tree.
    from: u64,
    /// The size of the later tree.
    to: u64,
    /// The proof, in hexadecimal.
    hashes: Vec<String>,
    /// The newest checkpoint.
    checkpoint: String,
}

/// The proof that nothing was changed or taken away between two sizes of the journal.
#[utoipa::path(tag = "audit", params(ConsistencyQuery), responses((status = 200, body = Data<ConsistencyProof>)))]
#[get("/v1/tenants/{tenant}/journal/consistency")]
pub(super) async fn consistency(
    annals: web::Data<Annals>,
    member: Member,
    query: Query<ConsistencyQuery>,
) -> Result<Data<ConsistencyProof>, Problem> {
    let ConsistencyQuery { from, to } = query.0;
    let proof = proofs::consistency(&member.ctx, &annals.database, from, to).await?;
    let size = proof.tree.size;
    let hashes = proof.hashes.iter().map(hex).collect();
    let answer =
        ConsistencyProof { from: proof.from, to: proof.to, hashes, checkpoint: proof.tree.checkpoint };
    Ok(Data::new(answer).at(size))
}

/// The public key of all checkpoints: a verifier key of C2SP signed-note. Keep it elsewhere, and compare.
#[utoipa::path(
    tag = "audit",
    security(()),
    responses((status = 200, description = "`name+hash+base64`", body = String, content_type = "text/plain"))
)]
#[get("/.well-known/annals-journal-key")]
pub(super) async fn public_key(annals: web::Data<Annals>) -> HttpResponse {
    let line = format!("{}\n", annals.notary_key.public().as_str());
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(line)
}
