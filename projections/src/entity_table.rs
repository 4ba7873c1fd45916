//! The table of a projection whose rows are entities: one row an id, with the row's fields as columns.

/// Makes the [`Table`](crate::fold::Table) of a projection with a column `id`. `changes` is what a newer row sets.
macro_rules! entity_table {
    ($projection:ident in $table:literal changes $changes:literal) => {
        #[async_trait::async_trait]
        impl $crate::fold::Table for $projection {
            async fn load(
                tx: &mut infrastructure::tenant_tx::TenantTx,
                keys: &[<Self as $crate::fold::Fold>::Key],
            ) -> Result<
                Vec<(<Self as $crate::fold::Fold>::Key, <Self as $crate::fold::Fold>::Row)>,
                application::error::Error,
            > {
                type Row = <$projection as $crate::fold::Fold>::Row;
                let rows = sqlx::query_scalar!(
                    "SELECT to_jsonb(entity) AS \"row!: sqlx::types::Json<Row>\" FROM "
                        + $table
                        + " AS entity WHERE tenant_id = $1 AND id = ANY($2)",
                    tx.tenant().uuid(),
                    &$crate::fold::texts(keys)
                )
                .fetch_all(&mut **tx)
                .await
                .map_err(infrastructure::database::database_error)?;
                Ok(rows.into_iter().map(|row| (row.0.id, row.0)).collect())
            }

            async fn save(
                tx: &mut infrastructure::tenant_tx::TenantTx,
                rows: &[(<Self as $crate::fold::Fold>::Key, <Self as $crate::fold::Fold>::Row)],
            ) -> Result<(), application::error::Error> {
                let records = $crate::fold::records(tx.tenant(), rows)?;
                sqlx::query!(
                    "INSERT INTO "
                        + $table
                        + " SELECT * FROM jsonb_populate_recordset(NULL::"
                        + $table
                        + ", $1) ON CONFLICT (tenant_id, id) DO UPDATE SET "
                        + $changes,
                    records
                )
                .execute(&mut **tx)
                .await
                .map(|_| ())
                .map_err(infrastructure::database::database_error)
            }

            async fn delete(
                tx: &mut infrastructure::tenant_tx::TenantTx,
                keys: &[<Self as $crate::fold::Fold>::Key],
            ) -> Result<(), application::error::Error> {
                sqlx::query!(
                    "DELETE FROM " + $table + " WHERE tenant_id = $1 AND id = ANY($2)",
                    tx.tenant().uuid(),
                    &$crate::fold::texts(keys)
                )
                .execute(&mut **tx)
                .await
                .map(|_| ())
                .map_err(infrastructure::database::database_error)
            }

            async fn clear(
                tx: &mut infrastructure::tenant_tx::TenantTx,
            ) -> Result<(), application::error::Error> {
                sqlx::query!("DELETE FROM " + $table + " WHERE tenant_id = $1", tx.tenant().uuid())
                    .execute(&mut **tx)
                    .await
                    .map(|_| ())
                    .map_err(infrastructure::database::database_error)
            }
        }
    };
}

pub(crate) use entity_table;
