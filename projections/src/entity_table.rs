//! The table of a projection whose rows are entities: one row an id, with the row's fields as columns.

/// Makes the [`Table`](crate::fold::Table) of a projection with a column `id`. `changes` is what a newer row sets.
macro_rules! entity_table {
    ($projection:ident in $table:literal changes $changes:literal) => {
        #[async_trait::async_trait]
        impl $crate::fold::Table for $projection {
            async fn load(
                connection: &mut sqlx::PgConnection,
                keys: &[$crate::fold::TenantKey<<Self as $crate::fold::Fold>::Key>],
            ) -> Result<
                Vec<(
                    $crate::fold::TenantKey<<Self as $crate::fold::Fold>::Key>,
                    <Self as $crate::fold::Fold>::Row,
                )>,
                application::error::Error,
            > {
                type Row = <$projection as $crate::fold::Fold>::Row;
                let rows = sqlx::query!(
                    "SELECT wanted.tenant_id AS \"tenant_id!\", to_jsonb(entity) AS \"row!: sqlx::types::Json<Row>\"
                     FROM unnest($1::uuid[], $2::text[]) AS wanted (tenant_id, id)
                     CROSS JOIN LATERAL (
                         SELECT * FROM "
                        + $table
                        + " WHERE tenant_id = wanted.tenant_id AND id = wanted.id OFFSET 0
                     ) AS entity",
                    &$crate::fold::tenants(keys),
                    &$crate::fold::ids(keys)
                )
                .fetch_all(connection)
                .await
                .map_err(infrastructure::database::database_error)?;
                Ok(rows.into_iter().map(|row| ((row.tenant_id.into(), row.row.0.id), row.row.0)).collect())
            }

            async fn save(
                tx: &mut infrastructure::projecting_tx::ProjectingTx,
                rows: &[(
                    $crate::fold::TenantKey<<Self as $crate::fold::Fold>::Key>,
                    <Self as $crate::fold::Fold>::Row,
                )],
            ) -> Result<(), application::error::Error> {
                let records = $crate::fold::records(rows)?;
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
                tx: &mut infrastructure::projecting_tx::ProjectingTx,
                keys: &[$crate::fold::TenantKey<<Self as $crate::fold::Fold>::Key>],
            ) -> Result<(), application::error::Error> {
                sqlx::query!(
                    "DELETE FROM "
                        + $table
                        + " AS entity USING unnest($1::uuid[], $2::text[]) AS gone (tenant_id, id)
                     WHERE entity.tenant_id = gone.tenant_id AND entity.id = gone.id",
                    &$crate::fold::tenants(keys),
                    &$crate::fold::ids(keys)
                )
                .execute(&mut **tx)
                .await
                .map(|_| ())
                .map_err(infrastructure::database::database_error)
            }

            async fn clear(
                tx: &mut infrastructure::projecting_tx::ProjectingTx,
                tenant: domain::ids::TenantId,
            ) -> Result<(), application::error::Error> {
                sqlx::query!("DELETE FROM " + $table + " WHERE tenant_id = $1", tenant.uuid())
                    .execute(&mut **tx)
                    .await
                    .map(|_| ())
                    .map_err(infrastructure::database::database_error)
            }
        }
    };
}

pub(crate) use entity_table;
