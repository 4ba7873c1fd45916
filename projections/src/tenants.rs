//! The directory of tenants: one row for each.

use application::{error::Error, recording::Recording};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    ctx::Ctx, ids::TenantId, memberships::MembershipEvent, permission::Permission,
    recorded_event::RecordedEvent, tenants::TenantEvent,
};
use infrastructure::{
    database::{Database, database_error},
    journal,
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{
    checkpoint,
    fold::{Fold, FoldError, Table, TenantKey, records, row, tenants},
    page::{Page, PageRequest},
    subscriptions,
};

/// The projection.
pub struct Tenants;

/// A tenant as its members and the platform's administrators see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Tenant)]
pub struct TenantRow {
    /// Which one.
    #[schema(value_type = String, example = "ten_01k8zqe6b1fjv9m3w1r0n4h2tc")]
    pub id: TenantId,
    /// What it is called.
    pub name: String,
    /// Its name in addresses.
    pub slug: String,
    /// `active` or `frozen`.
    pub state: String,
    /// Why it is frozen, while it is.
    pub frozen_reason: Option<String>,
    /// The plan that it has subscribed to, if it has.
    pub plan: Option<String>,
    /// The state of its subscription, if it has one.
    pub subscription_state: Option<String>,
    /// How many members it has.
    pub members: u32,
    /// When it was founded.
    pub created_at: DateTime<Utc>,
    /// The sequence of the tenant's own newest event.
    pub sequence: u64,
}

impl Fold for Tenants {
    const NAME: &'static str = "tenants";
    /// There is one row in a tenant's journal: the tenant's.
    type Key = ();
    type Row = TenantRow;

    fn key(event: &RecordedEvent) -> Result<Option<()>, FoldError> {
        Ok(matches!(event.stream.kind.as_str(), "tenant" | "subscription" | "membership").then_some(()))
    }

    fn apply(row: Option<TenantRow>, event: &RecordedEvent) -> Result<Option<TenantRow>, FoldError> {
        match event.stream.kind.as_str() {
            "tenant" => of_tenant(row, event),
            "subscription" => of_subscription(row, event),
            _ => of_membership(row, event),
        }
        .map(Some)
    }
}

fn of_tenant(row: Option<TenantRow>, event: &RecordedEvent) -> Result<TenantRow, FoldError> {
    let row = match (row, event.decode::<TenantEvent>()?) {
        (_, TenantEvent::TenantCreated(created)) => TenantRow {
            id: created.tenant_id,
            name: created.name.to_string(),
            slug: created.slug.to_string(),
            state: "active".to_owned(),
            frozen_reason: None,
            plan: None,
            subscription_state: None,
            members: 0,
            created_at: event.recorded_at,
            sequence: 0,
        },
        (None, _) => return Err(FoldError::missing_row(event)),
        (Some(row), TenantEvent::TenantRenamed(renamed)) => {
            TenantRow { name: renamed.name.to_string(), ..row }
        }
        (Some(row), TenantEvent::TenantSlugChanged(changed)) => {
            TenantRow { slug: changed.slug.to_string(), ..row }
        }
        (Some(row), TenantEvent::TenantFrozen(frozen)) => {
            TenantRow { state: "frozen".to_owned(), frozen_reason: Some(frozen.reason), ..row }
        }
        (Some(row), TenantEvent::TenantUnfrozen(_)) => {
            TenantRow { state: "active".to_owned(), frozen_reason: None, ..row }
        }
        (Some(row), TenantEvent::OwnershipGranted(_) | TenantEvent::OwnershipEnded(_)) => row,
    };
    Ok(TenantRow { sequence: event.sequence, ..row })
}

fn of_subscription(row: Option<TenantRow>, event: &RecordedEvent) -> Result<TenantRow, FoldError> {
    let mut row = row.ok_or_else(|| FoldError::missing_row(event))?;
    let change = subscriptions::change(event)?;
    if let Some(terms) = change.terms {
        row.plan = Some(terms.plan.as_str().to_owned());
    }
    if let Some(state) = change.state {
        row.subscription_state = Some(state.to_owned());
    }
    Ok(row)
}

fn of_membership(row: Option<TenantRow>, event: &RecordedEvent) -> Result<TenantRow, FoldError> {
    let row = row.ok_or_else(|| FoldError::missing_row(event))?;
    let members = match event.decode::<MembershipEvent>()? {
        MembershipEvent::MemberJoined(_) => row.members + 1,
        MembershipEvent::MemberRoleChanged(_) => row.members,
        MembershipEvent::MemberRemoved(_)
        | MembershipEvent::MemberLeft(_)
        | MembershipEvent::MemberErased(_) => row.members.saturating_sub(1),
    };
    Ok(TenantRow { members, ..row })
}

#[async_trait]
impl Table for Tenants {
    async fn load(
        connection: &mut PgConnection,
        keys: &[TenantKey<()>],
    ) -> Result<Vec<(TenantKey<()>, TenantRow)>, Error> {
        let rows = sqlx::query!(
            r#"SELECT tenant.tenant_id, to_jsonb(tenant) AS "row!: Json<TenantRow>"
               FROM tenants AS tenant WHERE tenant_id = ANY($1)"#,
            &tenants(keys)
        )
        .fetch_all(connection)
        .await
        .map_err(database_error)?;
        Ok(rows.into_iter().map(|row| ((row.tenant_id.into(), ()), row.row.0)).collect())
    }

    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<()>, TenantRow)]) -> Result<(), Error> {
        let records = records(rows)?;
        sqlx::query!(
            "INSERT INTO tenants SELECT * FROM jsonb_populate_recordset(NULL::tenants, $1)
             ON CONFLICT (tenant_id) DO UPDATE
             SET name = excluded.name, slug = excluded.slug, state = excluded.state,
                 frozen_reason = excluded.frozen_reason, plan = excluded.plan,
                 subscription_state = excluded.subscription_state, members = excluded.members,
                 sequence = excluded.sequence",
            records
        )
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(database_error)
    }

    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<()>]) -> Result<(), Error> {
        sqlx::query!("DELETE FROM tenants WHERE tenant_id = ANY($1)", &tenants(keys))
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }

    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        sqlx::query!("DELETE FROM tenants WHERE tenant_id = $1", tenant.uuid())
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(database_error)
    }
}

/// The context's tenant, with the position that the read model has seen.
pub async fn get(ctx: &Ctx, database: &Database, min_position: u64) -> Result<(TenantRow, u64), Error> {
    ctx.require(Permission::TenantRead)?;
    let (mut tx, position) = checkpoint::begin_at(database, ctx.tenant, Tenants::NAME, min_position).await?;
    let row = row::<Tenants>(&mut tx, ()).await?.ok_or_else(Error::not_found)?;
    Ok((row, position))
}

/// Every tenant there is, the newest first, for the platform's administrators: the caller has checked that the actor
/// is one. The page's position is 0, because it is of many journals.
pub async fn list_all(
    ctx: &Ctx,
    database: &Database,
    page: PageRequest<TenantId>,
) -> Result<Page<TenantRow, TenantId>, Error> {
    if ctx.tenant != TenantId::PLATFORM {
        return Err(Error::internal("all tenants are listed in the platform's context only"));
    }
    let mut tx = TenantTx::begin(database, ctx.tenant).await?;
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(tenant) AS "row!: Json<TenantRow>" FROM tenants AS tenant
           WHERE $1::uuid IS NULL OR tenant_id < $1
           ORDER BY tenant_id DESC LIMIT $2"#,
        page.after.map(TenantId::uuid),
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(page.page(rows.into_iter().map(|Json(row)| row).collect(), 0, |row| row.id))
}

/// Those of `tenants` that the directory knows, for a user who is a member of them.
pub async fn of_ids(database: &Database, tenants: &[TenantId]) -> Result<Vec<TenantRow>, Error> {
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.uuid()).collect();
    let rows = sqlx::query_scalar!(
        r#"SELECT to_jsonb(tenant) AS "row!: Json<TenantRow>" FROM tenants AS tenant
           WHERE tenant_id = ANY($1) ORDER BY tenant_id"#,
        &ids
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(database_error)?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}

#[cfg(test)]
#[path = "tenants_tests.rs"]
mod tests;

/// The tenant after a write that reached `position`. The write has happened, so a directory that is behind is no reason to
/// refuse: it is waited for, and then shown as it is.
pub async fn after_write(database: &Database, tenant: TenantId, position: u64) -> Result<TenantRow, Error> {
    let ctx = Ctx::system(tenant, DateTime::UNIX_EPOCH);
    match get(&ctx, database, position).await {
        Err(Error::ReadModelBehind { .. }) => get(&ctx, database, 0).await.map(|(row, _)| row),
        read => read.map(|(row, _)| row),
    }
}

/// The tenant before a write, as the directory has it when it has seen the journal's end, if that does not take too long.
pub async fn before_write(database: &Database, tenant: TenantId) -> Result<TenantRow, Error> {
    let mut tx = TenantTx::begin(database, tenant).await?;
    let head = journal::head(&mut tx).await?;
    drop(tx);
    after_write(database, tenant, head).await
}

/// The same tenant after what was written.
pub fn with(row: TenantRow, recording: &Recording) -> Result<TenantRow, Error> {
    let mut row = Some(row);
    for event in recording.recorded(|_| true) {
        if Tenants::key(&event).map_err(Error::internal)?.is_some() {
            row = Tenants::apply(row, &event).map_err(Error::internal)?;
        }
    }
    row.ok_or_else(Error::not_found)
}
