use std::{sync::LazyLock, time::Duration};

use ::redis::{AsyncCommands, Script, aio::ConnectionManager, aio::ConnectionManagerConfig};
use application::{
    error::Error,
    limits::{Limits, Policy, Standing},
};
use async_trait::async_trait;

/// Counts and, with the first attempt, opens the window: in one step, so that no counter is left without an end.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local count = redis.call('INCR', KEYS[1])
         if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
         return {count, redis.call('PTTL', KEYS[1])}",
    )
});

/// Counts in Redis, for all processes that share it.
#[derive(Clone)]
pub struct RedisLimits {
    connection: ConnectionManager,
    prefix: String,
}

impl RedisLimits {
    /// Connects to the server at `url`; all keys begin with `prefix`.
    pub async fn connect(url: &str, prefix: &str) -> Result<Self, Error> {
        let client = ::redis::Client::open(url).map_err(unavailable)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(Duration::from_secs(1)))
            .set_number_of_retries(2);
        let connection = ConnectionManager::new_with_config(client, config).await.map_err(unavailable)?;
        Ok(Self { connection, prefix: prefix.to_owned() })
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let () = ::redis::cmd("PING").query_async(&mut self.connection.clone()).await.map_err(unavailable)?;
        Ok(())
    }

    fn key(&self, policy: Policy, key: &str) -> String {
        format!("{}limit:{}:{key}", self.prefix, policy.name)
    }
}

#[async_trait]
impl Limits for RedisLimits {
    async fn count(&self, policy: Policy, key: &str) -> Result<Standing, Error> {
        let (count, left): (u32, i64) = COUNT
            .key(self.key(policy, key))
            .arg(policy.window.as_millis() as u64)
            .invoke_async(&mut self.connection.clone())
            .await
            .map_err(unavailable)?;
        Ok(Standing {
            policy,
            allowed: count <= policy.quota,
            remaining: policy.quota.saturating_sub(count),
            reset: Duration::from_millis(left.max(0) as u64),
        })
    }

    async fn forget(&self, policy: Policy, key: &str) -> Result<(), Error> {
        let _: u64 = self.connection.clone().del(self.key(policy, key)).await.map_err(unavailable)?;
        Ok(())
    }
}

/// Without Redis nothing is counted, and what must be counted can't be let through.
fn unavailable(error: ::redis::RedisError) -> Error {
    Error::Unavailable(Box::new(error))
}
