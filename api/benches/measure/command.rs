//! Commands of one event each, as a load sends them: somebody creates a workspace.

use anyhow::ensure;
use domain::ids::TenantId;

use super::client::{Answer, request};

/// The command for one tenant.
pub(crate) fn command(tenant: TenantId, bearer: &str) -> Vec<u8> {
    request("POST", &format!("/v1/tenants/{tenant}/workspaces"), bearer, r#"{"name":"Load"}"#)
}

/// Counts the answer to one; fails if it was not carried out.
pub(crate) fn created(answer: &Answer<'_>) -> anyhow::Result<u64> {
    let Answer { status, body, .. } = answer;
    ensure!(*status == 201, "the server answered {status}: {}", String::from_utf8_lossy(body));
    answer.position()?;
    Ok(1)
}
