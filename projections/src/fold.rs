//! What a projection is: a pure fold, its table, and how a batch of events goes through both.

use std::collections::BTreeMap;

use application::error::Error;
use async_trait::async_trait;
use domain::{aggregate::DecodeError, ids::TenantId, recorded_event::RecordedEvent};
use infrastructure::{projecting_tx::ProjectingTx, tenant_tx::TenantTx};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// A pure function from recorded events to keyed rows of one tenant.
///
/// It reads no clock and no other row, so that the same events always give the same rows.
pub trait Fold: Send + Sync + 'static {
    /// The projection's name: in checkpoints, in the API, on the command line.
    const NAME: &'static str;
    /// What tells its rows apart within a tenant.
    type Key: Ord + Clone + Send + Sync;
    /// One row.
    type Row: Clone + PartialEq + Send + Sync;

    /// The row that an event is about, if it is about one.
    fn key(event: &RecordedEvent) -> Result<Option<Self::Key>, FoldError>;

    /// The row after `event`; `None` if there is none then.
    fn apply(row: Option<Self::Row>, event: &RecordedEvent) -> Result<Option<Self::Row>, FoldError>;
}

/// An event that a fold can't take in.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Its payload can't be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is about a row that there is none of.
    #[error("{event_type} is about a row that is missing")]
    MissingRow {
        /// The event's type.
        event_type: String,
    },
}

impl FoldError {
    /// `event` is about a row that there is none of.
    pub fn missing_row(event: &RecordedEvent) -> Self {
        Self::MissingRow { event_type: event.event_type.clone() }
    }
}

/// A row's key among those of all tenants.
pub type TenantKey<K> = (TenantId, K);

/// The table that a fold's rows are kept in. Every statement is for all rows of a batch at once, whatever tenants they are
/// of.
#[async_trait]
pub trait Table: Fold {
    /// The rows of these keys that exist, of tenants that the transaction is for. A fold that meets each key once may
    /// return none.
    async fn load(
        connection: &mut PgConnection,
        keys: &[TenantKey<Self::Key>],
    ) -> Result<Vec<(TenantKey<Self::Key>, Self::Row)>, Error>;

    /// Writes rows, in place of those that have their keys.
    async fn save(tx: &mut ProjectingTx, rows: &[(TenantKey<Self::Key>, Self::Row)]) -> Result<(), Error>;

    /// Deletes the rows of these keys.
    async fn delete(tx: &mut ProjectingTx, keys: &[TenantKey<Self::Key>]) -> Result<(), Error>;

    /// Deletes all rows of a tenant.
    async fn clear(tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error>;
}

/// A row of the transaction's tenant.
pub(crate) async fn row<F: Table>(tx: &mut TenantTx, key: F::Key) -> Result<Option<F::Row>, Error> {
    let key = (tx.tenant(), key);
    Ok(F::load(tx, &[key]).await?.pop().map(|(_, row)| row))
}

/// Rows as the argument of `jsonb_populate_recordset`: their fields are the table's columns.
pub(crate) fn records<K, R: Serialize>(rows: &[(TenantKey<K>, R)]) -> Result<Value, Error> {
    #[derive(Serialize)]
    struct Record<'a, R> {
        tenant_id: Uuid,
        #[serde(flatten)]
        row: &'a R,
    }
    let records: Vec<_> =
        rows.iter().map(|((tenant, _), row)| Record { tenant_id: tenant.uuid(), row }).collect();
    let mut records = serde_json::to_value(records).map_err(Error::internal)?;
    replace_nul(&mut records);
    Ok(records)
}

/// The tenants of keys, as a column.
pub(crate) fn tenants<'a, K: 'a>(keys: impl IntoIterator<Item = &'a TenantKey<K>>) -> Vec<Uuid> {
    keys.into_iter().map(|(tenant, _)| tenant.uuid()).collect()
}

/// The journal's `json` can hold a NUL character, a read model's `text` and `jsonb` can't.
fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(values) => values.iter_mut().for_each(replace_nul),
        Value::Object(fields) => fields.values_mut().for_each(replace_nul),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A number as a `bigint` can hold it. An event may say more, and can't be changed; the row says the most there is.
pub(crate) fn at_most_bigint(number: u64) -> u64 {
    number.min(i64::MAX as u64)
}

/// The ids that are keys, as a column: as the read models keep them.
pub(crate) fn ids<K: ToString>(keys: &[TenantKey<K>]) -> Vec<String> {
    keys.iter().map(|(_, id)| id.to_string()).collect()
}

/// A projection as the projector sees it.
#[async_trait]
pub trait Projection: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Whether it has anything to do with these events. Where it has not, its checkpoint just passes them.
    fn concerns(&self, events: &[RecordedEvent]) -> bool;

    /// Takes in events of the transaction's tenants, each one's in order.
    async fn project(&self, tx: &mut ProjectingTx, events: &[RecordedEvent]) -> Result<(), ProjectError>;

    /// Whether it can be told everything again; not if what it did can't be undone (a mail).
    fn is_rebuildable(&self) -> bool;

    /// Forgets everything about a tenant, to be told again.
    async fn forget(&self, tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error>;
}

/// Why a batch could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The fold refused an event.
    #[error("position {position}: {source}")]
    Fold {
        /// Which event.
        position: u64,
        /// Why.
        source: FoldError,
    },
    /// The database did.
    #[error(transparent)]
    Database(#[from] Error),
    /// The projection panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
}

/// An event that is about a row, with its key.
pub(crate) type Keyed<'e, K> = (TenantKey<K>, &'e RecordedEvent);

/// The events that are about a row, with its key.
pub(crate) fn keyed<F: Fold>(events: &[RecordedEvent]) -> Result<Vec<Keyed<'_, F::Key>>, ProjectError> {
    let mut keyed = Vec::with_capacity(events.len());
    for event in events {
        let key = F::key(event).map_err(|source| ProjectError::Fold { position: event.position, source })?;
        keyed.extend(key.map(|key| ((event.tenant_id, key), event)));
    }
    Ok(keyed)
}

/// Takes the events, in order, into the rows that they are about.
pub(crate) fn fold<F: Fold>(
    rows: &mut BTreeMap<TenantKey<F::Key>, Option<F::Row>>,
    keyed: Vec<Keyed<'_, F::Key>>,
) -> Result<(), ProjectError> {
    for (key, event) in keyed {
        let row = rows.remove(&key).flatten();
        let row =
            F::apply(row, event).map_err(|source| ProjectError::Fold { position: event.position, source })?;
        rows.insert(key, row);
    }
    Ok(())
}

#[async_trait]
impl<F: Table> Projection for F {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn concerns(&self, events: &[RecordedEvent]) -> bool {
        // What it can't read concerns it too: it fails on that where failures are handled.
        events.iter().any(|event| !matches!(F::key(event), Ok(None)))
    }

    async fn project(&self, tx: &mut ProjectingTx, events: &[RecordedEvent]) -> Result<(), ProjectError> {
        let keyed = keyed::<F>(events)?;
        if keyed.is_empty() {
            return Ok(());
        }
        let mut before: BTreeMap<TenantKey<F::Key>, Option<F::Row>> =
            keyed.iter().map(|(key, _)| (key.clone(), None)).collect();
        let keys: Vec<TenantKey<F::Key>> = before.keys().cloned().collect();
        for (key, row) in F::load(tx, &keys).await? {
            before.insert(key, Some(row));
        }
        let mut after = before.clone();
        fold::<F>(&mut after, keyed)?;
        let (mut saved, mut deleted) = (Vec::new(), Vec::new());
        for (key, row) in after {
            match row {
                Some(row) if before[&key].as_ref() != Some(&row) => saved.push((key, row)),
                None if before[&key].is_some() => deleted.push(key),
                _ => {}
            }
        }
        if !saved.is_empty() {
            F::save(tx, &saved).await?;
        }
        if !deleted.is_empty() {
            F::delete(tx, &deleted).await?;
        }
        Ok(())
    }

    fn is_rebuildable(&self) -> bool {
        true
    }

    async fn forget(&self, tx: &mut ProjectingTx, tenant: TenantId) -> Result<(), Error> {
        F::clear(tx, tenant).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_its_tenant_and_no_nul() {
        #[derive(Serialize)]
        struct Row {
            name: &'static str,
            notes: Vec<&'static str>,
        }
        let tenant = TenantId::random();
        let records = records(&[((tenant, ()), Row { name: "a\0b", notes: vec!["c", "\0"] })]).unwrap();
        let expected = serde_json::json!([
            {"tenant_id": tenant.uuid(), "name": "a\u{fffd}b", "notes": ["c", "\u{fffd}"]}
        ]);
        assert_eq!(records, expected);
    }
}
