//! Rows that say something about people. They keep it sealed, as the journal does, and it is opened on the way to who may
//! read it: so no row has to be found and changed when somebody is erased, and none can be forgotten.

use application::error::Error;
use domain::ids::TenantId;
use infrastructure::database::Database;

/// A row with texts that may be sealed.
pub(crate) trait Personal: Send {
    /// The texts.
    fn texts(&mut self) -> Vec<&mut String>;

    /// Puts the opened texts where they belong, if they have been elsewhere.
    fn opened(&mut self) {}
}

/// Opens rows of `tenant`; what is erased says so.
pub(crate) async fn open<R: Personal>(
    database: &Database,
    tenant: TenantId,
    rows: &mut [R],
) -> Result<(), Error> {
    database.open(tenant, rows.iter_mut().flat_map(R::texts).collect()).await?;
    rows.iter_mut().for_each(R::opened);
    Ok(())
}
