//! Two servers, what is between them and their database, and the database.

use std::{
    fs::{Permissions, read_to_string},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use crate::{
    cluster::{Cluster, DATABASE},
    node::{Frozen, Node},
    people::World,
    proxy::Proxy,
};

/// Access tokens are good for a quarter of an hour; they are renewed well before.
const TOKENS_LAST: Duration = Duration::from_secs(8 * 60);

/// Nothing waits for the disk, because no test pulls the plug of the machine; all else is as in production: a commit
/// that was acknowledged is in the log, and what an immediate stop leaves is recovered from there.
const SETTINGS: [&str; 4] =
    ["fsync=off", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=64MB"];

/// All of it. Dropping it stops it, servers first.
pub(crate) struct Installation {
    pub(crate) world: Arc<World>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) proxy: Proxy,
    pub(crate) cluster: Cluster,
    directory: TempDir,
    signed_in: Instant,
}

impl Installation {
    /// Starts everything, and lets everybody sign up. Both servers come to an empty database at once.
    pub(crate) async fn start(seed: u64) -> Self {
        // PostgreSQL runs as another user if this is root, and has to pass through.
        let passable = Permissions::from_mode(0o711);
        let prefix = format!("annals-failures-{seed}-");
        let directory =
            tempfile::Builder::new().prefix(&prefix).permissions(passable).tempdir_in("/tmp").unwrap();
        let cluster = Cluster::start(directory.path(), SETTINGS.map(str::to_owned).to_vec()).await;
        let proxy = Proxy::start(&cluster.socket()).await;
        let database = format!("postgres://annals@{}/{DATABASE}?sslmode=disable", proxy.address);
        let start = |index| Node::start(&directory.path().join(format!("server-{index}")), database.clone());
        let mut nodes: Vec<_> = (0..2).map(start).collect();
        wait_until_ready(&mut nodes).await.unwrap();
        let world = Arc::new(World::found(&nodes).await);
        Self { world, nodes, proxy, cluster, directory, signed_in: Instant::now() }
    }

    /// Ends a share of the sessions, as an operator or a failing machine does.
    pub(crate) async fn end_sessions(&self, percent: u64) {
        self.cluster.wait_until_ready().await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = $1 AND pid <> pg_backend_pid() AND random() * 100 < $2";
        let mut owner = self.cluster.connect("postgres").await;
        sqlx::query(end).bind(DATABASE).bind(percent as f64).execute(&mut owner).await.unwrap();
    }

    /// Takes all trouble away and waits until everything is well; an error says what will never be.
    pub(crate) async fn recover(&mut self) -> Result<(), String> {
        self.proxy.heal();
        self.nodes.iter().for_each(|node| node.freeze(Frozen::No));
        self.cluster.wait_until_ready().await;
        wait_until_ready(&mut self.nodes).await?;
        self.wait_until_idle().await;
        self.wait_until_projected().await;
        if self.signed_in.elapsed() > TOKENS_LAST {
            self.world.sign_in_again().await;
            self.signed_in = Instant::now();
        }
        Ok(())
    }

    /// Waits until no transaction is left open: a connection that went back to its pool with one would keep it.
    async fn wait_until_idle(&self) {
        self.wait_until(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
                AND state_change < now() - interval '1 s')",
        )
        .await;
    }

    async fn wait_until_projected(&self) {
        let projections: Vec<_> = projections::ALL.iter().map(|one| format!("('{}')", one.name())).collect();
        self.wait_until(&format!(
            "SELECT NOT EXISTS (SELECT FROM journal_heads AS head
                CROSS JOIN (VALUES {}) AS one (projection)
                LEFT JOIN projection_positions AS checkpoint USING (tenant_id, projection)
                WHERE coalesce(checkpoint.position, 0) < head.position)",
            projections.join(", ")
        ))
        .await;
    }

    /// Waits until a question to the database has the answer yes; the caller bounds it.
    async fn wait_until(&self, question: &str) {
        let mut owner = self.cluster.connect(DATABASE).await;
        while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(question)).fetch_one(&mut owner).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the servers said that no server may say.
    pub(crate) fn panics(&self) -> Vec<String> {
        let log = |node: &Node| read_to_string(node.log()).unwrap();
        let panics = |log: String| {
            log.lines().filter(|line| line.contains("panicked at")).map(str::to_owned).collect::<Vec<_>>()
        };
        self.nodes.iter().map(log).flat_map(panics).collect()
    }

    /// Where all files are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // Whoever looks into a failure needs the journals and the logs.
        self.directory.disable_cleanup(thread::panicking());
    }
}

async fn wait_until_ready(nodes: &mut [Node]) -> Result<(), String> {
    for node in nodes {
        node.revive()?;
        while !node.is_ready().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
            node.revive()?;
        }
    }
    Ok(())
}
