//! What Annals stands on. In reading order:

// PostgreSQL.
pub mod database;
pub mod embedded_postgres;
pub mod growth;
pub mod growth_channel;
pub mod jobs;
pub mod journal;
pub mod kept_answers;
pub mod projecting_tx;
pub mod tenant_tx;
mod transaction;

// Proofs that a journal is what it was.
pub mod examiner;
pub mod export;
pub mod notary;

// Secrets and sign-in.
pub mod access_tokens;
pub mod answer_seals;
pub mod argon2_passwords;
pub mod keys;
pub mod vault;

// The outside.
pub mod limits;
pub mod mail;
pub mod postgres_es;

// For tests against real servers.
#[cfg(feature = "test-support")]
pub mod test_postgres;
#[cfg(feature = "test-support")]
pub mod test_redis;
