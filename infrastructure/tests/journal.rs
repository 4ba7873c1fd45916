//! The journal's promises, against a real PostgreSQL.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use application::{
    claim::ClaimKind,
    error::Error,
    journal::{Command, Journal},
    loaded::replay,
    work::{Work, stream},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ctx::{Actor, Ctx, Origin},
    ids::{TenantId, UserId, WorkspaceId},
    personal::ERASED,
    users::{SignInRefusal, User, UserCommand, UserRegistered},
    workspaces::{Workspace, WorkspaceCommand, WorkspaceCreated},
};
use infrastructure::{
    database::{self, Database},
    growth::Growth,
    journal::PgJournal,
    keys::MasterKey,
    tenant_tx::TenantTx,
    test_postgres::TestDatabase,
    vault::Vault,
};
use sqlx::{Connection, Executor, PgConnection};

struct Fixture {
    test_database: TestDatabase,
    database: Database,
    journal: Arc<PgJournal>,
}

async fn fixture() -> Fixture {
    let version = database::schema_version();
    let migrate = async |options| database::migrate(&options).await;
    let test_database = TestDatabase::from_template(version, migrate).await;
    let database = Database::connect(test_database.connect_options(), 8, vault()).await.unwrap();
    let journal = Arc::new(PgJournal::new(database.clone(), Growth::default()));
    Fixture { test_database, database, journal }
}

impl Fixture {
    /// The same database with a vault that knows no keys yet.
    async fn another_process(&self) -> Database {
        Database::connect(self.test_database.connect_options(), 4, vault()).await.unwrap()
    }
}

/// A vault of the installation.
fn vault() -> Arc<Vault> {
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    Vault::new(&MasterKey::parse(secret).unwrap())
}

fn ctx(tenant: TenantId) -> Ctx {
    Ctx::system(tenant, Utc::now())
}

fn create(work: &mut Work, workspace_id: WorkspaceId) -> Result<(), Error> {
    let created = WorkspaceCreated { workspace_id, name: "Default".parse().unwrap() };
    work.execute::<Workspace>(workspace_id, WorkspaceCommand::Create(created)).map(drop)
}

async fn create_workspace(journal: &PgJournal, ctx: &Ctx, workspace_id: WorkspaceId) -> Result<u64, Error> {
    let command =
        Command::new(ctx, vec![stream::<Workspace>(workspace_id)], move |work| create(work, workspace_id));
    journal.transact(command).await.map(|committed| committed.recording.position())
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_gapless_under_concurrent_writers_of_two_processes() {
    let fixture = fixture().await;
    let tenant = TenantId::random();
    // A second journal has writers of its own, as a second process has.
    let other = Arc::new(PgJournal::new(fixture.database.clone(), Growth::default()));
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..40 {
        let journal = Arc::clone(if index % 2 == 0 { &fixture.journal } else { &other });
        tasks.spawn(
            async move { create_workspace(&journal, &ctx(tenant), WorkspaceId::random()).await.unwrap() },
        );
    }
    let mut answered: Vec<u64> = tasks.join_all().await;
    answered.sort_unstable();
    assert_eq!(answered, (1..=40).collect::<Vec<_>>());
    let events = fixture.journal.read(tenant, 0, 100).await.unwrap();
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert!(events.iter().all(|event| event.computed_leaf_hash() == event.leaf_hash));
}

#[tokio::test]
async fn the_same_command_again_appends_nothing_and_tells_the_position() {
    let fixture = fixture().await;
    let (tenant, workspace) = (TenantId::random(), WorkspaceId::random());
    assert_eq!(create_workspace(&fixture.journal, &ctx(tenant), workspace).await.unwrap(), 1);
    assert_eq!(create_workspace(&fixture.journal, &ctx(tenant), workspace).await.unwrap(), 1);
    assert_eq!(fixture.journal.head(tenant).await.unwrap(), 1);
}

/// Renames a workspace until its stream has `events` events; it is then called after that number.
async fn long_stream(journal: &PgJournal, ctx: &Ctx, events: u64) -> WorkspaceId {
    let workspace_id = WorkspaceId::random();
    create_workspace(journal, ctx, workspace_id).await.unwrap();
    for sequence in 2..=events {
        rename(journal, ctx, workspace_id, sequence).await;
    }
    workspace_id
}

async fn rename(journal: &PgJournal, ctx: &Ctx, workspace_id: WorkspaceId, sequence: u64) {
    let rename = Command::new(ctx, vec![stream::<Workspace>(workspace_id)], move |work| {
        let name = sequence.to_string().parse().unwrap();
        work.execute::<Workspace>(workspace_id, WorkspaceCommand::Rename { name }).map(drop)
    });
    journal.transact(rename).await.unwrap();
}

/// The name of a workspace, its sequence, and how many events were read to tell.
async fn read_workspace(journal: &PgJournal, ctx: &Ctx, id: WorkspaceId) -> (String, u64, usize) {
    // Asked for twice, it is given once, and so is each of its events.
    let streams = [stream::<Workspace>(id), stream::<Workspace>(id)];
    let histories = journal.load(ctx.tenant, &streams).await.unwrap();
    assert_eq!(histories.len(), 1);
    let Workspace::Active { name } = replay(&histories[0]).unwrap() else { panic!("it was set up") };
    (name.to_string(), histories[0].sequence, histories[0].events.len())
}

/// Waits until so many events are read of a workspace: a snapshot is kept a moment after the commit.
async fn read_after_snapshot(
    journal: &PgJournal,
    ctx: &Ctx,
    id: WorkspaceId,
    events: usize,
) -> (String, u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (name, sequence, read) = read_workspace(journal, ctx, id).await;
        if read == events {
            return (name, sequence);
        }
        assert!(Instant::now() < deadline, "{read} events are read, not {events}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_snapshot_of_another_version_or_one_that_can_not_be_read_is_passed_over() {
    let fixture = fixture().await;
    let (journal, ctx) = (&fixture.journal, ctx(TenantId::random()));
    let id = long_stream(journal, &ctx, 103).await;
    assert_eq!(read_after_snapshot(journal, &ctx, id, 3).await, ("103".to_owned(), 103));
    let mut owner = PgConnection::connect_with(&fixture.test_database.connect_options()).await.unwrap();
    for (sequence, damage) in [
        (104, r#"UPDATE snapshots SET version = 2, state = '{"Active": {"name": "wrong"}}'"#),
        (105, r#"UPDATE snapshots SET version = 0, state = '{"Active": {"name": "wrong"}}'"#),
        (106, r#"UPDATE snapshots SET state = '{"Busy": {"name": "wrong"}}'"#),
        (107, "DELETE FROM snapshots"),
    ] {
        owner.execute(damage).await.unwrap();
        // A process that has just started remembers nothing better.
        let journal = &PgJournal::new(fixture.database.clone(), Growth::default());
        let before = sequence - 1;
        let read = read_workspace(journal, &ctx, id).await;
        assert_eq!(read, (before.to_string(), before, before as usize), "{damage}");
        // The next command goes on from there, and leaves a good snapshot behind.
        rename(journal, &ctx, id, sequence).await;
        let read = read_after_snapshot(journal, &ctx, id, 0).await;
        assert_eq!(read, (sequence.to_string(), sequence), "{damage}");
    }
}

#[tokio::test]
async fn an_event_of_a_version_that_nobody_knows_is_not_misread() {
    let fixture = fixture().await;
    let (journal, ctx) = (&fixture.journal, ctx(TenantId::random()));
    let id = long_stream(journal, &ctx, 1).await;
    let mut owner = PgConnection::connect_with(&fixture.test_database.connect_options()).await.unwrap();
    let insert = "INSERT INTO events SELECT tenant_id, 2, stream_id, 2, recorded_at, stream_kind, 'WorkspaceRenamed', 2,
                  '{\"name\": \"Two\"}', metadata, leaf_hash FROM events";
    owner.execute(insert).await.unwrap();
    let histories = journal.load(ctx.tenant, &[stream::<Workspace>(id)]).await.unwrap();
    let Err(Error::Internal(error)) = replay::<Workspace>(&histories[0]) else { panic!("it was read") };
    assert_eq!(error.to_string(), "WorkspaceRenamed has version 2, of which this build knows 1 to 1");
}

#[tokio::test]
async fn a_refused_decision_leaves_no_trace() {
    let fixture = fixture().await;
    let (tenant, workspace) = (TenantId::random(), WorkspaceId::random());
    let refused = Command::new(&ctx(tenant), vec![stream::<Workspace>(workspace)], move |work| {
        create(work, workspace)?;
        work.claim(ClaimKind::Invitation, "a@example.com", workspace, Error::VersionConflict);
        Err::<(), _>(Error::not_found())
    });
    assert!(fixture.journal.transact(refused).await.is_err());
    assert_eq!(fixture.journal.head(tenant).await.unwrap(), 0);
    assert_eq!(fixture.journal.holder(tenant, ClaimKind::Invitation, "a@example.com").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_claimants_wins_and_the_others_append_nothing() {
    let fixture = fixture().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let journal = Arc::clone(&fixture.journal);
        // Different tenants, so that no writer puts them in order: the slug is unique across the platform.
        tasks.spawn(async move {
            let (tenant, workspace) = (TenantId::random(), WorkspaceId::random());
            let claim = Command::new(&ctx(tenant), vec![stream::<Workspace>(workspace)], move |work| {
                create(work, workspace)?;
                work.claim(ClaimKind::Slug, "acme", tenant, Error::not_found());
                Ok(())
            });
            let claimed = journal.transact(claim).await;
            (claimed.is_ok(), journal.head(tenant).await.unwrap())
        });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|(won, _)| *won).count(), 1);
    assert!(outcomes.iter().all(|(won, head)| *head == u64::from(*won)));
}

#[tokio::test]
async fn a_clock_that_jumps_back_does_not_turn_the_journal_back() {
    fn an_hour_ago() -> DateTime<Utc> {
        Utc::now() - TimeDelta::hours(1)
    }
    let fixture = fixture().await;
    let tenant = TenantId::random();
    let behind = PgJournal::new(fixture.database.clone(), Growth::default()).with_clock(an_hour_ago);
    for journal in [&fixture.journal, &behind, &fixture.journal] {
        create_workspace(journal, &ctx(tenant), WorkspaceId::random()).await.unwrap();
    }
    let events = fixture.journal.read(tenant, 0, 10).await.unwrap();
    assert!(events.is_sorted_by_key(|event| event.recorded_at));
    assert!(events.iter().all(|event| event.computed_leaf_hash() == event.leaf_hash));
}

#[tokio::test]
async fn a_request_that_is_given_up_midway_appends_wholly_or_not_at_all_and_holds_up_nobody() {
    let fixture = fixture().await;
    let tenant = TenantId::random();
    for polls in 0..12 {
        let ctx = ctx(tenant);
        let mut append = Box::pin(create_workspace(&fixture.journal, &ctx, WorkspaceId::random()));
        for _ in 0..polls {
            if tokio::time::timeout(std::time::Duration::from_micros(300), append.as_mut()).await.is_ok() {
                break;
            }
        }
    }
    let before = fixture.journal.head(tenant).await.unwrap();
    let after = create_workspace(&fixture.journal, &ctx(tenant), WorkspaceId::random()).await.unwrap();
    // One that was given up while it committed may still have counted.
    assert!(after > before);
    let events = fixture.journal.read(tenant, 0, 100).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.position).collect::<Vec<_>>(),
        (1..=after).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn every_table_with_a_tenant_is_under_forced_row_level_security() {
    let fixture = fixture().await;
    let mut owner = PgConnection::connect_with(&fixture.test_database.connect_options()).await.unwrap();
    let tables: Vec<(String, bool)> = sqlx::query_as(
        "SELECT relname::text, relrowsecurity AND relforcerowsecurity
                AND EXISTS (SELECT FROM pg_policy WHERE polrelid = class.oid)
         FROM pg_class AS class
         WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname <> '_sqlx_migrations'",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(tables.len() > 5);
    for (table, isolated) in &tables {
        assert!(isolated, "{table} is not isolated");
        let first: String = sqlx::query_scalar(
            "SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
             WHERE indrelid = $1::regclass AND indisprimary",
        )
        .bind(table)
        .fetch_one(&mut owner)
        .await
        .unwrap();
        assert_eq!(first, "tenant_id", "the primary key of {table}");
    }
}

#[tokio::test]
async fn without_a_tenant_nothing_is_seen_and_with_one_only_its_own() {
    let fixture = fixture().await;
    let (one, other) = (TenantId::random(), TenantId::random());
    create_workspace(&fixture.journal, &ctx(one), WorkspaceId::random()).await.unwrap();
    let mut connection = PgConnection::connect_with(&fixture.test_database.connect_options()).await.unwrap();
    connection.execute("SET ROLE annals_app").await.unwrap();
    for table in [
        "events",
        "journal_heads",
        "claims",
        "secrets",
        "snapshots",
        "kept_answers",
        "projection_checkpoints",
    ] {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let seen: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    for (tenant, expected) in [(one, 1), (other, 0), (TenantId::PLATFORM, 0)] {
        let mut tx = TenantTx::begin(&fixture.database, tenant).await.unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, expected);
    }
    let mut tx = TenantTx::begin(&fixture.database, other).await.unwrap();
    let forged = sqlx::query("INSERT INTO claims VALUES ($1, 'slug', 'x', $1)").bind(one.uuid());
    assert!(forged.execute(&mut *tx).await.is_err());
}

#[tokio::test]
async fn events_can_not_be_changed_by_anybody() {
    let fixture = fixture().await;
    let tenant = TenantId::random();
    create_workspace(&fixture.journal, &ctx(tenant), WorkspaceId::random()).await.unwrap();
    let mut owner = PgConnection::connect_with(&fixture.test_database.connect_options()).await.unwrap();
    let attempts = [
        "UPDATE events SET sequence = sequence",
        "DELETE FROM events",
        "TRUNCATE events",
        "TRUNCATE events CASCADE",
        "SET session_replication_role = replica; DELETE FROM events",
    ];
    for attempt in attempts {
        let error = owner.execute(attempt).await.unwrap_err().to_string();
        assert!(error.contains("immutable"), "the owner: {attempt}: {error}");
        owner.execute("RESET session_replication_role").await.unwrap();
        let mut tx = TenantTx::begin(&fixture.database, tenant).await.unwrap();
        assert!(tx.execute(attempt).await.is_err(), "the application: {attempt}");
    }
    assert_eq!(fixture.journal.head(tenant).await.unwrap(), 1);
    assert_eq!(fixture.journal.read(tenant, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_connection_goes_back_to_the_pool_with_a_tenant() {
    let fixture = fixture().await;
    let options = fixture.test_database.connect_options();
    let database = Database::connect(options, 2, vault()).await.unwrap();
    for polls in 0..40 {
        // Giving up in the middle of `begin` is what can leave a transaction open behind sqlx's back.
        let mut begin = Box::pin(TenantTx::begin(&database, TenantId::random()));
        for _ in 0..polls % 4 {
            if tokio::time::timeout(std::time::Duration::from_micros(50), begin.as_mut()).await.is_ok() {
                break;
            }
        }
        drop(begin);
        assert!(database.ping().await.is_ok());
        assert!(!database.carries_tenant().await.unwrap());
    }
}

/// A command of a user who registers, with an address and a name.
fn register(user_id: UserId) -> Command {
    let ctx = Ctx {
        origin: Origin {
            ip: Some("192.0.2.7".parse().unwrap()),
            user_agent: Some("Difference Engine".to_owned()),
            ..Origin::internal()
        },
        ..ctx(TenantId::PLATFORM)
    };
    let (email, name) = ("ada@example.com".parse().unwrap(), "Ada Lovelace".parse().unwrap());
    let registered = UserRegistered { user_id, email, name };
    Command::new(&ctx, vec![stream::<User>(user_id)], move |work| {
        work.execute::<User>(user_id, UserCommand::Register(registered.clone()))?;
        work.claim(ClaimKind::Email, registered.email.as_str(), user_id, Error::VersionConflict);
        Ok(())
    })
}

#[tokio::test]
async fn what_is_recorded_about_people_is_sealed_and_hashed_as_it_is_stored() {
    let fixture = fixture().await;
    let user = UserId::random();
    fixture.journal.transact(register(user)).await.unwrap();
    let events = fixture.journal.read(TenantId::PLATFORM, 0, 10).await.unwrap();
    assert!(events.iter().all(|event| event.computed_leaf_hash() == event.leaf_hash));
    let stored = format!("{events:?}");
    for personal in ["ada@example.com", "Ada", "192.0.2.7", "Difference"] {
        assert!(!stored.contains(personal), "{stored}");
    }
    // Aggregates see what was said, in this process and in another.
    let other = PgJournal::new(fixture.another_process().await, Growth::default());
    for journal in [&*fixture.journal, &other] {
        let histories = journal.load(TenantId::PLATFORM, &[stream::<User>(user)]).await.unwrap();
        let account = replay::<User>(&histories[0]).unwrap().account().cloned().unwrap();
        assert_eq!((account.email.as_str(), account.name.as_str()), ("ada@example.com", "Ada Lovelace"));
        let holder = journal.holder(TenantId::PLATFORM, ClaimKind::Email, "ada@example.com").await.unwrap();
        assert_eq!(holder, Some(user.uuid()));
    }
}

#[tokio::test]
async fn a_persons_snapshots_are_sealed_and_serve() {
    let fixture = fixture().await;
    let user = UserId::random();
    fixture.journal.transact(register(user)).await.unwrap();
    let refuse = move |work: &mut Work| -> Result<(), Error> {
        for _ in 0..120 {
            let cause = SignInRefusal::WrongPassword;
            work.execute::<User>(user, UserCommand::RefuseSignIn { cause })?;
        }
        Ok(())
    };
    let refusals = Command::new(&ctx(TenantId::PLATFORM), vec![stream::<User>(user)], refuse);
    fixture.journal.transact(refusals).await.unwrap();
    let mut superuser = PgConnection::connect_with(&fixture.test_database.connect_options()).await.unwrap();
    let state: String = loop {
        let state =
            sqlx::query_scalar("SELECT state::text FROM snapshots").fetch_optional(&mut superuser).await;
        match state.unwrap() {
            Some(state) => break state,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(state.starts_with("\"sealed:1:"), "{state}");
    let other = PgJournal::new(fixture.another_process().await, Growth::default());
    let histories = other.load(TenantId::PLATFORM, &[stream::<User>(user)]).await.unwrap();
    assert!(histories[0].snapshot.is_some() && histories[0].events.len() < 120);
    let account = replay::<User>(&histories[0]).unwrap().account().cloned().unwrap();
    assert_eq!(account.email.as_str(), "ada@example.com");
    // Erased, it is passed over, and what is left of the stream can still be read.
    superuser.execute("UPDATE subject_keys SET wrapped = NULL WHERE subject_id <> '00000000-0000-0000-0000-000000000000'").await.unwrap();
    let third = PgJournal::new(fixture.another_process().await, Growth::default());
    let histories = third.load(TenantId::PLATFORM, &[stream::<User>(user)]).await.unwrap();
    assert!(histories[0].snapshot.is_none());
    let account = replay::<User>(&histories[0]).unwrap().account().cloned().unwrap();
    assert_eq!((account.email.as_str(), account.name.as_str()), (ERASED, ERASED));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_need_a_persons_first_key_make_one() {
    let fixture = fixture().await;
    let journals = [
        PgJournal::new(fixture.another_process().await, Growth::default()),
        PgJournal::new(fixture.another_process().await, Growth::default()),
    ];
    let user = UserId::random();
    let tenants: Vec<TenantId> = (0..10).map(|_| TenantId::random()).collect();
    let by_user = |tenant| {
        let actor = Actor::User { id: user, name: "Ada Lovelace".to_owned() };
        Ctx { actor, ..ctx(tenant) }
    };
    let written = tenants.iter().enumerate().map(|(index, tenant)| {
        let journal = &journals[index % 2];
        async move { create_workspace(journal, &by_user(*tenant), WorkspaceId::random()).await.unwrap() }
    });
    for writing in written {
        writing.await;
    }
    for tenant in tenants {
        let event = fixture.journal.read(tenant, 0, 1).await.unwrap().remove(0);
        let mut traces = event.metadata().unwrap().traces.unwrap();
        fixture.database.open(tenant, vec![&mut traces]).await.unwrap();
        assert!(traces.contains("Ada Lovelace"), "{traces}");
        // In another journal it is worth nothing.
        let mut moved = event.metadata().unwrap().traces.unwrap();
        fixture.database.open(TenantId::random(), vec![&mut moved]).await.unwrap();
        assert_eq!(moved, ERASED);
    }
}
