//! The installation's keys, from where the configuration has them.

use infrastructure::{
    keys::MasterKey,
    notary::NotaryKey,
    vault::{KeyFile, Keyring, SealingKey},
};
use secrecy::ExposeSecret;

use crate::config::Config;

/// The file in the data directory that holds the secret key.
const SECRET_FILE: &str = "secret.key";
/// The file in the data directory that holds the sealing keys which `annals keys rotate` has made.
const SEALING_FILE: &str = "sealing.keys";

/// The secret that other keys are derived from; made if there is none.
pub fn master_key(config: &Config) -> anyhow::Result<MasterKey> {
    if let Some(key) = &config.secret_key {
        return Ok(MasterKey::parse(key.expose_secret())?);
    }
    std::fs::create_dir_all(&config.data_dir)?;
    Ok(MasterKey::load_or_make(&config.data_dir.join(SECRET_FILE))?)
}

/// The keys that people's keys are wrapped with.
pub fn keyring(config: &Config, secret: &MasterKey) -> anyhow::Result<Keyring> {
    let given = match &config.sealing_keys {
        Some(list) => SealingKey::parse_list(list.expose_secret())?,
        None => Vec::new(),
    };
    Ok(Keyring::new(secret, given, key_file(config))?)
}

/// The file of sealing keys.
pub fn key_file(config: &Config) -> KeyFile {
    KeyFile::at(config.data_dir.join(SEALING_FILE))
}

/// The key that journals are signed with.
pub fn notary_key(secret: &MasterKey) -> NotaryKey {
    NotaryKey::of_seed(secret.derive("journal checkpoints"))
}

/// The same for commands that only look: none is made.
pub fn known_notary_key(config: &Config) -> anyhow::Result<NotaryKey> {
    let file = config.data_dir.join(SECRET_FILE);
    let is_known = config.secret_key.is_some() || file.exists();
    anyhow::ensure!(is_known, "no key is configured, and there is none in {}; give --key", file.display());
    Ok(notary_key(&master_key(config)?))
}
