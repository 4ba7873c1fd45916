//! An installation as the command line finds it: a database without a server, and a directory for files.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use infrastructure::test_postgres::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::app::{SECRET_KEY, Setup, TestApp};

/// A database without a server, and a directory for files.
pub(crate) struct Place {
    pub(crate) database: TestDatabase,
    pub(crate) directory: TempDir,
    pub(crate) secret: &'static str,
}

/// The files of an export.
#[derive(Clone)]
pub(crate) struct Exported {
    pub(crate) journal: String,
    pub(crate) people: String,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::migrated().await;
        Self { database, directory: tempfile::tempdir().unwrap(), secret: SECRET_KEY }
    }

    /// A server on it.
    pub(crate) async fn app(&self, workers: bool) -> TestApp {
        let (database_url, secret_key) = (Some(self.database.url()), Some(self.secret.to_owned()));
        TestApp::with(Setup { database_url, workers, secret_key, ..Setup::default() }).await
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.current_dir(self.directory.path()).env("ANNALS_DATA_DIR", self.directory.path());
        command.env("ANNALS_SECRET_KEY", self.secret).env("DATABASE_URL", self.database.url());
        command.env_remove("REDIS_URL").env_remove("SMTP_URL").env_remove("ANNALS_IMPORT_URL");
        command.args(arguments);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    pub(crate) async fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) async fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn export(&self, tenant: &str, name: &str) -> Exported {
        let file = |suffix: &str| self.file(&format!("{name}{suffix}")).to_str().unwrap().to_owned();
        let exported = Exported { journal: file(".ndjson"), people: file(".people") };
        let Exported { journal, people } = &exported;
        self.succeed(&["export", "--tenant", tenant, "--output", journal, "--people", people]).await;
        assert_eq!(fs::metadata(people).unwrap().permissions().mode() & 0o777, 0o600);
        exported
    }

    /// Imports with the keys of people.
    pub(crate) async fn import(&self, exported: &Exported, key: &str) -> String {
        self.succeed(&["import", &exported.journal, "--key", key, "--people", &exported.people]).await
    }

    pub(crate) async fn superuser(&self) -> PgConnection {
        PgConnection::connect_with(&self.database.connect_options()).await.unwrap()
    }

    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        let query = format!("SELECT row_to_json(t)::text FROM ({query}) AS t ORDER BY 1");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut self.superuser().await).await.unwrap()
    }

    /// All that is stored of journals.
    pub(crate) async fn journals(&self) -> Vec<String> {
        let events = "SELECT tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                             payload::text, metadata::text, leaf_hash FROM events";
        let mut rows = self.rows(events).await;
        rows.extend(
            self.rows("SELECT tenant_id, position, recorded_at FROM journal_heads WHERE position > 0").await,
        );
        rows
    }

    /// Who holds what, but for what addresses are called here.
    pub(crate) async fn holders(&self) -> Vec<String> {
        let value = "CASE kind WHEN 'slug' THEN value END AS value";
        self.rows(&format!("SELECT tenant_id, kind, stream_id, {value} FROM claims")).await
    }

    pub(crate) async fn claims(&self) -> Vec<String> {
        self.rows("SELECT * FROM claims").await
    }

    pub(crate) async fn events(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM events")
            .fetch_one(&mut self.superuser().await)
            .await
            .unwrap()
    }
}
