//! Hints between processes that journals have grown, over PostgreSQL's NOTIFY.
//!
//! Never inside an append's transaction (a NOTIFY takes a lock that all committing transactions share), and one for a
//! burst. A hint that is lost costs a poll.

use std::time::Duration;

use domain::ids::TenantId;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::{database::Database, growth::Growth};

/// The channel's name.
const CHANNEL: &str = "annals_growth";
/// How long a burst is collected before it is told.
const BURST: Duration = Duration::from_millis(10);
/// How long to wait after the database did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// A notification holds at most 8000 bytes; a tenant's id has 30, and a comma.
const TENANTS_AT_ONCE: usize = 250;

/// Tells other processes what `growth` tells, until dropped.
pub async fn publish(database: Database, growth: Growth) {
    loop {
        let grown: Vec<String> = growth.wait().await.iter().map(TenantId::to_string).collect();
        for tenants in grown.chunks(TENANTS_AT_ONCE) {
            tell(&database, &tenants.join(",")).await;
        }
        tokio::time::sleep(BURST).await;
    }
}

/// Tells other processes that `tenant`'s journal has grown.
pub async fn publish_once(database: &Database, tenant: TenantId) {
    tell(database, &tenant.to_string()).await;
}

async fn tell(database: &Database, tenants: &str) {
    let told = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(tenants);
    if let Err(error) = told.execute(database.pool()).await {
        tracing::debug!(%error, "a hint is lost; the next poll finds what it was about");
    }
}

/// Tells `growth` what other processes publish, until dropped.
pub async fn listen(options: PgConnectOptions, growth: Growth) {
    loop {
        if let Err(error) = hear(&options, &growth).await {
            tracing::debug!(%error, "hints can't be heard; polls go on");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(options: &PgConnectOptions, growth: &Growth) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let notification = listener.recv().await?;
        notification
            .payload()
            .split(',')
            .filter_map(|tenant| tenant.parse().ok())
            .for_each(|tenant| growth.grew(tenant));
    }
}
