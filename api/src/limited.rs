//! Routes that one address may not call without end.

use std::time::Duration;

use actix_web::{HttpResponse, http::header::HeaderMap};
use application::limits::{Policy, Standing};
use domain::ctx::Ctx;

use crate::{
    annals::Annals,
    http::{problem::Problem, rate_limit::RateLimit},
};

/// Sign-ins, and other tries at secrets.
pub const SIGN_IN: Policy = Policy { name: "sign-in", quota: 60, window: Duration::from_secs(60) };
/// Sign-ups, and other ways to have mails sent.
pub const SIGN_UP: Policy = Policy { name: "sign-up", quota: 100, window: Duration::from_secs(3600) };

/// Counts a call of the request's address under `policy`.
///
/// # Errors
/// 429 past the quota, with the headers that tell about it.
pub async fn count(annals: &Annals, ctx: &Ctx, policy: Policy) -> Result<Limit, Problem> {
    let address = ctx.origin.ip.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    let standing = annals.app.limits.count(policy, &address).await?;
    let limit = Limit(standing);
    match standing.require() {
        Ok(()) => Ok(limit),
        Err(error) => {
            Err(limit.headers().into_iter().fold(Problem::from(error), |problem, (name, value)| {
                problem.header(name, value.to_str().unwrap_or_default())
            }))
        }
    }
}

/// Where the address stands.
pub struct Limit(Standing);

impl Limit {
    /// The answer, with headers that tell where the caller stands.
    pub fn tell(&self, mut answer: HttpResponse) -> HttpResponse {
        for (name, value) in self.headers() {
            answer.headers_mut().append(name, value);
        }
        answer
    }

    fn headers(&self) -> HeaderMap {
        let Standing { policy, remaining, reset, .. } = self.0;
        let mut headers = HeaderMap::new();
        let (quota, remaining) = (policy.quota.into(), remaining.into());
        RateLimit { policy: policy.name, quota, window: policy.window, remaining, reset }.tell(&mut headers);
        headers
    }
}
