//! The server's answer to a batch, and what to do about it.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::{
    batch::Batch,
    tally::{Example, Tally},
};

/// What follows from an answer.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Every event of the batch has been answered for.
    Settled(Tally),
    /// The same again, later: nothing is wrong with the batch.
    Retry { after: Option<Duration>, reason: String },
    /// Too large for the server or something before it: in two parts.
    Split,
    /// No batch will fare better.
    Stop(String),
}

/// A body of 200, or of 402 with what became of the events in `data`.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    accepted: u64,
    duplicates: u64,
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    index: usize,
    message_id: Option<String>,
    code: String,
    detail: Option<String>,
}

/// A problem (RFC 9457), as much of it as there is: a proxy may have answered.
#[derive(Default, Deserialize)]
struct Problem {
    code: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

/// Judges an answer that was received in full.
pub(super) fn judge(batch: &Batch, status: StatusCode, after: Option<Duration>, body: &[u8]) -> Verdict {
    let problem = || serde_json::from_slice::<Problem>(body).unwrap_or_default();
    match status.as_u16() {
        200 => match count(batch, body) {
            Some(tally) => Verdict::Settled(tally),
            None => {
                Verdict::Stop("the server's answer is not that of Annals: is this its address?".to_owned())
            }
        },
        // The plan's limit: the next batch may still hold known events, and the totals shall be complete.
        402 => {
            Verdict::Settled(count(batch, body).unwrap_or_else(|| reject(batch, problem(), "quota_exceeded")))
        }
        413 if batch.len() > 1 => Verdict::Split,
        413 => Verdict::Settled(reject(batch, problem(), "event_too_large")),
        400 => Verdict::Settled(reject(batch, problem(), "bad_request")),
        422 => Verdict::Settled(reject(batch, problem(), "unprocessable")),
        408 | 429 | 500..=599 => {
            Verdict::Retry { after, reason: format!("the server says {}", name(status, &problem())) }
        }
        401 => Verdict::Stop(format!(
            "the server does not know the key: check --key or ANNALS_API_KEY ({status})"
        )),
        403 => Verdict::Stop(format!("the key may not send events: {}", name(status, &problem()))),
        404 => Verdict::Stop(format!(
            "nothing at this address takes events: check --url or ANNALS_URL ({status})"
        )),
        300..=399 => {
            Verdict::Stop(format!("the server has another address: check --url or ANNALS_URL ({status})"))
        }
        _ => Verdict::Stop(format!("the server says {}", name(status, &problem()))),
    }
}

/// The totals of an answer, unless they leave events out.
fn count(batch: &Batch, body: &[u8]) -> Option<Tally> {
    let Answer { data } = serde_json::from_slice(body).ok()?;
    let mut tally = Tally { accepted: data.accepted, duplicates: data.duplicates, ..Tally::default() };
    for Rejected { index, message_id, code, detail } in data.rejected {
        tally.reject(&code, Example { line: batch.line(index)?, message_id, detail });
    }
    (tally.events() == batch.len() as u64).then_some(tally)
}

/// The whole batch rejected for one problem.
fn reject(batch: &Batch, problem: Problem, code: &str) -> Tally {
    let code = problem.code.as_deref().unwrap_or(code);
    let detail = problem.detail.or(problem.title);
    let mut tally = Tally::default();
    for index in 0..batch.len() {
        let line = batch.line(index).unwrap_or_default();
        tally.reject(code, Example { line, message_id: batch.message_id(index), detail: detail.clone() });
    }
    tally
}

fn name(status: StatusCode, problem: &Problem) -> String {
    match problem.detail.as_ref().or(problem.title.as_ref()) {
        Some(detail) => format!("{status}: {detail}"),
        None => status.to_string(),
    }
}
