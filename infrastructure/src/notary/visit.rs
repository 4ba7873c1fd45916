//! A visit of the notary: what is new in the journals of some tenants goes into their trees, in one transaction.

use application::error::Error;
use domain::ids::TenantId;
use tlog_tiles::Hash;

use super::{
    Notary, Visit,
    checkpoint::CheckpointError,
    edge::Edge,
    signed::Signed,
    tiles::Pieces,
    trees::{self, Found, Grown, not_as_signed},
};
use crate::{database::is_unreachable, projecting_tx::ProjectingTx};

/// What became of visits to tenants.
pub(super) type Outcomes = Vec<(TenantId, Result<Visit, Error>)>;

impl Notary {
    /// Takes new events of a tenant into its tree, at most a batch, and signs it.
    pub async fn visit(&self, tenant: TenantId) -> Result<Visit, Error> {
        let outcome = self.visit_each(&[tenant]).await.pop();
        outcome.map_or(Ok(Visit::Done), |(_, outcome)| outcome)
    }

    /// The same for several tenants. What is wrong with one of them is no matter to the others. Who has no outcome is to be
    /// visited again: the database has gone away.
    pub(super) async fn visit_each(&self, tenants: &[TenantId]) -> Outcomes {
        match (self.visit_together(tenants).await, tenants) {
            (Ok(outcomes), _) => outcomes,
            (Err(error), [tenant]) => vec![(*tenant, Err(error))],
            (Err(error), _) if is_unreachable(&error) => {
                tracing::warn!(%error, "can't sign; trying again at the next poll");
                Outcomes::new()
            }
            // Whose fault it is shows when they are visited one by one.
            (Err(_), tenants) => {
                let mut outcomes = Outcomes::with_capacity(tenants.len());
                for tenant in tenants {
                    match self.visit_together(&[*tenant]).await {
                        Ok(one) => outcomes.extend(one),
                        Err(error) => {
                            let is_unreachable = is_unreachable(&error);
                            outcomes.push((*tenant, Err(error)));
                            if is_unreachable {
                                break;
                            }
                        }
                    }
                }
                outcomes
            }
        }
    }

    /// Visits tenants in one transaction. If it fails, nothing was signed.
    async fn visit_together(&self, tenants: &[TenantId]) -> Result<Outcomes, Error> {
        let mut tenants = tenants.to_vec();
        // Two notaries that lock the same trees do so in the same order.
        tenants.sort_unstable();
        let batch = (self.batch / tenants.len() as u32).max(1);
        let mut tx = ProjectingTx::begin(&self.database, tenants).await?;
        let (mut outcomes, mut grown) = (Outcomes::new(), Vec::new());
        for found in trees::look(&mut tx, batch).await? {
            let tenant = found.tenant;
            match self.grow(found) {
                Ok(Some(tree)) => grown.push(tree),
                Ok(None) => outcomes.push((tenant, Ok(Visit::Done))),
                Err(error) => outcomes.push((tenant, Err(error))),
            }
        }
        if grown.is_empty() {
            return Ok(outcomes);
        }
        let signed = trees::keep(&mut tx, &grown).await?;
        tx.commit().await?;
        metrics::counter!("annals_notary_checkpoints_total").increment(signed.len() as u64);
        outcomes.extend(grown.into_iter().map(|Grown { tenant, leaves, .. }| {
            let is_all = leaves < batch as usize;
            // Otherwise another notary was faster, and may have signed less.
            let is_signed = signed.contains(&tenant.uuid());
            (tenant, Ok(if is_signed && is_all { Visit::Done } else { Visit::More }))
        }));
        Ok(outcomes)
    }

    /// Lets a tree grow by what is new, and signs it; nothing if nothing is.
    fn grow(&self, found: Found) -> Result<Option<Grown>, Error> {
        let Found { tenant, tree, leaves, last } = found;
        let Some(last) = last else { return Ok(None) };
        let mut edge = match tree {
            Some(tree) => self.recognize(tenant, &tree)?,
            None => Edge::default(),
        };
        if last != edge.size() + leaves.len() as u64 {
            return Err(not_as_signed(tenant, "events are missing"));
        }
        let (before, mut pieces) = (edge.size(), Pieces::default());
        for leaf in &leaves {
            let leaf = leaf.as_slice().try_into().map_err(|_| Error::internal("a leaf hash has 32 bytes"))?;
            edge.grow(leaf, |hash| pieces.push(&hash));
        }
        let checkpoint = self.key.sign(tenant, edge.size(), Hash(edge.root()));
        Ok(Some(Grown { tenant, before, edge, checkpoint, pieces, leaves: leaves.len() }))
    }

    /// The edge that was kept with a checkpoint, if the two belong together and the key has signed them.
    fn recognize(&self, tenant: TenantId, tree: &Signed) -> Result<Edge, Error> {
        let size = tree.size;
        let edge =
            Edge::from_bytes(size, &tree.edge).ok_or_else(|| not_as_signed(tenant, "the edge is damaged"))?;
        match self.key.public().open(&tree.checkpoint) {
            Ok(signed) if signed.tenant == tenant && signed.size == size && signed.root == edge.root() => {
                Ok(edge)
            }
            // An installation that was given another key: nothing binds the new one yet, and what it signs says so.
            Err(CheckpointError::OtherKey) => {
                tracing::warn!(%tenant, size, "the last checkpoint is another key's; this one continues its tree");
                Ok(edge)
            }
            Ok(_) => Err(not_as_signed(tenant, "the checkpoint is of another tree")),
            Err(error) => Err(not_as_signed(tenant, &error.to_string())),
        }
    }
}
