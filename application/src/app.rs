//! What a use case works with, and the one way that commands are carried out.

use std::sync::Arc;

use domain::{
    aggregate::Decide,
    ctx::{Admission, Ctx},
    ids::TenantId,
};
use uuid::Uuid;

use crate::{
    admission,
    error::Error,
    journal::{Answer, Command, Committed, Journal, StreamRequest},
    limits::Limits,
    loaded::replay,
    once::Once,
    passwords::Passwords,
    recording::Recording,
    tokens::Tokens,
    work::{Work, stream},
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
    /// What makes commands leave their answer, while a request with an idempotency key is carried out.
    pub once: Option<Arc<Once>>,
}

/// Workers show what they work with; there is nothing to see.
impl std::fmt::Debug for App {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("App").finish_non_exhaustive()
    }
}

/// What a command answered, and what it added to the journal.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// The answer.
    pub value: T,
    /// The position after the commit.
    pub position: u64,
    /// The events.
    pub recording: Arc<Recording>,
}

impl<T: 'static> Written<T> {
    fn of(Committed { answer, recording }: Committed) -> Result<Self, Error> {
        let value =
            answer.downcast::<T>().map_err(|_| Error::internal("a decision answers what it answers"))?;
        Ok(Self { value: *value, position: recording.position(), recording })
    }
}

impl App {
    /// The same ports, for a request whose answer is kept: by the command whose decision answers what it is about.
    pub fn once(&self, once: Once) -> Self {
        Self { once: Some(Arc::new(once)), ..self.clone() }
    }

    /// Goes on only if the context's actor is still let in, in this moment: what a commit would find.
    pub async fn confirm(&self, ctx: &Ctx) -> Result<(), Error> {
        if ctx.admission == Admission::Outside && ctx.witness.is_none() {
            return Ok(());
        }
        self.transact(ctx, [], |_| Ok(())).await.map(drop)
    }

    /// Decides on several streams of the context's tenant and appends everything in one commit. `decide` must be pure:
    /// it runs again when another writer was faster.
    pub async fn transact<T: Send + 'static>(
        &self,
        ctx: &Ctx,
        streams: impl IntoIterator<Item = StreamRequest>,
        decide: impl Fn(&mut Work) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Written<T>, Error> {
        self.transact_with_firsts(ctx, streams, Arc::from([]), decide).await
    }

    /// The same for a command that may have to commit something and then refuse all the same: the inner result is told
    /// after the commit.
    pub(crate) async fn transact_or_refuse<T: Send + 'static>(
        &self,
        ctx: &Ctx,
        streams: impl IntoIterator<Item = StreamRequest>,
        decide: impl Fn(&mut Work) -> Result<Result<T, Error>, Error> + Send + Sync + 'static,
    ) -> Result<Written<T>, Error> {
        let decide = move |work: &mut Work| {
            Ok(match decide(work)? {
                Ok(value) => Box::new(value) as Answer,
                Err(refusal) => Box::new(refusal),
            })
        };
        let Committed { answer, recording } = self.commit(ctx, streams, Arc::from([]), decide).await?;
        match answer.downcast::<Error>() {
            Ok(refusal) => Err(*refusal),
            Err(answer) => Written::of(Committed { answer, recording }),
        }
    }

    /// The same as [`Self::transact`] with streams of at most one event, of which `decide` learns whether they exist.
    pub(crate) async fn transact_with_firsts<T: Send + 'static>(
        &self,
        ctx: &Ctx,
        streams: impl IntoIterator<Item = StreamRequest>,
        firsts: Arc<[Uuid]>,
        decide: impl Fn(&mut Work) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Written<T>, Error> {
        let decide = move |work: &mut Work| Ok(Box::new(decide(work)?) as Answer);
        Written::of(self.commit(ctx, streams, firsts, decide).await?)
    }

    async fn commit(
        &self,
        ctx: &Ctx,
        streams: impl IntoIterator<Item = StreamRequest>,
        firsts: Arc<[Uuid]>,
        decide: impl Fn(&mut Work) -> Result<Answer, Error> + Send + Sync + 'static,
    ) -> Result<Committed, Error> {
        let mut all = admission::streams(ctx);
        all.extend(streams);
        let admitted = ctx.clone();
        let decide = Arc::new(move |work: &mut Work| {
            admission::check(&admitted, work)?;
            decide(work)
        });
        let command = Command { ctx: ctx.clone(), streams: all, firsts, decide, once: self.once.clone() };
        match self.journal.transact(command.clone()).await {
            Err(Error::SessionChanged) => {
                let ctx = admission::with_fresh_witness(ctx, self).await?;
                self.journal.transact(Command { ctx, ..command }).await
            }
            committed => committed,
        }
    }

    /// Lets one aggregate decide one command.
    pub async fn execute<A: Decide + 'static>(
        &self,
        ctx: &Ctx,
        id: impl Into<Uuid>,
        command: A::Command,
    ) -> Result<Written<()>, Error> {
        let id = id.into();
        self.transact(ctx, [stream::<A>(id)], move |work| work.execute::<A>(id, command.clone()).map(drop))
            .await
    }

    /// Lets a new aggregate decide its first command; the answer is `begun`.
    pub(crate) async fn begin<A: Decide + 'static, T: Clone + Send + Sync + 'static>(
        &self,
        ctx: &Ctx,
        id: impl Into<Uuid>,
        command: A::Command,
        begun: T,
    ) -> Result<Written<T>, Error> {
        let id = id.into();
        self.transact_with_firsts(ctx, [], Arc::from([id]), move |work| {
            work.begin::<A>(id, command.clone())?;
            Ok(begun.clone())
        })
        .await
    }

    /// An aggregate as it is now.
    pub async fn load<A: Decide>(&self, tenant: TenantId, id: impl Into<Uuid>) -> Result<A, Error> {
        let histories = self.journal.load(tenant, &[stream::<A>(id)]).await?;
        histories.first().map_or_else(|| Ok(A::default()), replay)
    }
}
