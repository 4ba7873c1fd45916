//! The composition root: the parts that the configuration asks for, put together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use application::{app::App, limits::Limits, mail::Mailer, tokens::Tokens};
use infrastructure::{
    access_tokens::AccessTokens,
    answer_seals::AnswerSeals,
    argon2_passwords::Argon2Passwords,
    database::{self, Database},
    embedded_postgres::{EmbeddedPostgres, EmbeddedPostgresError, EmbeddedPostgresSettings},
    growth::Growth,
    journal::PgJournal,
    limits::{MemoryLimits, RedisLimits},
    mail::{FolderMailer, SmtpMailer},
    notary::NotaryKey,
    vault::Vault,
};
use projections::reactions::MailOffice;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;

use crate::{config::Config, keys};

/// Where a running server leaves the address of its private PostgreSQL for commands that come along.
const ADDRESS_FILE: &str = "postgres-url";

/// Annals, put together: what handlers, workers and commands work with.
pub struct Annals {
    /// The use cases' ports.
    pub app: App,
    /// The database.
    pub database: Database,
    /// Signs and checks access tokens.
    pub access_tokens: AccessTokens,
    /// What journals are signed with.
    pub notary_key: NotaryKey,
    /// Makes answers that are kept unreadable.
    pub answer_seals: AnswerSeals,
    /// Tells of journals that have grown.
    pub growth: Growth,
    /// What mails are sent with.
    pub office: Arc<MailOffice>,
    /// The Redis in use, if there is one.
    pub redis: Option<RedisLimits>,
    /// What all of it was made from.
    pub config: Config,
}

/// The PostgreSQL that a process uses: the user's own, one that it runs itself, or one that a running server runs.
pub struct Postgres {
    options: PgConnectOptions,
    embedded: Option<EmbeddedPostgres>,
}

impl Postgres {
    /// The configured PostgreSQL; the private one is started, and must not be in use by another server.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database_url {
            return Self::of_url(url.expose_secret());
        }
        let embedded = EmbeddedPostgres::start(EmbeddedPostgresSettings::new(&config.data_dir)).await?;
        std::fs::write(address_file(&config.data_dir), embedded.url())?;
        Ok(Self { options: embedded.connect_options(), embedded: Some(embedded) })
    }

    /// The same for a command beside a server: if one runs in the data directory, its PostgreSQL is used.
    pub async fn join(config: &Config) -> anyhow::Result<Self> {
        match Self::start(config).await {
            Err(error) if matches!(error.downcast_ref(), Some(EmbeddedPostgresError::InUse { .. })) => {
                match std::fs::read_to_string(address_file(&config.data_dir)) {
                    Ok(url) => Self::of_url(&url),
                    Err(_) => Err(error),
                }
            }
            started => started,
        }
    }

    fn of_url(url: &str) -> anyhow::Result<Self> {
        // The parser's error would repeat the URL, and with it the password.
        let options = url.parse().map_err(|_| anyhow::anyhow!("DATABASE_URL is not a PostgreSQL URL"))?;
        Ok(Self { options, embedded: None })
    }

    /// How to connect as the owner.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Stops the private PostgreSQL, if this process runs it.
    pub async fn stop(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

impl Annals {
    /// Migrates the database and puts everything together.
    pub async fn start(config: Config, postgres: &Postgres) -> anyhow::Result<Arc<Self>> {
        database::migrate(postgres.options()).await?;
        let key = keys::master_key(&config)?;
        let (options, vault) = (postgres.options().clone(), Vault::new(keys::keyring(&config, &key)?));
        let database = Database::connect(options, config.database_connections, vault).await?;
        database.unlock().await.context("the secret key does not fit the database")?;
        let redis = match &config.redis_url {
            Some(url) => Some(RedisLimits::connect(url.expose_secret(), "annals:").await.map_err(no_redis)?),
            None => None,
        };
        let limits: Arc<dyn Limits> = match &redis {
            Some(redis) => Arc::new(redis.clone()),
            None => Arc::new(MemoryLimits::default()),
        };
        let growth = Growth::default();
        let app = App {
            journal: Arc::new(PgJournal::new(database.clone(), growth.clone())),
            passwords: Arc::new(Argon2Passwords::new()?),
            limits,
            tokens: Arc::new(Tokens::new(key.derive("tokens"))),
            once: None,
        };
        let office = Arc::new(MailOffice {
            journal: Arc::clone(&app.journal),
            mailer: mailer(&config)?,
            tokens: Arc::clone(&app.tokens),
            public_url: config.public_url(),
        });
        let access_tokens = AccessTokens::new(key.derive("access tokens"));
        let notary_key = keys::notary_key(&key);
        let answer_seals = AnswerSeals::new(key.derive("kept answers"));
        Ok(Arc::new(Self {
            app,
            database,
            access_tokens,
            notary_key,
            answer_seals,
            growth,
            office,
            redis,
            config,
        }))
    }
}

fn mailer(config: &Config) -> anyhow::Result<Arc<dyn Mailer>> {
    let from = config.mail_from.parse()?;
    Ok(match &config.smtp_url {
        Some(url) => Arc::new(SmtpMailer::new(url.expose_secret(), from)?),
        None => Arc::new(FolderMailer::new(config.data_dir.join("mail"), from)?),
    })
}

fn no_redis(error: application::error::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("can't use the Redis at REDIS_URL")
}

fn address_file(data_dir: &Path) -> PathBuf {
    data_dir.join(ADDRESS_FILE)
}
