//! A server of its own for a test, as `annals serve` composes it.

use std::{
    net::TcpListener,
    path::Path,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use actix_web::web::Data;
use api::{
    annals::{Annals, Postgres},
    config::Config,
    http::{
        metrics::Metrics,
        server::{self, Settings},
    },
    routes, work,
};
use infrastructure::test_postgres::TestDatabase;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::client::Client;

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// 32 bytes in base64.
pub(crate) const SECRET_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A running server. Dropping it stops it and drops its database.
pub(crate) struct TestApp {
    /// What the server is composed of.
    pub(crate) annals: Arc<Annals>,
    /// Someone who has not signed in.
    pub(crate) anonymous: Client,
    pub(crate) has_workers: bool,
    stop: CancellationToken,
    /// The background work: that it should stop, and that it has.
    workers: (CancellationToken, CancellationToken),
    server: Option<thread::JoinHandle<()>>,
    data_dir: TempDir,
    owner: PgConnectOptions,
    database_url: String,
    _database: Option<TestDatabase>,
}

/// What a server is to stand on.
pub(crate) struct Setup {
    /// The database; a new one if none is given.
    pub(crate) database_url: Option<String>,
    /// Where attempts are counted; in the process if nowhere else.
    pub(crate) redis_url: Option<String>,
    /// Whether projections are fed and jobs are done.
    pub(crate) workers: bool,
    /// The installation's secret; one of its own if none is given.
    pub(crate) secret_key: Option<String>,
    /// The keys that people's keys are wrapped with; the secret's own if none are given.
    pub(crate) sealing_keys: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { database_url: None, redis_url: None, workers: true, secret_key: None, sealing_keys: None }
    }
}

impl TestApp {
    /// A whole server with a database of its own.
    pub(crate) async fn spawn() -> Self {
        Self::with(Setup::default()).await
    }

    /// A server that answers, while nothing feeds its projections.
    pub(crate) async fn without_workers() -> Self {
        Self::with(Setup { workers: false, ..Setup::default() }).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let database = match &setup.database_url {
            Some(_) => None,
            None => Some(TestDatabase::migrated().await),
        };
        let database_url = setup.database_url.or_else(|| database.as_ref().map(TestDatabase::url)).unwrap();
        let owner = database_url.parse::<PgConnectOptions>().unwrap().disable_statement_logging();
        let data_dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            bind: address,
            data_dir: data_dir.path().to_owned(),
            log: String::new(),
            public_url: None,
            database_url: Some(database_url.clone().into()),
            database_connections: 10,
            redis_url: setup.redis_url.map(Into::into),
            smtp_url: None,
            mail_from: "Annals <annals@localhost>".to_owned(),
            // All servers of a database have the same one.
            secret_key: Some(setup.secret_key.unwrap_or_else(|| SECRET_KEY.to_owned()).into()),
            sealing_keys: setup.sealing_keys.map(Into::into),
        };
        let stop = CancellationToken::new();
        let workers = (stop.child_token(), CancellationToken::new());
        let (started, composed) = oneshot::channel();
        let (until, until_workers) = (stop.clone(), setup.workers.then(|| workers.clone()));
        // A runtime of its own, which outlives a panicking test for as long as it takes to stop in order.
        let server = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(run(config, listener, until_workers, started, until));
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        Self {
            annals: composed.await.expect("the server starts"),
            anonymous: Client::new(format!("http://{address}")),
            has_workers: setup.workers,
            stop,
            workers,
            server: Some(server),
            data_dir,
            owner,
            database_url,
            _database: database,
        }
    }

    /// The superuser's own connection, past every policy.
    pub(crate) async fn superuser(&self) -> PgConnection {
        self.owner.connect().await.unwrap()
    }

    /// The database, for another server.
    pub(crate) fn database_url(&self) -> String {
        self.database_url.clone()
    }

    /// Stops feeding projections and doing jobs, while requests are answered on.
    pub(crate) async fn stop_workers(&self) {
        let (stop, stopped) = &self.workers;
        stop.cancel();
        stopped.cancelled().await;
    }

    /// Where the server keeps its files.
    pub(crate) fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

async fn run(
    config: Config,
    listener: TcpListener,
    workers: Option<(CancellationToken, CancellationToken)>,
    started: oneshot::Sender<Arc<Annals>>,
    stop: CancellationToken,
) {
    let postgres = Postgres::start(&config).await.unwrap();
    let annals = Annals::start(config, &postgres).await.unwrap();
    let working = match workers {
        Some((stop, stopped)) => {
            let workers = work::start(Arc::clone(&annals), stop.clone()).await.unwrap();
            Some(tokio::spawn(async move {
                stop.cancelled().await;
                workers.finish().await;
                stopped.cancel();
            }))
        }
        None => None,
    };
    let (data, metrics) = (Data::from(Arc::clone(&annals)), Data::new(metrics()));
    let features = move |config: &mut ServiceConfig| routes::all(config, data.clone(), metrics.clone());
    let settings = Settings { workers: 2, ..Settings::default() };
    let server = server::serve(listener, &settings, features).unwrap();
    let (handle, serving) = (server.handle(), tokio::spawn(server));
    let _ = started.send(annals);
    stop.cancelled().await;
    handle.stop(false).await;
    let _ = serving.await;
    if let Some(working) = working {
        let _ = working.await;
    }
}

/// The figures of the process, which all servers of it share.
fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| Metrics::install().unwrap()).clone()
}

/// Waits until `look` sees something, and gives that.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
