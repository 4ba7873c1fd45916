//! What the server says a tenant has used: the read model that tracking and rebuilding are checked by.

use anyhow::Context;
use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

use super::{
    measure::client::{Connection, request},
    server::Server,
};

/// The demo tenant's usage.
#[derive(Debug, PartialEq)]
pub(super) struct Usage {
    /// By hour and event.
    series: Vec<Value>,
    /// All of it.
    pub(super) total: u64,
}

impl Usage {
    /// Of the last three months, which is all there is.
    pub(super) async fn read(server: &Server, bearer: &str) -> anyhow::Result<Self> {
        let in_days = |days| (Utc::now() + TimeDelta::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let path = format!(
            "/v1/tenants/{}/usage?interval=hour&group_by=event&from={}&to={}",
            server.demo.tenant,
            in_days(-92),
            in_days(1)
        );
        let mut connection = Connection::open(server.address).await?;
        let mut answer = connection.send(&request("GET", &path, bearer, "")).await?.succeeded()?.json()?;
        let series = answer["data"].as_array_mut().map(std::mem::take).context("usage is no series")?;
        let total = series.iter().filter_map(|point| point["count"].as_u64()).sum();
        Ok(Self { series, total })
    }
}
