//! Streams on their way from the database: those of several tenants share one call.

use std::sync::Arc;

use application::error::Error;
use domain::ids::TenantId;
use tokio::runtime::Handle;

use super::{
    connections::Connections,
    gathering::{AtFault, Call, Gathering, PATIENCE},
    load::{Fetch, Found, fetch_each},
    setback::Failure,
};
use crate::database::{database_error, is_unreachable};

/// How many streams may be fetched for one who shares a call.
const SMALL: usize = 64;

/// Makes the calls that fetch streams.
pub(super) struct Loader {
    connections: Arc<Connections>,
}

impl Loader {
    /// What gathers fetches for its calls.
    pub(super) fn new(connections: Arc<Connections>, runtime: Handle) -> Arc<Gathering<Self>> {
        Gathering::new(Self { connections }, PATIENCE, runtime)
    }

    async fn call(&self, fetches: &[Fetch]) -> Result<Vec<Found>, Error> {
        let mut connection = self.connections.take().await.map_err(database_error)?;
        let found = fetch_each(&mut connection, fetches).await?;
        self.connections.keep(connection);
        Ok(found)
    }
}

impl Call for Loader {
    type Question = Fetch;
    type Answer = Result<Found, Failure>;

    fn tenant(fetch: &Fetch) -> TenantId {
        fetch.tenant
    }

    fn is_large(fetch: &Fetch) -> bool {
        fetch.streams.len() + fetch.firsts.len() > SMALL
    }

    async fn answer(&self, fetches: &[Fetch]) -> Result<Vec<Self::Answer>, AtFault<Self::Answer>> {
        match self.call(fetches).await {
            Ok(found) => Ok(found.into_iter().map(Ok).collect()),
            Err(error) if is_unreachable(&error) => {
                let failure = Failure::from(error);
                Ok(fetches.iter().map(|_| Err(failure.clone())).collect())
            }
            Err(error) => Err(AtFault(Err(error.into()))),
        }
    }
}

impl Gathering<Loader> {
    /// What there is of streams.
    pub(super) async fn fetch(self: &Arc<Self>, fetch: Fetch) -> Result<Found, Error> {
        match self.ask(fetch).await {
            Some(found) => found.map_err(|failure| failure.error()),
            None => Err(database_error(sqlx::Error::WorkerCrashed)),
        }
    }
}
