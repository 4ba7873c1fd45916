//! API keys: issuing them, and who a presented one speaks for.
//!
//! A key is `ak_` and, in base64url, the tenant's id, the key's id and a random secret. So a key is found by its own
//! id in its own tenant, without an index across tenants; only the secret's hash is stored.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    aggregate::RefusalKind,
    api_keys::{ApiKey, ApiKeyCommand, ApiKeyIssued, Credential},
    ctx::{Actor, Admission, Ctx},
    ids::{ApiKeyId, ProjectId, TenantId},
    permission::{Permission, Permissions},
    projects::Project,
    tenants::Tenant,
    text::Name,
};
use rand::RngExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    admission::recognize,
    app::{App, Written},
    error::Error,
    tenants::{Intent, frozen},
    work::stream,
};

/// How many random bytes a key's secret has.
const SECRET_BYTES: usize = 24;

/// A key with its secret, which is shown this once.
#[derive(Clone)]
pub struct IssuedKey {
    /// Which key.
    pub id: ApiKeyId,
    /// What a program sends.
    pub secret: String,
}

/// Issues a key for a project, to send its events with.
pub async fn issue(
    ctx: &Ctx,
    app: &App,
    project_id: ProjectId,
    name: Name,
) -> Result<Written<IssuedKey>, Error> {
    ctx.require(Permission::ApiKeysManage)?;
    let scopes: Permissions = [Permission::EventsWrite].into_iter().collect();
    let id = ApiKeyId::random();
    let (secret, secret_hash, secret_hint) = new_secret(ctx.tenant, id);
    app.transact(ctx, [stream::<Project>(project_id), stream::<ApiKey>(id)], move |work| {
        let Project::Active { workspace_id, .. } = *work.state::<Project>(project_id)? else {
            return Err(Error::not_found());
        };
        let issued = ApiKeyIssued {
            api_key_id: id,
            workspace_id,
            project_id,
            name: name.clone(),
            scopes: scopes.clone(),
            secret_hash: secret_hash.clone(),
            secret_hint: secret_hint.clone(),
        };
        work.execute::<ApiKey>(id, ApiKeyCommand::Issue(issued))?;
        Ok(IssuedKey { id, secret: secret.clone() })
    })
    .await
}

/// Gives a key of the project a new secret; the old one is refused from now on.
pub async fn rotate(
    ctx: &Ctx,
    app: &App,
    project: ProjectId,
    id: ApiKeyId,
) -> Result<Written<IssuedKey>, Error> {
    ctx.require(Permission::ApiKeysManage)?;
    let (secret, secret_hash, secret_hint) = new_secret(ctx.tenant, id);
    let command = ApiKeyCommand::Rotate { secret_hash, secret_hint };
    of_project(ctx, app, project, id, command, IssuedKey { id, secret }).await
}

/// Revokes a key of the project.
pub async fn revoke(ctx: &Ctx, app: &App, project: ProjectId, id: ApiKeyId) -> Result<Written<()>, Error> {
    ctx.require(Permission::ApiKeysManage)?;
    of_project(ctx, app, project, id, ApiKeyCommand::Revoke, ()).await
}

async fn of_project<T: Clone + Send + Sync + 'static>(
    ctx: &Ctx,
    app: &App,
    project: ProjectId,
    id: ApiKeyId,
    command: ApiKeyCommand,
    done: T,
) -> Result<Written<T>, Error> {
    app.transact(ctx, [stream::<ApiKey>(id)], move |work| {
        match work.state::<ApiKey>(id)?.credential() {
            Some(credential) if credential.project_id != project => return Err(Error::not_found()),
            _ => {}
        }
        work.execute::<ApiKey>(id, command.clone())?;
        Ok(done.clone())
    })
    .await
}

/// A program that has shown a valid key: in which context it acts, and on which project.
#[derive(Clone, Debug)]
pub struct KeyBearer {
    /// The context, with the key's scopes as permissions.
    pub ctx: Ctx,
    /// The key.
    pub credential: Credential,
}

/// Who a presented key speaks for.
pub async fn authenticate(ctx: &Ctx, app: &App, presented: &str) -> Result<KeyBearer, Error> {
    let (tenant, id, secret_hash) = parse(presented).ok_or_else(invalid_key)?;
    let streams = [stream::<Tenant>(tenant), stream::<ApiKey>(id)];
    recognize(app, tenant, &streams, Intent::Write, |[company, key]| {
        let sequence = key.sequence();
        let key: Arc<ApiKey> = key.aggregate()?;
        // Comparing hashes leaks at most the hash of a guess, which its maker knows.
        let credential = key.credential().filter(|credential| credential.secret_hash == secret_hash);
        let credential = credential.ok_or_else(invalid_key)?.clone();
        if company.aggregate::<Tenant>()?.is_frozen() {
            return Err(frozen());
        }
        let (actor, permissions) = (Actor::ApiKey { id }, credential.scopes.clone());
        let admission = Admission::Key { key: id, sequence };
        Ok(KeyBearer { ctx: Ctx { tenant, actor, permissions, admission, ..ctx.clone() }, credential })
    })
    .await
}

pub(crate) fn invalid_key() -> Error {
    Error::refused(RefusalKind::Unauthenticated, "invalid_api_key", "the API key is unknown or revoked")
}

/// A key's full text, its secret's hash, and its last four characters.
fn new_secret(tenant: TenantId, id: ApiKeyId) -> (String, String, String) {
    let secret: [u8; SECRET_BYTES] = rand::rng().random();
    let mut bytes = [tenant.uuid().into_bytes(), id.uuid().into_bytes()].concat();
    bytes.extend(secret);
    let text = format!("ak_{}", URL_SAFE_NO_PAD.encode(bytes));
    let hint = text[text.len() - 4..].to_owned();
    (text, hash(&secret), hint)
}

fn parse(text: &str) -> Option<(TenantId, ApiKeyId, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix("ak_")?).ok()?;
    if bytes.len() != 32 + SECRET_BYTES {
        return None;
    }
    let tenant = Uuid::from_slice(&bytes[..16]).ok()?;
    let id = Uuid::from_slice(&bytes[16..32]).ok()?;
    Some((tenant.into(), id.into(), hash(&bytes[32..])))
}

fn hash(secret: &[u8]) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_parsed_to_what_it_was_made_of() {
        let (tenant, id) = (TenantId::random(), ApiKeyId::random());
        let (text, hash, hint) = new_secret(tenant, id);
        assert_eq!(parse(&text), Some((tenant, id, hash)));
        assert!(text.ends_with(&hint));
        for garbage in ["", "ak_", "ak_AAAA", &text[3..], &text[..text.len() - 1], "ak_é"] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }
}
