//! The invitations of a tenant.

use application::error::Error;
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx,
    ids::{InvitationId, TenantId, WorkspaceId},
    invitations::{
        InvitationAccepted, InvitationDeclined, InvitationExpired, InvitationResent, InvitationRevoked,
        InvitationSent,
    },
    permission::Permission,
    recorded_event::RecordedEvent,
};
use infrastructure::database::{Database, database_error};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{
    checkpoint,
    entity_table::entity_table,
    fold::{Fold, FoldError, row},
    page::{Page, PageRequest},
    personal::{self, Personal},
};

/// The projection.
pub struct Invitations;

/// What has become of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// Not answered yet. Its time may be over all the same: see `expires_at`.
    Pending,
    /// The invited person has joined.
    Accepted,
    /// The invited person has said no.
    Declined,
    /// Its time was over.
    Expired,
    /// It was withdrawn.
    Revoked,
}

impl InvitationState {
    /// All there are.
    pub const ALL: &[Self] = &[Self::Pending, Self::Accepted, Self::Declined, Self::Expired, Self::Revoked];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// An invitation as a tenant sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Invitation)]
pub struct InvitationRow {
    /// Which one.
    #[schema(value_type = String, example = "inv_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: InvitationId,
    /// Who is invited.
    pub email: String,
    /// The role offered.
    pub role: String,
    /// The workspaces offered; empty: all.
    #[schema(value_type = Vec<String>)]
    pub workspace_ids: Vec<WorkspaceId>,
    /// What has become of it.
    pub state: InvitationState,
    /// Who invited, by name.
    pub invited_by: String,
    /// When the newest mail was asked for.
    pub sent_at: DateTime<Utc>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// The sequence of its newest event.
    pub sequence: u64,
}

impl Fold for Invitations {
    const NAME: &'static str = "invitations";
    type Key = InvitationId;
    type Row = InvitationRow;

    fn key(event: &RecordedEvent) -> Result<Option<InvitationId>, FoldError> {
        Ok((event.stream.kind == "invitation").then(|| event.stream.id.into()))
    }

    fn apply(row: Option<InvitationRow>, event: &RecordedEvent) -> Result<Option<InvitationRow>, FoldError> {
        if let Some(sent) = event.fact::<InvitationSent>() {
            let sent = sent?;
            return Ok(Some(InvitationRow {
                id: sent.invitation_id,
                email: sent.email.to_string(),
                role: sent.role.as_str().to_owned(),
                workspace_ids: sent.workspace_ids,
                state: InvitationState::Pending,
                invited_by: sent.invited_by,
                sent_at: event.recorded_at,
                expires_at: sent.expires_at,
                sequence: event.sequence,
            }));
        }
        let mut row = row.ok_or_else(|| FoldError::missing_row(event))?;
        row.sequence = event.sequence;
        if let Some(resent) = event.fact::<InvitationResent>() {
            row.sent_at = event.recorded_at;
            row.expires_at = resent?.expires_at;
        } else if event.is::<InvitationAccepted>() {
            row.state = InvitationState::Accepted;
        } else if event.is::<InvitationDeclined>() {
            row.state = InvitationState::Declined;
        } else if event.is::<InvitationRevoked>() {
            row.state = InvitationState::Revoked;
        } else if event.is::<InvitationExpired>() {
            row.state = InvitationState::Expired;
        }
        Ok(Some(row))
    }
}

impl Personal for InvitationRow {
    fn texts(&mut self) -> Vec<&mut String> {
        vec![&mut self.email, &mut self.invited_by]
    }
}

entity_table! {
    Invitations in "invitations"
    changes "state = excluded.state, sent_at = excluded.sent_at, expires_at = excluded.expires_at, \
        sequence = excluded.sequence"
}

/// The tenant's invitations, the newest first; only those in `state` if one is given.
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    state: Option<InvitationState>,
    page: PageRequest<InvitationId>,
    min_position: u64,
) -> Result<Page<InvitationRow, InvitationId>, Error> {
    ctx.require(Permission::MembersInvite)?;
    let (mut tx, position) =
        checkpoint::begin_at(database, ctx.tenant, Invitations::NAME, min_position).await?;
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(invitation) AS "row!: Json<InvitationRow>"
           FROM invitations AS invitation
           WHERE tenant_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR id < $3)
           ORDER BY id DESC LIMIT $4"#,
        ctx.tenant.uuid(),
        state.map(InvitationState::as_str),
        page.after.map(|id| id.to_string()),
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    drop(tx);
    let mut page =
        page.page(rows.into_iter().map(|Json(row)| row).collect(), position, |row: &InvitationRow| row.id);
    personal::open(database, ctx.tenant, &mut page.items).await?;
    Ok(page)
}

/// One invitation, with the position that the read model has seen.
pub async fn get(
    ctx: &Ctx,
    database: &Database,
    id: InvitationId,
    min_position: u64,
) -> Result<(InvitationRow, u64), Error> {
    ctx.require(Permission::MembersInvite)?;
    let (mut tx, position) =
        checkpoint::begin_at(database, ctx.tenant, Invitations::NAME, min_position).await?;
    let row = row::<Invitations>(&mut tx, id).await?.ok_or_else(Error::not_found)?;
    drop(tx);
    Ok((opened(database, ctx.tenant, row).await?, position))
}

async fn opened(
    database: &Database,
    tenant: TenantId,
    mut row: InvitationRow,
) -> Result<InvitationRow, Error> {
    personal::open(database, tenant, std::slice::from_mut(&mut row)).await?;
    Ok(row)
}
