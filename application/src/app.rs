//! What a use case works with, and the one way that commands are carried out.

use std::sync::Arc;

use domain::{aggregate::Decide, ctx::Ctx, ids::TenantId};
use uuid::Uuid;

use crate::{
    admission,
    error::Error,
    journal::{Journal, StreamRequest},
    limits::Limits,
    passwords::Passwords,
    tokens::Tokens,
    work::{Work, replay, stream},
};

/// The ports that use cases work with.
#[derive(Clone)]
pub struct App {
    /// Where everything is appended.
    pub journal: Arc<dyn Journal>,
    /// Hashes and checks passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Counts attempts.
    pub limits: Arc<dyn Limits>,
    /// Makes and opens the tokens of links and cookies.
    pub tokens: Arc<Tokens>,
}

/// What a command answered, and the position that its journal has reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written<T> {
    /// The answer.
    pub value: T,
    /// The position after the commit.
    pub position: u64,
}

impl<T> Written<T> {
    /// The same position with another answer.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Written<U> {
        Written { value: map(self.value), position: self.position }
    }
}

impl App {
    /// Decides on several streams of the context's tenant and appends everything in one commit. `decide` must be pure:
    /// it runs again when another writer was faster.
    pub async fn transact<T: Send>(
        &self,
        ctx: &Ctx,
        streams: &[StreamRequest],
        mut decide: impl FnMut(&mut Work) -> Result<T, Error> + Send,
    ) -> Result<Written<T>, Error> {
        admission::check_session(ctx, self).await?;
        let mut all = admission::streams(ctx);
        all.extend_from_slice(streams);
        let mut answer = None;
        let mut decision = |work: &mut Work| {
            admission::check(ctx, work)?;
            answer = Some(decide(work)?);
            Ok(())
        };
        let position = self.journal.transact(ctx, &all, &mut decision).await?;
        let value = answer.ok_or_else(|| Error::internal("a journal commits only what was decided"))?;
        Ok(Written { value, position })
    }

    /// Lets one aggregate decide one command.
    pub async fn execute<A: Decide + 'static>(
        &self,
        ctx: &Ctx,
        id: impl Into<Uuid>,
        command: A::Command,
    ) -> Result<Written<()>, Error> {
        let id = id.into();
        self.transact(ctx, &[stream::<A>(id)], |work| work.execute::<A>(id, command.clone()).map(drop)).await
    }

    /// An aggregate as it is now.
    pub async fn load<A: Decide>(&self, tenant: TenantId, id: impl Into<Uuid>) -> Result<A, Error> {
        let histories = self.journal.load(tenant, &[stream::<A>(id)]).await?;
        histories.first().map_or_else(|| Ok(A::default()), replay)
    }
}
