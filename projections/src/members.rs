//! The members of a tenant. Who was removed or has left has no row.

use application::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx,
    ids::{MemberId, TenantId, UserId, WorkspaceId},
    memberships::MembershipEvent,
    permission::{Permission, Role},
    recorded_event::RecordedEvent,
};
use infrastructure::{
    database::{Database, database_error},
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey, ids, records, row, tenants},
    page::{Page, PageRequest},
    personal::{self, Personal},
};

/// The projection.
pub struct Members;

/// A member as their tenant sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Member)]
pub struct MemberRow {
    /// The membership.
    #[schema(value_type = String, example = "mem_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: MemberId,
    /// Whose.
    #[schema(value_type = String, example = "usr_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub user_id: UserId,
    /// Their address when they joined.
    pub email: String,
    /// Their name when they joined.
    pub name: String,
    /// `owner`, `admin`, `member` or `auditor`.
    pub role: String,
    /// The workspaces that they may see; empty: all.
    #[schema(value_type = Vec<String>)]
    pub workspace_ids: Vec<WorkspaceId>,
    /// When they joined.
    pub joined_at: DateTime<Utc>,
    /// Where in the journal they joined.
    pub position: u64,
    /// The sequence of the membership's newest event.
    pub sequence: u64,
}

/// A membership as its user sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnMembership {
    /// Of which tenant.
    pub tenant_id: TenantId,
    /// The membership.
    pub member_id: MemberId,
    /// What the user may do there.
    pub role: Role,
    /// When they joined.
    pub joined_at: DateTime<Utc>,
}

impl Fold for Members {
    const NAME: &'static str = "members";
    type Key = MemberId;
    type Row = MemberRow;

    fn key(event: &RecordedEvent) -> Result<Option<MemberId>, FoldError> {
        Ok((event.stream.kind == "membership").then(|| event.stream.id.into()))
    }

    fn apply(row: Option<MemberRow>, event: &RecordedEvent) -> Result<Option<MemberRow>, FoldError> {
        let row = match (row, event.decode::<MembershipEvent>()?) {
            (_, MembershipEvent::MemberJoined(joined)) => MemberRow {
                id: joined.member_id,
                user_id: joined.user_id,
                email: joined.email.to_string(),
                name: joined.name.to_string(),
                role: joined.role.as_str().to_owned(),
                workspace_ids: joined.workspace_ids,
                joined_at: event.recorded_at,
                position: event.position,
                sequence: 0,
            },
            (None, _) => return Err(FoldError::missing_row(event)),
            (Some(row), MembershipEvent::MemberRoleChanged(changed)) => {
                MemberRow { role: changed.role.as_str().to_owned(), ..row }
            }
            (
                Some(_),
                MembershipEvent::MemberRemoved(_)
                | MembershipEvent::MemberLeft(_)
                | MembershipEvent::MemberErased(_),
            ) => return Ok(None),
        };
        Ok(Some(MemberRow { sequence: event.sequence, ..row }))
    }
}

impl Personal for MemberRow {
    fn texts(&mut self) -> Vec<&mut String> {
        vec![&mut self.email, &mut self.name]
    }
}

/// A row with the user in the form that a transaction names its user in.
#[derive(Serialize)]
struct Record<'a> {
    user_uuid: Uuid,
    #[serde(flatten)]
    row: &'a MemberRow,
}

#[async_trait]
impl Table for Members {
    async fn load(
        connection: &mut PgConnection,
        keys: &[TenantKey<MemberId>],
    ) -> Result<Vec<(TenantKey<MemberId>, MemberRow)>, Error> {
        let rows = sqlx::query!(
            r#"SELECT wanted.tenant_id AS "tenant_id!", to_jsonb(member) AS "row!: Json<MemberRow>"
               FROM unnest($1::uuid[], $2::text[]) AS wanted (tenant_id, id)
               CROSS JOIN LATERAL (
                   SELECT * FROM members WHERE tenant_id = wanted.tenant_id AND id = wanted.id OFFSET 0
               ) AS member"#,
            &tenants(keys),
            &ids(keys)
        )
        .fetch_all(connection)
        .await
        .map_err(database_error)?;
        Ok(rows.into_iter().map(|row| ((row.tenant_id.into(), row.row.id), row.row.0)).collect())
    }

    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<MemberId>, MemberRow)]) -> Result<(), Error> {
        let rows: Vec<_> =
            rows.iter().map(|(key, row)| (*key, Record { user_uuid: row.user_id.uuid(), row })).collect();
        let records = records(&rows)?;
        sqlx::query!(
            "INSERT INTO members SELECT * FROM jsonb_populate_recordset(NULL::members, $1)
             ON CONFLICT (tenant_id, id) DO UPDATE
             SET email = excluded.email, name = excluded.name, role = excluded.role,
                 workspace_ids = excluded.workspace_ids, joined_at = excluded.joined_at,
                 position = excluded.position, sequence = excluded.sequence",
            records
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<MemberId>]) -> Result<(), Error> {
        sqlx::query!(
            "DELETE FROM members AS member USING unnest($1::uuid[], $2::text[]) AS gone (tenant_id, id)
             WHERE member.tenant_id = gone.tenant_id AND member.id = gone.id",
            &tenants(keys),
            &ids(keys)
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        sqlx::query!("DELETE FROM members WHERE tenant_id = $1", tenant.uuid())
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }
}

/// The tenant's members in the order in which they joined; the pages' key is [`MemberRow::position`].
pub async fn list(
    ctx: &Ctx,
    database: &Database,
    page: PageRequest<u64>,
    min_position: u64,
) -> Result<Page<MemberRow, u64>, Error> {
    ctx.require(Permission::TenantRead)?;
    let (mut tx, position) = checkpoint::begin_at(database, ctx.tenant, Members::NAME, min_position).await?;
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(member) AS "row!: Json<MemberRow>" FROM members AS member
           WHERE tenant_id = $1 AND position > $2
           ORDER BY position LIMIT $3"#,
        ctx.tenant.uuid(),
        page.after.unwrap_or(0) as i64,
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    drop(tx);
    let mut page =
        page.page(rows.into_iter().map(|Json(row)| row).collect(), position, |row: &MemberRow| row.position);
    personal::open(database, ctx.tenant, &mut page.items).await?;
    Ok(page)
}

/// One member, with the position that the read model has seen.
pub async fn get(
    ctx: &Ctx,
    database: &Database,
    id: MemberId,
    min_position: u64,
) -> Result<(MemberRow, u64), Error> {
    ctx.require(Permission::TenantRead)?;
    let (mut tx, position) = checkpoint::begin_at(database, ctx.tenant, Members::NAME, min_position).await?;
    let row = row::<Members>(&mut tx, id).await?.ok_or_else(Error::not_found)?;
    drop(tx);
    Ok((opened(database, ctx.tenant, row).await?, position))
}

async fn opened(database: &Database, tenant: TenantId, mut row: MemberRow) -> Result<MemberRow, Error> {
    personal::open(database, tenant, std::slice::from_mut(&mut row)).await?;
    Ok(row)
}

/// Where `user` is a member, the oldest membership first. For themselves: the caller has made sure that it is they who
/// ask.
pub async fn of_user(database: &Database, user: UserId) -> Result<Vec<OwnMembership>, Error> {
    let mut tx = TenantTx::begin_for_user(database, user).await?;
    let rows = sqlx::query!(
        r#"SELECT tenant_id, to_jsonb(member) AS "row!: Json<MemberRow>"
           FROM members AS member WHERE user_uuid = $1 ORDER BY joined_at, tenant_id"#,
        user.uuid()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    rows.into_iter()
        .map(|record| {
            let Json(row) = record.row;
            let role = Role::ALL.iter().copied().find(|role| role.as_str() == row.role);
            Ok(OwnMembership {
                tenant_id: record.tenant_id.into(),
                member_id: row.id,
                role: role.ok_or_else(|| Error::internal(format!("there is no role {}", row.role)))?,
                joined_at: row.joined_at,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::memberships::{MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged};

    use super::*;
    use crate::story::{Story, name, rows};

    fn join(story: &mut Story, user_id: UserId, role: Role) -> MemberId {
        let member_id = MemberId::of(story.tenant, user_id);
        let (email, workspace_ids) = ("ada@example.com".parse().unwrap(), vec![]);
        let joined = MemberJoined { member_id, user_id, email, name: name("Ada"), role, workspace_ids };
        story.tell("membership", member_id, joined);
        member_id
    }

    #[test]
    fn a_member_has_the_newest_role() {
        let mut story = Story::new();
        let id = join(&mut story, UserId::random(), Role::Member);
        story.tell("membership", id, MemberRoleChanged { role: Role::Admin });
        let row = &rows::<Members>(&story)[&id];
        assert_eq!((row.role.as_str(), row.position, row.sequence), ("admin", 1, 2));
    }

    #[test]
    fn who_has_gone_has_no_row_and_who_comes_back_is_new() {
        let mut story = Story::new();
        let (leaver, removed) = (UserId::random(), UserId::random());
        let id = join(&mut story, leaver, Role::Admin);
        story.tell("membership", id, MemberLeft {});
        let other = join(&mut story, removed, Role::Member);
        story.tell("membership", other, MemberRemoved {});
        assert!(rows::<Members>(&story).is_empty());
        join(&mut story, leaver, Role::Auditor);
        let row = &rows::<Members>(&story)[&id];
        assert_eq!((row.role.as_str(), row.position, row.sequence), ("auditor", 5, 3));
    }
}
