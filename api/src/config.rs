//! Configuration: `annals.toml` in the working directory, and environment variables over it.

use std::{net::SocketAddr, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use infrastructure::vault::SealingKey;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Everything that can be configured. Each key is also an environment variable: `ANNALS_` and the key in upper case,
/// but for `DATABASE_URL`, `REDIS_URL` and `SMTP_URL`, which go by their usual names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where HTTP is served.
    pub bind: SocketAddr,
    /// Where the private PostgreSQL, keys, mails and objects are kept.
    pub data_dir: PathBuf,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub log: String,
    /// The address that links in mails begin with; by default that of `bind`.
    pub public_url: Option<String>,
    /// A PostgreSQL (15 or newer) to use instead of the private one.
    pub database_url: Option<SecretString>,
    /// How many connections to PostgreSQL at most.
    pub database_connections: u32,
    /// A Redis to count attempts in, for all nodes; by default each counts for itself.
    pub redis_url: Option<SecretString>,
    /// An SMTP server for mails; by default they become files in the data directory.
    pub smtp_url: Option<SecretString>,
    /// Who mails are from.
    pub mail_from: String,
    /// The secret that all keys are derived from, 32 bytes in base64; by default one is made in the data directory.
    pub secret_key: Option<SecretString>,
    /// The keys that people's keys are wrapped with, separated by commas, the newest first: each 32 bytes in base64. By
    /// default the secret key's own, and those that `annals keys rotate` has made in the data directory.
    pub sealing_keys: Option<SecretString>,
}

/// The configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is missing or of the wrong kind.
    #[error("configuration: {0}")]
    Invalid(#[from] Box<figment::Error>),
    /// A variable that looks like one of ours and is none.
    #[error("configuration: there is no variable {0}; .env.example lists all")]
    UnknownVariable(String),
    /// A value breaks a rule.
    #[error("configuration: {key} {rule}")]
    Rule {
        /// The key.
        key: &'static str,
        /// The rule.
        rule: String,
    },
}

#[derive(Serialize)]
struct Defaults {
    bind: &'static str,
    data_dir: &'static str,
    log: &'static str,
    database_connections: u32,
    mail_from: &'static str,
}

const DEFAULTS: Defaults = Defaults {
    bind: "127.0.0.1:8080",
    data_dir: "annals-data",
    log: "info,actix_server=warn,actix_http=off,sqlx=warn,graphile_worker=warn",
    database_connections: 16,
    mail_from: "Annals <annals@localhost>",
};

/// Keys that are read from `ANNALS_…`.
const PREFIXED: &[&str] = &[
    "bind",
    "data_dir",
    "log",
    "public_url",
    "database_connections",
    "mail_from",
    "secret_key",
    "sealing_keys",
];
/// Keys that are read under their own names.
const UNPREFIXED: &[&str] = &["database_url", "redis_url", "smtp_url"];
/// Variables with our prefix that belong to `annals track` and `annals import`.
const OF_COMMANDS: &[&str] = &["ANNALS_URL", "ANNALS_API_KEY", "ANNALS_IMPORT_URL"];

impl Config {
    /// Reads the configuration.
    pub fn load() -> Result<Self, ConfigError> {
        refuse_unknown_variables()?;
        let config: Self = Figment::new()
            .merge(Serialized::defaults(DEFAULTS))
            .merge(Toml::file("annals.toml"))
            .merge(Env::prefixed("ANNALS_").only(PREFIXED))
            .merge(Env::raw().only(UNPREFIXED))
            .extract()
            .map_err(Box::new)?;
        config.check()
    }

    fn check(mut self) -> Result<Self, ConfigError> {
        // An empty variable is what a compose file makes of an unset one.
        let unset = |value: &Option<SecretString>| {
            value.as_ref().is_some_and(|value| value.expose_secret().is_empty())
        };
        for value in [
            &mut self.database_url,
            &mut self.redis_url,
            &mut self.smtp_url,
            &mut self.secret_key,
            &mut self.sealing_keys,
        ] {
            if unset(value) {
                *value = None;
            }
        }
        if let Some(keys) = &self.sealing_keys
            && let Err(fault) = SealingKey::parse_list(keys.expose_secret())
        {
            return Err(rule("sealing_keys", format!("(ANNALS_SEALING_KEYS): {fault}")));
        }
        if !(2..=1_000).contains(&self.database_connections) {
            return Err(rule("database_connections", "must be from 2 to 1000"));
        }
        if let Some(url) = &self.public_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            return Err(rule("public_url", "must begin with http:// or https://"));
        }
        if let Err(error) = self.mail_from.parse::<lettre::message::Mailbox>() {
            return Err(rule(
                "mail_from",
                format!("is not an address such as `Annals <annals@example.com>`: {error}"),
            ));
        }
        Ok(self)
    }

    /// The address that links in mails begin with, without a slash at its end.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.bind),
        }
    }
}

fn rule(key: &'static str, rule: impl Into<String>) -> ConfigError {
    ConfigError::Rule { key, rule: rule.into() }
}

/// A misspelt variable would otherwise be a default that nobody chose.
fn refuse_unknown_variables() -> Result<(), ConfigError> {
    let known = |name: &str| {
        OF_COMMANDS.contains(&name)
            || PREFIXED.iter().any(|key| name == format!("ANNALS_{}", key.to_uppercase()))
    };
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    match names.into_iter().find(|name| name.starts_with("ANNALS_") && !known(name)) {
        Some(name) => Err(ConfigError::UnknownVariable(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Config {
        Figment::new().merge(Serialized::defaults(DEFAULTS)).extract().unwrap()
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = defaults().check().unwrap();
        assert_eq!(config.public_url(), "http://127.0.0.1:8080");
    }

    #[test]
    fn a_broken_rule_names_its_key() {
        let wrong = [
            (Config { database_connections: 0, ..defaults() }, "database_connections"),
            (Config { public_url: Some("ftp://x".to_owned()), ..defaults() }, "public_url"),
            (Config { mail_from: "nobody".to_owned(), ..defaults() }, "mail_from"),
            (
                Config { sealing_keys: Some("c2hvcnQ=".to_owned().into()), ..defaults() },
                "ANNALS_SEALING_KEYS",
            ),
        ];
        for (config, key) in wrong {
            let said = config.check().unwrap_err().to_string();
            assert!(said.contains(key) && !said.contains("c2hvcnQ="), "{said}");
        }
    }

    #[test]
    fn an_empty_url_is_an_unset_one() {
        let config = Config { database_url: Some(String::new().into()), ..defaults() };
        assert!(config.check().unwrap().database_url.is_none());
    }
}
