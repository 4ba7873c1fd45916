//! The API keys of a tenant's projects, with when each was last used.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{
    aggregate::DecodeError,
    api_keys::ApiKeyEvent,
    ctx::{Actor, Ctx},
    ids::{ApiKeyId, ProjectId, WorkspaceId},
    permission::Permission,
    recorded_event::RecordedEvent,
    tracked_events::EventTracked,
};
use infrastructure::database::{Database, database_error};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{
    checkpoint,
    entity_table::entity_table,
    fold::{Fold, FoldError, row},
    page::{Page, PageRequest},
    projects::{self, Projects},
};

/// The projection.
pub struct ApiKeys;

/// An API key as its tenant sees it. The secret is shown once, when it is made, and not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyRow {
    /// Which one.
    #[schema(value_type = String, example = "key_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// The workspace of its project.
    #[schema(value_type = String, example = "wsp_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub workspace_id: WorkspaceId,
    /// The project that it is for.
    #[schema(value_type = String, example = "prj_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub project_id: ProjectId,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The secret's last four characters, to tell keys apart.
    pub secret_hint: String,
    /// `active` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last sent an event that was taken.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The sequence of the key's newest event; its use is none.
    pub sequence: u64,
}

impl Fold for ApiKeys {
    const NAME: &'static str = "api_keys";
    type Key = ApiKeyId;
    type Row = ApiKeyRow;

    fn key(event: &RecordedEvent) -> Result<Option<ApiKeyId>, FoldError> {
        if event.is::<EventTracked>() {
            return Ok(sender(event)?);
        }
        Ok((event.stream.kind == "api_key").then(|| event.stream.id.into()))
    }

    fn apply(row: Option<ApiKeyRow>, event: &RecordedEvent) -> Result<Option<ApiKeyRow>, FoldError> {
        if event.is::<EventTracked>() {
            // No row: a key of another journal, such as that of an import.
            return Ok(row.map(|row| ApiKeyRow { last_used_at: Some(event.recorded_at), ..row }));
        }
        let row = match (row, event.decode::<ApiKeyEvent>()?) {
            (_, ApiKeyEvent::ApiKeyIssued(issued)) => ApiKeyRow {
                id: issued.api_key_id,
                name: issued.name.to_string(),
                workspace_id: issued.workspace_id,
                project_id: issued.project_id,
                scopes: issued.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
                secret_hint: issued.secret_hint,
                state: "active".to_owned(),
                created_at: event.recorded_at,
                last_used_at: None,
                sequence: 0,
            },
            (None, _) => return Err(FoldError::missing_row(event)),
            (Some(row), ApiKeyEvent::ApiKeyRotated(rotated)) => {
                ApiKeyRow { secret_hint: rotated.secret_hint, ..row }
            }
            (Some(row), ApiKeyEvent::ApiKeyRevoked(_)) => ApiKeyRow { state: "revoked".to_owned(), ..row },
        };
        Ok(Some(ApiKeyRow { sequence: event.sequence, ..row }))
    }
}

/// The key that sent an event, if a key did. Reads the actor and skips the rest: this runs for every tracked event.
fn sender(event: &RecordedEvent) -> Result<Option<ApiKeyId>, DecodeError> {
    #[derive(Deserialize)]
    struct Acting {
        actor: Actor,
    }
    let acting: Acting = serde_json::from_str(event.metadata.get())
        .map_err(|source| DecodeError::Payload { event_type: "metadata", source })?;
    Ok(match acting.actor {
        Actor::ApiKey { id } => Some(id),
        Actor::Anonymous | Actor::User { .. } | Actor::System => None,
    })
}

entity_table! {
    ApiKeys in "api_keys"
    changes "secret_hint = excluded.secret_hint, state = excluded.state, \
        last_used_at = excluded.last_used_at, sequence = excluded.sequence"
}

/// The API keys of a project, the newest first; revoked ones too.
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    project: ProjectId,
    page: PageRequest<ApiKeyId>,
    min_position: u64,
) -> Result<Page<ApiKeyRow, ApiKeyId>, Error> {
    ctx.require(Permission::ApiKeysManage)?;
    let (mut tx, position) =
        checkpoint::begin_at_all(database, ctx.tenant, &[ApiKeys::NAME, Projects::NAME], min_position)
            .await?;
    projects::of_id(&mut tx, project).await?;
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(api_key) AS "row!: Json<ApiKeyRow>" FROM api_keys AS api_key
           WHERE tenant_id = $1 AND project_id = $2 AND ($3::text IS NULL OR id < $3)
           ORDER BY id DESC LIMIT $4"#,
        ctx.tenant.uuid(),
        project.to_string(),
        page.after.map(|id| id.to_string()),
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(page.page(rows.into_iter().map(|Json(row)| row).collect(), position, |row| row.id))
}

/// One API key of a project, with the position that the read model has seen.
pub async fn get(
    ctx: &Ctx,
    database: &Database,
    project: ProjectId,
    id: ApiKeyId,
    min_position: u64,
) -> Result<(ApiKeyRow, u64), Error> {
    ctx.require(Permission::ApiKeysManage)?;
    let (mut tx, position) = checkpoint::begin_at(database, ctx.tenant, ApiKeys::NAME, min_position).await?;
    let row = row::<ApiKeys>(&mut tx, id).await?.filter(|row| row.project_id == project);
    Ok((row.ok_or_else(Error::not_found)?, position))
}

#[cfg(test)]
#[path = "api_keys_tests.rs"]
mod tests;
