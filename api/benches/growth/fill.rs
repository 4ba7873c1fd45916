//! An installation with a past, written by SQL: tenants as they are founded, and tracked events.

use anyhow::Context;
use domain::{
    aggregate::Facts,
    ids::{MemberId, ProjectId, SubscriptionId, TenantId, UserId, WorkspaceId},
    memberships::{MemberJoined, MembershipEvent},
    permission::Role,
    plan::Plan,
    projects::{ProjectCreated, ProjectEvent},
    subscriptions::{SeatTaken, SubscriptionEvent, SubscriptionStarted},
    tenants::{OwnershipGranted, TenantCreated, TenantEvent},
    workspaces::{WorkspaceCreated, WorkspaceEvent},
};
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) tenants: usize,
    /// Tracked events of each.
    pub(super) events_per_tenant: usize,
}

impl Extent {
    pub(super) fn events(self) -> usize {
        self.tenants * self.events_per_tenant
    }
}

/// How many events of a tenant follow each other in the table before another tenant's do.
const RUN: usize = 100;
/// How many tenants are founded in one statement.
const FOUNDED_AT_ONCE: usize = 500;

/// What founding a tenant records, as rows.
#[derive(Default)]
struct Rows {
    tenants: Vec<Uuid>,
    positions: Vec<i64>,
    streams: Vec<Uuid>,
    sequences: Vec<i64>,
    kinds: Vec<&'static str>,
    types: Vec<&'static str>,
    payloads: Vec<String>,
}

impl Rows {
    fn push(
        &mut self,
        kind: &'static str,
        stream: impl Into<Uuid>,
        sequence: i64,
        event: &impl Facts,
    ) -> anyhow::Result<()> {
        self.kinds.push(kind);
        self.streams.push(stream.into());
        self.sequences.push(sequence);
        self.types.push(event.type_name());
        self.payloads.push(event.encode()?.get().to_owned());
        Ok(())
    }

    /// The same events that the API records for a new tenant.
    fn found(&mut self, tenant: TenantId, owner: UserId) -> anyhow::Result<()> {
        let (workspace, project) = (WorkspaceId::random(), ProjectId::random());
        let (member, subscription) = (MemberId::of(tenant, owner), SubscriptionId::of(tenant));
        let name = || "Company".parse();
        let slug = format!("c{}", tenant.uuid().simple()).parse()?;
        let before = self.kinds.len();
        let created = TenantCreated { tenant_id: tenant, name: name()?, slug, created_by: owner };
        self.push("tenant", tenant, 1, &TenantEvent::from(created))?;
        let created = WorkspaceCreated { workspace_id: workspace, name: name()? };
        self.push("workspace", workspace, 1, &WorkspaceEvent::from(created))?;
        let created = ProjectCreated { project_id: project, workspace_id: workspace, name: name()? };
        self.push("project", project, 1, &ProjectEvent::from(created))?;
        let joined = MemberJoined {
            member_id: member,
            user_id: owner,
            email: super::site::OWNER.parse()?,
            name: "Ada".parse()?,
            role: Role::Owner,
            workspace_ids: vec![],
        };
        self.push("membership", member, 1, &MembershipEvent::from(joined))?;
        self.push("tenant", tenant, 2, &TenantEvent::from(OwnershipGranted { member_id: member }))?;
        let started = SubscriptionStarted {
            subscription_id: subscription,
            terms: Plan::Pro.terms(),
            started_at: chrono::Utc::now(),
            trial_ends_at: None,
        };
        self.push("subscription", subscription, 1, &SubscriptionEvent::from(started))?;
        self.push(
            "subscription",
            subscription,
            2,
            &SubscriptionEvent::from(SeatTaken { member_id: member }),
        )?;
        for index in before..self.kinds.len() {
            self.tenants.push(tenant.uuid());
            self.positions.push((index - before + 1) as i64);
        }
        Ok(())
    }

    async fn insert(&self, owner: &mut PgConnection) -> anyhow::Result<()> {
        let insert = "INSERT INTO events (tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type,
                                          event_version, payload, metadata, leaf_hash)
                      SELECT tenant, position, stream, sequence, now(), kind, type, 1, payload::json,
                             '{\"actor\":{\"type\":\"system\"},\"request_id\":\"filled\"}',
                             uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
                      FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[])
                           AS new (tenant, position, stream, sequence, kind, type, payload)";
        sqlx::query(insert)
            .bind(&self.tenants)
            .bind(&self.positions)
            .bind(&self.streams)
            .bind(&self.sequences)
            .bind(&self.kinds)
            .bind(&self.types)
            .bind(&self.payloads)
            .execute(owner)
            .await?;
        Ok(())
    }
}

/// Fills an installation whose server does not run; the tenants belong to one owner.
pub(super) async fn fill(owner: &mut PgConnection, extent: Extent) -> anyhow::Result<()> {
    owner.execute("SET synchronous_commit = off; SET maintenance_work_mem = '1GB'").await?;
    // Built at the end, as full as an index is that has grown entry by entry at random places.
    owner.execute("DROP INDEX events_by_stream").await?;
    let of_demo = "SELECT user_uuid FROM members WHERE role = 'owner' LIMIT 1";
    let ada: Uuid = sqlx::query_scalar(of_demo).fetch_one(&mut *owner).await?;
    let tenants: Vec<TenantId> = (0..extent.tenants).map(|_| TenantId::random()).collect();
    for some in tenants.chunks(FOUNDED_AT_ONCE) {
        let mut rows = Rows::default();
        some.iter().try_for_each(|tenant| rows.found(*tenant, ada.into()))?;
        rows.insert(owner).await?;
    }
    owner
        .execute(
            "CREATE TABLE filled AS SELECT tenant_id, max(position) AS founded FROM events
                  WHERE metadata ->> 'request_id' = 'filled' GROUP BY tenant_id",
        )
        .await?;
    let progress = indicatif::ProgressBar::new(extent.events() as u64);
    let (payload, message, metadata) = template(owner).await?;
    for run in 0..extent.events_per_tenant.div_ceil(RUN) {
        let filled = sqlx::query(
            "INSERT INTO events (tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type,
                                 event_version, payload, metadata, leaf_hash)
             SELECT tenant_id, founded + place, gen_random_uuid(), 1, now(), 'tracked_event', 'EventTracked', 1,
                    replace($1, $2, gen_random_uuid()::text)::json, $3::json,
                    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
             FROM filled CROSS JOIN generate_series($4 + 1, $4 + $5) AS place",
        );
        let (from, count) = ((run * RUN) as i64, RUN.min(extent.events_per_tenant - run * RUN) as i64);
        filled
            .bind(&payload)
            .bind(&message)
            .bind(&metadata)
            .bind(from)
            .bind(count)
            .execute(&mut *owner)
            .await?;
        progress.inc(count as u64 * extent.tenants as u64);
    }
    progress.finish();
    finish(owner).await
}

/// A tracked event as the server has stored it, the message id in it that is to be replaced, and its metadata.
async fn template(owner: &mut PgConnection) -> anyhow::Result<(String, String, String)> {
    sqlx::query_as(
        "SELECT payload::text, payload ->> 'message_id', metadata::text FROM events
         WHERE event_type = 'EventTracked' ORDER BY length(payload::text) DESC LIMIT 1",
    )
    .fetch_optional(owner)
    .await?
    .context("the demo has tracked events")
}

/// Heads, checkpoints at the heads so that nothing is left to project, indexes and statistics.
async fn finish(owner: &mut PgConnection) -> anyhow::Result<()> {
    owner
        .execute(
            "INSERT INTO journal_heads (tenant_id, position, recorded_at)
             SELECT tenant_id, max(position), max(recorded_at) FROM events JOIN filled USING (tenant_id)
             GROUP BY tenant_id;
             INSERT INTO projection_checkpoints (tenant_id, projections, position)
             SELECT tenant_id, projections, position
             FROM (SELECT array_agg(DISTINCT projection ORDER BY projection) AS projections FROM projection_positions)
                 AS known
             CROSS JOIN journal_heads JOIN filled USING (tenant_id);
             CREATE UNIQUE INDEX events_by_stream ON events (tenant_id, stream_id, sequence) WITH (fillfactor = 70);
             ALTER INDEX events_by_stream RESET (fillfactor)",
        )
        .await?;
    for table in ["events", "journal_heads", "projection_checkpoints"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).execute(&mut *owner).await?;
    }
    owner.execute("CHECKPOINT").await?;
    Ok(())
}
