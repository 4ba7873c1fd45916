//! Waiting until PostgreSQL answers.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use super::error::EmbeddedPostgresError;
use super::log::Log;
use super::socket::quiet_connect_options;

/// How long PostgreSQL may take to listen.
const TO_LISTEN: Duration = Duration::from_secs(60);

/// How long it may take to recover from a crash, during which it says so to everybody who connects.
const TO_RECOVER: Duration = Duration::from_secs(900);

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);
const BETWEEN_REPORTS: Duration = Duration::from_secs(10);

/// `cannot_connect_now`: the database system is starting up, or in recovery.
const STARTING_UP: &str = "57P03";

/// Connects until it works, PostgreSQL ends, or the time is over.
pub(super) async fn wait_until_ready(
    child: &mut Child,
    log: &Log,
    options: &PgConnectOptions,
) -> Result<(), EmbeddedPostgresError> {
    let options = quiet_connect_options(options);
    let begin = Instant::now();
    let mut limit = TO_LISTEN;
    let mut next_report = begin + BETWEEN_REPORTS;
    loop {
        let last = match timeout(TO_LISTEN, options.connect()).await {
            Ok(Ok(connection)) => {
                // The session is only a probe; whether it ends politely does not matter.
                connection.close().await.ok();
                return Ok(());
            }
            Ok(Err(error)) => {
                if is_starting_up(&error) {
                    limit = TO_RECOVER;
                }
                error.to_string()
            }
            Err(elapsed) => elapsed.to_string(),
        };
        if let Ok(Some(status)) = child.try_wait() {
            return Err(EmbeddedPostgresError::DidNotStart {
                status: status.to_string(),
                log: log.path().to_owned(),
                tail: log.tail(),
            });
        }
        if begin.elapsed() > limit {
            return Err(EmbeddedPostgresError::NotReady {
                seconds: limit.as_secs(),
                last,
                log: log.path().to_owned(),
                tail: log.tail(),
            });
        }
        if Instant::now() > next_report {
            next_report += BETWEEN_REPORTS;
            tracing::info!(seconds = begin.elapsed().as_secs(), state = %last, "still waiting for PostgreSQL");
        }
        sleep(BETWEEN_ATTEMPTS).await;
    }
}

fn is_starting_up(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == STARTING_UP)
}
