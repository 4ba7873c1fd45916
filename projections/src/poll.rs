//! Looking for tenants that no hint told of.

use std::collections::{HashMap, HashSet};

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
};
use uuid::Uuid;

/// After how many looks everything is looked at again, whatever was seen: somebody may have set a projection back by hand.
const TRUSTED_LOOKS: u32 = 600;

/// What was seen at the last looks.
///
/// Where every projection stands for every tenant is much to read; where every journal ends is not. So projections are
/// looked at only for tenants whose journals end elsewhere than when all projections were last seen at their ends.
#[derive(Default)]
pub(crate) struct Poll {
    looks: u32,
    caught_up: HashMap<TenantId, i64>,
}

impl Poll {
    /// The tenants that one of `projections` is behind for.
    pub(crate) async fn look(
        &mut self,
        database: &Database,
        projections: &[&str],
    ) -> Result<HashSet<TenantId>, Error> {
        self.looks += 1;
        if self.looks.is_multiple_of(TRUSTED_LOOKS) {
            self.caught_up.clear();
        }
        let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
        let heads = sqlx::query!("SELECT tenant_id, position FROM journal_heads WHERE position > 0")
            .fetch_all(&mut *tx)
            .await
            .map_err(database_error)?;
        let heads = heads.into_iter().map(|head| (TenantId::from(head.tenant_id), head.position));
        let grown: Vec<(TenantId, i64)> =
            heads.filter(|(tenant, head)| self.caught_up.get(tenant) != Some(head)).collect();
        if grown.is_empty() {
            return Ok(HashSet::new());
        }
        let (tenants, ends): (Vec<Uuid>, Vec<i64>) =
            grown.iter().map(|(tenant, head)| (tenant.uuid(), *head)).unzip();
        let behind = sqlx::query_scalar!(
            r#"SELECT head.tenant_id AS "tenant_id!"
               FROM unnest($1::uuid[], $2::bigint[]) AS head (tenant_id, position)
               CROSS JOIN LATERAL (
                   SELECT count(*) AS begun, min(checkpoint.position) AS position
                   FROM projection_checkpoints AS checkpoint, unnest(projections) AS name
                   WHERE tenant_id = head.tenant_id AND name = ANY($3)
                   -- A fence: without it all checkpoints there are may be read.
                   OFFSET 0
               ) AS standing
               WHERE standing.begun < cardinality($3) OR standing.position < head.position"#,
            &tenants,
            &ends,
            projections as &[&str]
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(database_error)?;
        let behind: HashSet<TenantId> = behind.into_iter().map(TenantId::from).collect();
        self.caught_up.extend(grown.into_iter().filter(|(tenant, _)| !behind.contains(tenant)));
        Ok(behind)
    }
}
