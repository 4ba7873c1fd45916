//! An installation that has been filled: the real binary on a durable PostgreSQL.

use std::{
    fs,
    fs::File,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use domain::ids::{ProjectId, TenantId};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use sqlx::{Executor, PgConnection, Row};
use uuid::Uuid;

use super::{
    cluster::{Cluster, DATABASE},
    fill::{Extent, fill},
    measure::{
        client::{Connection, request},
        procfs::Memory,
    },
};

/// Who owns all tenants.
pub(super) const OWNER: &str = "ada@demo.example";
/// The settings of the private PostgreSQL (`infrastructure/src/embedded_postgres/cluster.rs`), and what counts
/// statements.
const SETTINGS: [&str; 10] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "checkpoint_timeout=15min",
    "wal_compression=lz4",
    "random_page_cost=1.1",
    "shared_preload_libraries=pg_stat_statements",
    "track_wal_io_timing=on",
];
/// How long the server may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// How long the notary may take to sign what was filled in.
const NOTARIZED: Duration = Duration::from_secs(1_200);
/// How many of a statement's characters are shown.
const SHOWN: usize = 90;
/// To how many tenants tracked events are sent at most.
const TRACKING: usize = 100;

/// A running installation.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) extent: Extent,
    pub(super) tenants: Vec<TenantId>,
    /// Keys of some of the tenants.
    pub(super) keys: Vec<String>,
    server: Child,
    cluster: Cluster,
}

/// One whose server stands still, so that it does not disturb another's turn.
pub(super) struct Parked(Site);

impl Site {
    /// Opens the one in a directory; makes and fills it first, if there is none.
    pub(super) async fn open(directory: &Path, extent: Extent, settings: &[String]) -> anyhow::Result<Self> {
        let is_new = !directory.exists();
        fs::create_dir_all(directory)?;
        let name = directory.display();
        ensure!(is_new || directory.join("filled").exists(), "{name} was not filled to its end; remove it");
        let settings = SETTINGS.iter().map(|&setting| setting.to_owned()).chain(settings.iter().cloned());
        let cluster = Cluster::start(directory, settings.collect()).await;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut server = start(directory, &cluster, address)?;
        ready(&mut server, address).await?;
        if is_new {
            tokio::time::sleep(Duration::from_secs(2)).await;
            stop(&mut server)?;
            fill(&mut cluster.connect(DATABASE).await, extent).await?;
            fs::write(directory.join("filled"), "")?;
            server = start(directory, &cluster, address)?;
            ready(&mut server, address).await?;
            notarized(&mut cluster.connect(DATABASE).await).await?;
        }
        let mut owner = cluster.connect(DATABASE).await;
        owner.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
        let tenants = sqlx::query_scalar("SELECT tenant_id FROM filled ORDER BY md5(tenant_id::text)");
        let tenants: Vec<Uuid> = tenants.fetch_all(&mut owner).await?;
        let tenants: Vec<TenantId> = tenants.into_iter().map(TenantId::from).collect();
        let mut site = Self { address, extent, tenants, keys: vec![], server, cluster };
        site.keys = site.make_keys(&mut owner).await?;
        owner.execute("SELECT pg_stat_statements_reset()").await?;
        Ok(site)
    }

    pub(super) async fn connect(&self) -> PgConnection {
        self.cluster.connect(DATABASE).await
    }

    /// What the server's process has resident, in bytes.
    pub(super) fn memory(&self) -> u64 {
        Memory::of(self.server.id()).map_or(0, |memory| memory.resident)
    }

    /// The value of an `Authorization` header; good for a quarter of an hour.
    pub(super) async fn sign_in(&self) -> anyhow::Result<String> {
        let body = json!({"email": OWNER, "password": "annals-demo"}).to_string();
        let mut connection = Connection::open(self.address).await?;
        let answer =
            connection.send(&request("POST", "/v1/auth/login", "", &body)).await?.succeeded()?.json()?;
        Ok(format!(
            "Bearer {}",
            answer["data"]["access_token"]
                .as_str()
                .or(answer["access_token"].as_str())
                .context("no token")?
        ))
    }

    async fn make_keys(&self, owner: &mut PgConnection) -> anyhow::Result<Vec<String>> {
        let bearer = self.sign_in().await?;
        let mut connection = Connection::open(self.address).await?;
        let mut keys = Vec::new();
        for tenant in self.tenants.iter().take(TRACKING) {
            let project: Uuid =
                sqlx::query_scalar("SELECT stream_id FROM events WHERE tenant_id = $1 AND position = 3")
                    .bind(tenant.uuid())
                    .fetch_one(&mut *owner)
                    .await?;
            let path = format!("/v1/tenants/{tenant}/projects/{}/api-keys", ProjectId::from(project));
            let made = connection.send(&request("POST", &path, &bearer, r#"{"name":"Growth"}"#)).await?;
            let made = made.succeeded()?.json()?;
            keys.push(made["data"]["secret"].as_str().context("a key without a secret")?.to_owned());
        }
        Ok(keys)
    }

    /// Sizes, and what the statements of all turns cost.
    pub(super) async fn describe(&self) -> anyhow::Result<Vec<String>> {
        let mut owner = self.connect().await;
        let mut lines = vec![];
        let sizes = "SELECT relname::text AS name, pg_size_pretty(pg_relation_size(oid)) AS size FROM pg_class
                     WHERE relname IN ('events', 'events_pkey', 'events_by_stream', 'journal_heads') ORDER BY 1";
        for row in sqlx::query(sizes).fetch_all(&mut owner).await? {
            lines.push(format!("{}: {}", row.get::<String, _>("name"), row.get::<String, _>("size")));
        }
        let statements = "SELECT calls, mean_exec_time AS mean, total_exec_time AS total,
                   (shared_blks_hit + shared_blks_read)::float8 / calls AS blocks,
                   shared_blks_read::float8 / calls AS read, wal_fpi::float8 / calls AS images,
                   wal_bytes::float8 / calls AS wal, regexp_replace(query, '\\s+', ' ', 'g') AS query
            FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            ORDER BY total_exec_time DESC LIMIT 12";
        for row in sqlx::query(statements).fetch_all(&mut owner).await? {
            let number = |column: &str| row.get::<f64, _>(column);
            lines.push(format!(
                "{:>7.0} ms in {:>7} calls of {:>8.3} ms; each {:>7.1} blocks, {:>6.2} read, {:>6.2} images, {:>8.0} B of WAL: {:.SHOWN$}",
                number("total"),
                row.get::<i64, _>("calls"),
                number("mean"),
                number("blocks"),
                number("read"),
                number("images"),
                number("wal"),
                row.get::<String, _>("query"),
            ));
        }
        Ok(lines)
    }

    /// Lets its server stand still.
    pub(super) fn park(self) -> Parked {
        let parked = Parked(self);
        parked.freeze();
        parked
    }

    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.server.id().cast_signed()), signal);
    }
}

impl Parked {
    pub(super) fn extent(&self) -> Extent {
        self.0.extent
    }

    /// Lets it run until it is frozen again.
    pub(super) async fn unpark(&mut self) -> anyhow::Result<&mut Site> {
        self.0.signal(Signal::SIGCONT);
        // At first, its clock is that of when it was parked, by which requests take too long.
        ready(&mut self.0.server, self.0.address).await?;
        Ok(&mut self.0)
    }

    pub(super) fn freeze(&self) {
        self.0.signal(Signal::SIGSTOP);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Waits until the notary has signed all that was filled in.
async fn notarized(owner: &mut PgConnection) -> anyhow::Result<()> {
    let question =
        "SELECT count(*) FROM journal_heads AS head LEFT JOIN journal_trees AS tree USING (tenant_id)
                    WHERE head.position > coalesce(tree.size, 0)";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(question).fetch_one(&mut *owner).await? > 0 {
        ensure!(begun.elapsed() < NOTARIZED, "the notary does not catch up");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

fn start(directory: &Path, cluster: &Cluster, address: SocketAddr) -> anyhow::Result<Child> {
    let socket = cluster.socket();
    let socket =
        socket.parent().context("a socket is in a directory")?.display().to_string().replace('/', "%2F");
    let log = File::options().create(true).append(true).open(directory.join("server.log"))?;
    let mut server = Command::new(env!("CARGO_BIN_EXE_annals"));
    server.args(["serve", "--demo"]).current_dir(directory).stdin(Stdio::null());
    for variable in ["REDIS_URL", "SMTP_URL"] {
        server.env_remove(variable);
    }
    server.env("ANNALS_BIND", address.to_string()).env("ANNALS_DATA_DIR", directory.join("data"));
    server.env("ANNALS_LOG", "warn").env("DATABASE_URL", format!("postgres://annals@{socket}/{DATABASE}"));
    server.stdout(log.try_clone()?).stderr(log).spawn().context("can't start the server")
}

async fn ready(server: &mut Child, address: SocketAddr) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open(address).await
            && let Ok(answer) = connection.send(&request("GET", "/health/ready", "", "")).await
            && answer.status == 200
        {
            return Ok(());
        }
        if let Some(status) = server.try_wait()? {
            bail!("the server ended with {status}; see server.log");
        }
        ensure!(begun.elapsed() < READY, "the server does not become ready; see server.log");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn stop(server: &mut Child) -> anyhow::Result<()> {
    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM)?;
    server.wait()?;
    Ok(())
}
