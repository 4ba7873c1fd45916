//! Streams on their way from the database: those of several tenants share one call.

use std::sync::Arc;

use application::error::Error;
use domain::ids::TenantId;
use tokio::runtime::Handle;

use super::{
    connections::Connections,
    gathering::{Call, Gathering, PATIENCE},
    load::{Load, Loading, load_each},
    setback::Failure,
};
use crate::database::{Database, database_error};

/// How many streams a load may have to share a call.
const SMALL: usize = 64;

/// Makes the calls that load.
pub(super) struct Loader {
    database: Database,
    connections: Arc<Connections>,
}

impl Loader {
    /// The desk where loads are handed in.
    pub(super) fn new(
        database: Database,
        connections: Arc<Connections>,
        runtime: Handle,
    ) -> Arc<Gathering<Self>> {
        Gathering::new(Self { database, connections }, PATIENCE, runtime)
    }

    async fn call(&self, loads: &[Load]) -> Result<Vec<Loading>, Error> {
        let mut connection = self.connections.take().await.map_err(database_error)?;
        let loadings = load_each(&mut connection, self.database.vault(), loads).await?;
        self.connections.keep(connection);
        Ok(loadings)
    }
}

impl Call for Loader {
    type Question = Load;
    type Answer = Result<Loading, Failure>;

    fn tenant(load: &Load) -> TenantId {
        load.tenant
    }

    fn is_large(load: &Load) -> bool {
        load.streams.len() + load.firsts.len() > SMALL
    }

    async fn carry_out(&self, loads: &[Load]) -> Vec<Result<Loading, Failure>> {
        let failure = match self.call(loads).await {
            Ok(loadings) => return loadings.into_iter().map(Ok).collect(),
            Err(error) => Failure::from(error),
        };
        if failure.is_away() || loads.len() == 1 {
            return loads.iter().map(|_| Err(failure.clone())).collect();
        }
        // One of them is at fault.
        let mut answers = Vec::with_capacity(loads.len());
        for load in loads.chunks(1) {
            match self.call(load).await {
                Ok(loadings) => answers.extend(loadings.into_iter().map(Ok)),
                Err(error) => answers.push(Err(error.into())),
            }
        }
        answers
    }
}

impl Gathering<Loader> {
    /// Reads streams.
    pub(super) async fn load(self: &Arc<Self>, load: Load) -> Result<Loading, Error> {
        match self.ask(load).await {
            Some(loading) => loading.map_err(|failure| failure.error()),
            None => Err(Error::internal("loading has failed")),
        }
    }
}
