//! `annals import`, against databases that the crate postgres-es has made itself.

use std::{
    collections::HashMap,
    fmt,
    process::{Command, Output},
};

use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use domain::{foreign_aggregates::ForeignEventImported, recorded_event::RecordedEvent};
use infrastructure::test_postgres::TestDatabase;
use postgres_es::postgres_cqrs;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::{
    actors::{Owner, event},
    app::{SECRET_KEY, Setup, TestApp, eventually},
};

/// The table of the crate's `db/init.sql`.
const SCHEMA: &str = "
    CREATE TABLE events (
        aggregate_type text                         NOT NULL,
        aggregate_id   text                         NOT NULL,
        sequence       bigint CHECK (sequence >= 0) NOT NULL,
        event_type     text                         NOT NULL,
        event_version  text                         NOT NULL,
        payload        json                         NOT NULL,
        metadata       json                         NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    )";

/// A server, a tenant, and a postgres-es database to import from.
struct Move {
    app: TestApp,
    owner: Owner,
    target: TestDatabase,
    source: TestDatabase,
    data_dir: TempDir,
}

impl Move {
    async fn prepare() -> Self {
        let target = TestDatabase::migrated().await;
        let app = TestApp::with(Setup { database_url: Some(target.url()), ..Setup::default() }).await;
        let owner = app.owner().await;
        let source = TestDatabase::empty().await;
        let moving = Self { app, owner, target, source, data_dir: tempfile::tempdir().unwrap() };
        moving.source().await.execute(SCHEMA).await.unwrap();
        moving
    }

    async fn source(&self) -> PgConnection {
        PgConnection::connect_with(&self.source.connect_options()).await.unwrap()
    }

    /// Carries out commands as the other system does: opens accounts and pays into them.
    async fn pay(&self, account: &str, amounts: &[u32]) {
        let pool = sqlx_of_postgres_es::PgPool::connect(&self.source.url()).await.unwrap();
        let cqrs = postgres_cqrs::<Account>(pool, vec![], ());
        let metadata = HashMap::from([("user".to_owned(), "grace".to_owned())]);
        for amount in amounts {
            cqrs.execute_with_metadata(account, Pay(*amount), metadata.clone()).await.unwrap();
        }
    }

    fn command(&self, tenant: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.current_dir(self.data_dir.path()).env("ANNALS_DATA_DIR", self.data_dir.path());
        command.env("ANNALS_SECRET_KEY", SECRET_KEY);
        command.env("DATABASE_URL", self.target.url()).env("ANNALS_IMPORT_URL", self.source.url());
        command.env_remove("REDIS_URL").env_remove("SMTP_URL");
        command.args(["import", "--tenant", tenant]);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&self.owner.tenant);
        command.args(arguments);
        output(command).await
    }

    /// Imports, and gives what it said.
    async fn import(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Fails to import, and gives what it said.
    async fn complaint(&self, arguments: &[&str]) -> String {
        complaint(self.run(arguments).await)
    }

    /// The other system's events, in the order in which they are imported.
    async fn theirs(&self) -> Vec<[String; 7]> {
        let events = "SELECT ARRAY[aggregate_type, aggregate_id, sequence::text, event_type, event_version,
                                   payload::text, metadata::text]
                      FROM events ORDER BY aggregate_type, aggregate_id, sequence";
        let rows: Vec<Vec<String>> =
            sqlx::query_scalar(events).fetch_all(&mut self.source().await).await.unwrap();
        rows.into_iter().map(|row| row.try_into().unwrap()).collect()
    }

    /// The tenant's journal.
    async fn journal(&self) -> Vec<RecordedEvent> {
        let tenant = self.owner.tenant.parse().unwrap();
        self.app.annals.app.journal.read(tenant, 0, 100_000).await.unwrap()
    }

    /// The imported events in the journal's order, each with the sequence that its stream gives it.
    async fn ours(&self) -> Vec<[String; 7]> {
        let imported = |event: &RecordedEvent| {
            let foreign = event.fact::<ForeignEventImported>()?.unwrap();
            assert_eq!((event.stream.kind.as_str(), event.sequence), ("foreign_aggregate", foreign.sequence));
            let (payload, metadata) = (foreign.payload.get().to_owned(), foreign.metadata.get().to_owned());
            let ForeignEventImported { aggregate_type, aggregate_id, event_type, event_version, .. } =
                foreign;
            let sequence = event.sequence.to_string();
            Some([aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata])
        };
        self.journal().await.iter().filter_map(imported).collect()
    }

    async fn imported(&self) -> i64 {
        let count = "SELECT count(*) FROM events WHERE stream_kind = 'foreign_aggregate'";
        sqlx::query_scalar(count).fetch_one(&mut self.app.superuser().await).await.unwrap()
    }
}

#[tokio::test]
async fn a_stock_database_becomes_part_of_a_tenants_journal() {
    let moving = Move::prepare().await;
    let owner = &moving.owner;
    owner.key().await.batch(&[event("m1")]).await.ok();
    moving.pay("B-2", &[5]).await;
    moving.pay("A-1", &[10, 20, 30]).await;
    // What postgres-es does not write itself, its table takes all the same.
    let odd = r#"INSERT INTO events VALUES ('order', 'O-1', 1, 'InvitationSent', '2.1',
                 '{ "a": 1.10, "a": "\u0000", "b": ["\ud800", 1e999] }', '[ ]')"#;
    moving.source().await.execute(odd).await.unwrap();
    let head = owner.head().await;

    let said = moving.import(&["--dry-run"]).await;
    let counts = "account: 4 events of 2 aggregates\norder: 1 events of 1 aggregates\n";
    assert_eq!(said, format!("{counts}5 events to import, 0 have been imported\n"));
    assert_eq!(moving.imported().await, 0);

    let said = moving.import(&["--aggregate", "account"]).await;
    assert!(said.ends_with("4 events imported, 0 had been imported before\n"), "{said}");
    let said = moving.import(&[]).await;
    assert_eq!(said, format!("{counts}1 events imported, 4 had been imported before\n"));
    let theirs = moving.theirs().await;
    assert_eq!(moving.ours().await, theirs);
    assert_eq!(
        theirs[2],
        ["account", "A-1", "3", "Paid", "1.0", r#"{"amount": 30}"#, r#"{"user": "grace"}"#]
    );

    // Again, there is nothing to do; what has grown since is imported from where it had ended.
    let said = moving.import(&[]).await;
    assert!(said.ends_with("0 events imported, 5 had been imported before\n"), "{said}");
    assert_eq!(owner.head().await, head + 5);
    moving.pay("A-1", &[40]).await;
    moving.pay("C-3", &[1, 2]).await;
    let said = moving.import(&[]).await;
    assert!(said.ends_with("3 events imported, 5 had been imported before\n"), "{said}");
    let mut ours = moving.ours().await;
    ours.sort();
    assert_eq!(ours, moving.theirs().await);

    // They are in the audit log, count against no quota, start nothing, and can be proven like everything else.
    let audit = |filter: &str| owner.path(&format!("/audit?{filter}&min_position={}", head + 8));
    let entries = owner.get(&audit("target=A-1")).await.ok();
    assert_eq!(entries.all("action"), ["foreign_aggregate.event_imported"; 4]);
    let newest = &entries.items()[0];
    assert_eq!(newest["metadata"]["event_type"], "Paid");
    assert_eq!(newest["actor"]["type"], "system");
    assert_eq!(owner.get(&audit("action=foreign_aggregate.event_imported")).await.ok().items().len(), 8);
    let usage = owner.get(&owner.path(&format!("/usage/current?min_position={}", head + 8))).await.ok();
    assert_eq!(usage.data()["used"], 1);
    moving.app.caught_up().await;
    let failed = "SELECT count(*) FROM projection_checkpoints WHERE error IS NOT NULL";
    let failed: i64 = sqlx::query_scalar(failed).fetch_one(&mut moving.app.superuser().await).await.unwrap();
    assert_eq!(failed, 0);
    let events = moving.journal().await;
    assert_eq!(events.len() as u64, head + 8);
    assert!(events.iter().all(|event| event.computed_leaf_hash() == event.leaf_hash));
}

#[tokio::test]
async fn an_import_that_is_killed_again_and_again_leaves_nothing_out_and_doubles_nothing() {
    let moving = Move::prepare().await;
    // One long aggregate between many short ones: commits end within aggregates and between them.
    let fill = "
        INSERT INTO events
        SELECT 'order', 'O-' || order_number, sequence, 'Changed', '1.0', json_build_object('n', sequence), '{}'
        FROM generate_series(1, 3000) AS order_number, generate_series(1, 4) AS sequence;
        INSERT INTO events
        SELECT 'order', 'O-15', sequence, 'Changed', '1.0', json_build_object('n', sequence), '{}'
        FROM generate_series(5, 8000) AS sequence";
    moving.source().await.execute(fill).await.unwrap();
    let mut seen = 0;
    for _ in 0..4 {
        let mut import = moving.command(&moving.owner.tenant).spawn().unwrap();
        eventually("an import that goes on", async || {
            assert!(import.try_wait().unwrap().is_none(), "it was done before it could be killed");
            let imported = moving.imported().await;
            (imported > seen).then(|| seen = imported)
        })
        .await;
        import.kill().unwrap();
        import.wait().unwrap();
    }
    // The commit of the moment may still end after its process.
    let said = moving.import(&[]).await;
    assert!(!said.contains(" 0 had been imported"), "{said}");
    assert_eq!(moving.imported().await, 3_000 * 4 + 7_996);
    assert_eq!(moving.ours().await, moving.theirs().await);
    let said = moving.import(&[]).await;
    assert!(said.ends_with("0 events imported, 19996 had been imported before\n"), "{said}");
}

#[tokio::test]
async fn two_imports_at_once_count_each_event_once() {
    let moving = Move::prepare().await;
    let fill = "
        INSERT INTO events
        SELECT 'order', 'O-' || order_number, sequence, 'Changed', '1.0', json_build_object('n', sequence), '{}'
        FROM generate_series(1, 50) AS order_number, generate_series(1, 200) AS sequence";
    moving.source().await.execute(fill).await.unwrap();
    let counts = |said: String| {
        let last = said.lines().last().unwrap().to_owned();
        let numbers = last.split(' ').filter_map(|word| word.parse::<u64>().ok()).collect::<Vec<_>>();
        let [new, before] = numbers.try_into().unwrap();
        (new, before)
    };
    let (one, other) = tokio::join!(moving.import(&[]), moving.import(&[]));
    let ((one, before_one), (other, before_other)) = (counts(one), counts(other));
    assert_eq!((one + other, moving.imported().await), (10_000, 10_000));
    assert_eq!((one + before_one, other + before_other), (10_000, 10_000), "{one} and {other} were imported");
}

#[tokio::test]
async fn what_can_not_be_imported_is_said_and_leaves_no_trace() {
    let moving = Move::prepare().await;
    moving.pay("A-1", &[1, 2]).await;
    let unknown = complaint(output(moving.command("ten_01h455vb4pex5vsknk084sn02q")).await);
    assert!(unknown.contains("ten_01h455vb4pex5vsknk084sn02q: there is no such tenant"), "{unknown}");
    let platform = complaint(output(moving.command("ten_00000000000000000000000000")).await);
    assert!(platform.contains("there is no such tenant"), "{platform}");

    let unreachable = "postgres://grace:hopper@127.0.0.1:1/shop";
    let said = moving.complaint(&["--from-postgres-es", unreachable]).await;
    assert!(said.contains("can't connect to postgres://grace@127.0.0.1:1/shop"), "{said}");
    assert!(!said.contains("hopper"), "{said}");
    let said = moving.complaint(&["--from-postgres-es", "postgres://grace:hopper@[shop"]).await;
    assert!(said.contains("not a PostgreSQL URL") && !said.contains("hopper"), "{said}");
    let said = moving.complaint(&["--from-postgres-es", &moving.target.url()]).await;
    assert!(said.contains("its table events has no aggregate_id, aggregate_type"), "{said}");
    let empty = TestDatabase::empty().await;
    let said = moving.complaint(&["--from-postgres-es", &empty.url()]).await;
    assert!(said.contains("it has no table events"), "{said}");
    assert_eq!(moving.imported().await, 0);

    // Histories that are not what they were, or not whole.
    moving.import(&[]).await;
    for (damage, why) in [
        ("UPDATE events SET payload = '{}' WHERE sequence = 2", "account A-1: event 2 is not the one"),
        ("DELETE FROM events WHERE sequence = 2", "account A-1 ends with event 1, and 2 have been imported"),
        (
            "INSERT INTO events SELECT aggregate_type, 'B-2', 1 + sequence, event_type, event_version, payload, metadata
             FROM events WHERE aggregate_id = 'A-1'",
            "account B-2 has 2 events, and the last is number 3: some are missing",
        ),
    ] {
        let mut source = moving.source().await;
        let mut tx = source.begin().await.unwrap();
        tx.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM events").await.unwrap();
        tx.execute(damage).await.unwrap();
        tx.commit().await.unwrap();
        for arguments in [&[][..], &["--dry-run"]] {
            let said = moving.complaint(arguments).await;
            assert!(said.contains(why), "{arguments:?}: {said}");
        }
        source.execute("DELETE FROM events; INSERT INTO events SELECT * FROM kept").await.unwrap();
    }
    let administrator = moving.app.administrator().await;
    let freeze = format!("/v1/admin/tenants/{}/freeze", moving.owner.tenant);
    administrator.post(&freeze, json!({"reason": "unpaid"})).await.expect(StatusCode::OK);
    let said = moving.complaint(&[]).await;
    assert!(said.contains("the tenant is frozen"), "{said}");
    assert_eq!(moving.imported().await, 2);
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn complaint(output: Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// An aggregate of the other system.
#[derive(Default, Serialize, Deserialize)]
struct Account {
    balance: u64,
}

struct Pay(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Paid {
    amount: u32,
}

#[derive(Debug)]
enum Never {}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = Pay;
    type Event = Paid;
    type Error = Never;
    type Services = ();

    async fn handle(&mut self, Pay(amount): Pay, (): &(), sink: &EventSink<Self>) -> Result<(), Never> {
        sink.write(Paid { amount }, self).await;
        Ok(())
    }

    fn apply(&mut self, paid: Paid) {
        self.balance += u64::from(paid.amount);
    }
}

impl DomainEvent for Paid {
    fn event_type(&self) -> String {
        "Paid".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}
