//! The sender: takes one batch at a time to the server, as often as it needs.

use std::{
    error::Error,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::{
    answer::{self, Verdict},
    args::TrackArgs,
    batch::Batch,
    patience::{Patience, parse_retry_after},
    progress::Progress,
    tally::Tally,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends batches; any number at the same time.
pub(super) struct Sender {
    client: Client,
    url: Url,
    key: SecretString,
    max_retry_time: Duration,
    progress: Arc<Progress>,
    /// True once the command is to end: waiting is over, but each batch may try once more.
    ending: watch::Sender<bool>,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) tally: Tally,
    /// Bytes of the input that it stands for.
    pub(super) source_bytes: u64,
    /// The parts that were not acknowledged, and why.
    pub(super) failed: Option<(Vec<Batch>, String)>,
}

impl Sender {
    pub(super) fn new(args: &TrackArgs, progress: Arc<Progress>) -> Result<Self, reqwest::Error> {
        let mut url = args.url.clone();
        url.set_path(&format!("{}/v1/batch", url.path().trim_end_matches('/')));
        let mut client = Client::builder()
            .user_agent(concat!("annals-track/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(args.timeout)
            // A redirected POST may arrive as a GET, and the key is for one server only.
            .redirect(redirect::Policy::none());
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build()?,
            url,
            key: args.key.clone(),
            max_retry_time: args.max_retry_time,
            progress,
            ending: watch::Sender::new(false),
        })
    }

    /// Makes deliveries end soon.
    pub(super) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Sends a batch until every event in it has been answered for, or patience ends.
    pub(super) async fn deliver(&self, batch: Batch) -> Delivery {
        let mut delivery = Delivery { source_bytes: batch.source_bytes, ..Delivery::default() };
        let mut parts = vec![batch];
        while let Some(batch) = parts.pop() {
            let reason = match self.insist(&batch).await {
                Verdict::Settled(tally) => {
                    delivery.tally.add(tally);
                    continue;
                }
                Verdict::Split => {
                    parts.extend(batch.halves());
                    continue;
                }
                Verdict::Retry { reason, .. } => format!("gave up: {reason}"),
                Verdict::Stop(reason) => reason,
            };
            parts.push(batch);
            delivery.failed = Some((parts, reason));
            break;
        }
        delivery
    }

    /// Repeats a request while that makes sense.
    async fn insist(&self, batch: &Batch) -> Verdict {
        let mut ending = self.ending.subscribe();
        let mut patience = Patience::new(self.max_retry_time);
        loop {
            let verdict = self.post(batch).await;
            let Verdict::Retry { after, reason } = &verdict else { return verdict };
            if *ending.borrow_and_update() {
                return verdict;
            }
            let Some(wait) = patience.wait(*after, Instant::now()) else { return verdict };
            self.progress.note(format!("{reason}; tries again"));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = ending.changed() => {}
            }
        }
    }

    async fn post(&self, batch: &Batch) -> Verdict {
        let request = self
            .client
            .post(self.url.clone())
            .basic_auth(self.key.expose_secret(), Some(""))
            .header(CONTENT_TYPE, "application/json")
            .body(batch.body.clone());
        let answered = async {
            let response = request.send().await?;
            let status = response.status();
            let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let after = after.and_then(|value| parse_retry_after(value, Utc::now()));
            Ok((status, after, response.bytes().await?))
        };
        match answered.await {
            Ok((status, after, body)) => answer::judge(batch, status, after, &body),
            Err(error) => Verdict::Retry { after: None, reason: describe(&error) },
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// The cause of a failed request: its outer errors only say that it failed.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the server does not answer in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let what = if error.is_connect() { "can't connect" } else { "the connection broke" };
    format!("{what}: {cause}")
}
