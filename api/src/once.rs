//! `Idempotency-Key` on every POST: who has lost an answer sends the request again, and gets that answer and not the
//! effect a second time.
//!
//! The answer is made in the commit of what it tells of, and kept there (`docs/adr/0011-answers-in-their-commit.md`): it is
//! there exactly if the effect is. A refusal has changed nothing and is not kept.

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, ResponseError,
    dev::Payload,
    http::{StatusCode, header::HeaderValue},
    web::Data,
};
use application::{
    app::{App, Written},
    error::Error,
    once::{self, Commit, KeptAnswer, in_use},
};
use domain::{
    ctx::{Actor, Ctx, Forbidden},
    permission::Permissions,
};
use infrastructure::{
    answer_seals::{KeyedRequest, Seal},
    database::database_error,
    kept_answers,
    tenant_tx::TenantTx,
};
use projections::entity;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    annals::Annals,
    http::{
        idempotency_key::{IdempotencyKey, REPLAYED},
        problem::Problem,
        reply::{Answer, Reply},
    },
};

/// A request that is carried out once, if its client gives it a key. It stands in the signature of every POST.
pub struct Once {
    request: HttpRequest,
    annals: Data<Annals>,
}

/// The same, and what it is about.
pub struct Request<'a> {
    once: Once,
    ctx: &'a Ctx,
    body: &'a [u8],
    streams: Vec<Uuid>,
}

impl FromRequest for Once {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let annals = request.app_data::<Data<Annals>>().cloned();
        let once = annals.map(|annals| Self { request: request.clone(), annals });
        ready(once.ok_or_else(|| Problem::internal("the app has no data")))
    }
}

impl Once {
    /// On whose behalf it is carried out, and what was sent: the body, or what stands in its place.
    pub fn of<'a>(self, ctx: &'a Ctx, body: &'a [u8]) -> Request<'a> {
        Request { once: self, ctx, body, streams: Vec::new() }
    }
}

impl Request<'_> {
    /// The stream of an entity that there was before and that the answer shows.
    #[must_use]
    pub fn showing(mut self, entity: impl Into<Uuid>) -> Self {
        self.streams.push(entity.into());
        self
    }

    /// Carries it out and tells the answer: by `render`, from what a decision of `run` has answered and what it committed.
    /// With a key, `render` makes the answer within that commit; sent again, it gets the same answer.
    ///
    /// # Errors
    /// What `run` refuses, 400 if the key is none, 409 while the same request is being carried out, 422 if the key was
    /// another request's.
    pub async fn answer<T: Send + 'static, R: Answer>(
        self,
        run: impl AsyncFnOnce(&App) -> Result<Written<T>, Error>,
        render: impl Fn(&T, &Commit<'_>) -> Result<R, Problem> + Send + Sync + 'static,
    ) -> Result<HttpResponse, Problem> {
        let annals = Data::clone(&self.once.annals);
        let Some(seal) = self.seal()? else {
            let Written { value, recording, .. } = run(&annals.app).await?;
            let events = entity::events(&annals.database, self.ctx.tenant, &self.streams).await?;
            let commit = Commit { recording: &recording, events: &events };
            return render(&value, &commit)?.reply().map(Reply::respond);
        };
        let identity = seal.identity();
        if let Some(kept) = annals.app.journal.kept_answer(&identity).await? {
            return self.replay(&seal, &kept).await;
        }
        let answered = Arc::new(Mutex::new(None));
        let (permissions, told) = (self.ctx.permissions.clone(), Arc::clone(&answered));
        let render = Arc::new(move |answer: &dyn std::any::Any, commit: &Commit<'_>| {
            let Some(answer) = answer.downcast_ref::<T>() else { return Ok(None) };
            let reply = render(answer, commit).and_then(|answer| answer.reply());
            let kept = match &reply {
                Ok(reply) => Some(seal.close(&keepable(&permissions, reply)?)?),
                // A refusal that had to be committed.
                Err(problem) if problem.status_code().is_client_error() => None,
                Err(problem) => return Err(Error::internal(problem.to_string())),
            };
            // What is sent is what was kept.
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
            Ok(kept)
        });
        let once = once::Once { identity, streams: self.streams, render };
        run(&annals.app.once(once)).await?;
        let answered = answered.lock().unwrap_or_else(PoisonError::into_inner).take();
        answered.ok_or_else(|| Problem::internal("no decision has answered the request"))?.map(Reply::respond)
    }

    /// The same for what is no command of a journal but done in a transaction of the context's tenant, such as queueing.
    pub async fn answer_in_tx<T, R: Answer>(
        self,
        run: impl AsyncFnOnce(&mut TenantTx) -> Result<T, Error>,
        render: impl Fn(&T) -> R,
    ) -> Result<HttpResponse, Problem> {
        let (seal, annals) = (self.seal()?, &self.once.annals);
        if let Some(seal) = &seal
            && let Some(kept) = annals.app.journal.kept_answer(&seal.identity()).await?
        {
            return self.replay(seal, &kept).await;
        }
        let mut tx = TenantTx::begin(&annals.database, self.ctx.tenant).await?;
        let reply = render(&run(&mut tx).await?).reply()?;
        if let Some(seal) = &seal {
            let answer = seal.close(&keepable(&self.ctx.permissions, &reply)?)?;
            if !kept_answers::keep(&mut tx, &seal.identity(), &answer).await.map_err(database_error)? {
                return Err(in_use().into());
            }
        }
        tx.commit().await?;
        Ok(reply.respond())
    }

    /// What the answer is found and sealed with, if the request has a key.
    fn seal(&self) -> Result<Option<Seal>, Problem> {
        let request = &self.once.request;
        let Some(key) = IdempotencyKey::of(request.headers())? else { return Ok(None) };
        let content = [request.query_string().as_bytes(), self.body];
        let route = format!("{} {}", request.method(), request.path());
        let principal = principal(self.ctx, content);
        let (scope, principal, route, key) = (self.ctx.tenant, &principal, &route, key.as_str());
        let keyed = KeyedRequest { scope, principal, route, key, content };
        Ok(Some(self.once.annals.answer_seals.of(&keyed)))
    }

    /// Gives the same answer again, to who is still let in and may still do what they might then.
    async fn replay(&self, seal: &Seal, kept: &KeptAnswer) -> Result<HttpResponse, Problem> {
        self.once.annals.app.confirm(self.ctx).await?;
        if kept.fingerprint != seal.identity().fingerprint {
            let detail = "the Idempotency-Key was used for another request: its query or body differs";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail));
        }
        let (permissions, reply) = kept_reply(&seal.open(&kept.answer)?)?;
        if let Some(missing) = permissions.iter().find(|permission| !self.ctx.permissions.allow(*permission))
        {
            return Err(Error::from(Forbidden { missing }).into());
        }
        let mut response = reply.respond();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }
}

/// Who asks. Nobody in particular is whoever sends this very content: strangers that use the same key don't meet, and
/// nobody can find out which keys others have used.
fn principal(ctx: &Ctx, content: [&[u8]; 2]) -> String {
    match &ctx.actor {
        Actor::User { id, .. } => id.to_string(),
        Actor::ApiKey { id } => id.to_string(),
        Actor::System => "system".to_owned(),
        Actor::Anonymous => {
            let [query, body] = content.map(Sha256::digest);
            format!("anonymous {query:x?} {body:x?}")
        }
    }
}

/// What is kept: a line that says what the receiver was allowed to do, and the answer.
fn keepable(permissions: &Permissions, reply: &Reply) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec(permissions).map_err(Error::internal)?;
    bytes.push(b'\n');
    bytes.extend(reply.to_bytes()?);
    Ok(bytes)
}

fn kept_reply(bytes: &[u8]) -> Result<(Permissions, Reply), Error> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| Error::internal("a kept answer says who may have it"))?;
    let permissions = serde_json::from_slice(&bytes[..end]).map_err(Error::internal)?;
    Ok((permissions, Reply::from_bytes(&bytes[end + 1..])?))
}
