//! The journal's promises, against a real PostgreSQL.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use application::{
    claim::ClaimKind,
    error::Error,
    journal::{Command, Journal},
    work::stream,
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ids::{TenantId, WorkspaceId},
    workspaces::{Workspace, WorkspaceCommand, WorkspaceCreated},
};
use infrastructure::{growth::Growth, journal::PgJournal};
use sqlx::Connection;

use self::fixture::{Fixture, create, create_workspace, ctx, rename_workspace};

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_gapless_under_concurrent_writers_of_two_processes() {
    let fixture = Fixture::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_many_tenants_that_are_read_at_once_are_not_mixed_up() {
    let fixture = Fixture::new().await;
    let mut tenants = Vec::new();
    for renamed in 0..100 {
        let (tenant, workspace) = (TenantId::random(), WorkspaceId::random());
        create_workspace(&fixture.journal, &ctx(tenant), workspace).await.unwrap();
        for number in 0..renamed % 5 {
            rename_workspace(&fixture.journal, &ctx(tenant), workspace, &number.to_string()).await;
        }
        tenants.push((tenant, workspace, 1 + renamed % 5));
    }
    let journal = Arc::new(fixture.another_journal());
    let mut tasks = tokio::task::JoinSet::new();
    for (place, (tenant, workspace, events)) in tenants.iter().copied().enumerate() {
        let journal = Arc::clone(&journal);
        let (neighbour, stranger, _) = tenants[(place + 1) % tenants.len()];
        tasks.spawn(async move {
            // Of another tenant's stream there is nothing to be seen.
            let streams = [stream::<Workspace>(stranger), stream::<Workspace>(workspace)];
            let [foreign, own] = journal.load(tenant, &streams).await.unwrap().try_into().unwrap();
            assert_eq!((foreign.stream.id, foreign.sequence), (stranger.uuid(), 0));
            assert_eq!((own.stream.id, own.sequence), (workspace.uuid(), events));
            assert_eq!(own.events.len() as u64, events);
            let names = own.events.iter().map(|event| event.payload.get().to_owned());
            assert!(names.skip(1).enumerate().all(|(number, name)| name.contains(&format!("\"{number}\""))));
            // And a command of each is decided on its own.
            create_workspace(&journal, &ctx(neighbour), WorkspaceId::random()).await.unwrap();
        });
    }
    tasks.join_all().await;
    for (tenant, _, events) in tenants {
        assert_eq!(fixture.journal.head(tenant).await.unwrap(), events + 1);
    }
}

#[tokio::test]
async fn the_same_command_again_appends_nothing_and_tells_the_position() {
    let fixture = Fixture::new().await;
    let (tenant, workspace) = (TenantId::random(), WorkspaceId::random());
    assert_eq!(create_workspace(&fixture.journal, &ctx(tenant), workspace).await.unwrap(), 1);
    assert_eq!(create_workspace(&fixture.journal, &ctx(tenant), workspace).await.unwrap(), 1);
    assert_eq!(fixture.journal.head(tenant).await.unwrap(), 1);
}

#[tokio::test]
async fn a_refused_decision_leaves_no_trace() {
    let fixture = Fixture::new().await;
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
    let fixture = Fixture::new().await;
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
    let fixture = Fixture::new().await;
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
    let fixture = Fixture::new().await;
    let tenant = TenantId::random();
    for polls in 0..12 {
        let ctx = ctx(tenant);
        let mut append = Box::pin(create_workspace(&fixture.journal, &ctx, WorkspaceId::random()));
        for _ in 0..polls {
            if tokio::time::timeout(Duration::from_micros(300), append.as_mut()).await.is_ok() {
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

/// Commands that begin a stream learn only in the call that it exists. Such a call appends nothing, for anybody.
#[tokio::test]
async fn a_repeated_command_does_no_harm_to_those_that_share_its_call() {
    let fixture = Fixture::new().await;
    let calls = count_calls(&fixture).await;
    let repeated = WorkspaceId::random();
    let [blocked, sender, one, other] = std::array::from_fn(|_| TenantId::random());
    begin(&fixture.journal, sender, repeated).await;
    // This process has forgotten what the sender began, and remembers a workspace of each of the others.
    let journal = Arc::new(fixture.another_journal());
    let mut workspaces = Vec::new();
    for tenant in [blocked, sender, one, other] {
        workspaces.push(WorkspaceId::random());
        create_workspace(&journal, &ctx(tenant), *workspaces.last().unwrap()).await.unwrap();
    }
    // While one call waits for a journal, the next one gathers.
    let mut blocker = fixture.superuser().await;
    let mut lock = blocker.begin().await.unwrap();
    let head = sqlx::query("SELECT FROM journal_heads WHERE tenant_id = $1 FOR UPDATE");
    head.bind(blocked.uuid()).execute(&mut *lock).await.unwrap();
    let rename = |tenant, workspace| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move { rename_workspace(&journal, &ctx(tenant), workspace, "Lab").await })
    };
    let before = calls().await;
    let first = rename(blocked, workspaces[0]);
    wait_for_lock(&fixture).await;
    let again = Arc::clone(&journal);
    let sharing = [
        rename(one, workspaces[2]),
        tokio::spawn(async move { begin(&again, sender, repeated).await }),
        rename(other, workspaces[3]),
    ];
    // Nothing here has to wait for a database before it is handed in.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    lock.rollback().await.unwrap();
    first.await.unwrap();
    for done in sharing {
        done.await.unwrap();
    }
    assert_eq!(
        calls().await - before,
        1 + 1 + 3,
        "one waited, three shared a call, and each was tried alone"
    );
    for (tenant, events) in [(blocked, 2), (sender, 2), (one, 2), (other, 2)] {
        assert_eq!(journal.head(tenant).await.unwrap(), events);
        assert_eq!(journal.read(tenant, 0, 10).await.unwrap().len() as u64, events);
    }
}

/// Begins a stream without a look whether it exists.
async fn begin(journal: &PgJournal, tenant: TenantId, workspace_id: WorkspaceId) {
    let begin = Command::new(&ctx(tenant), Vec::new(), move |work| {
        let created = WorkspaceCreated { workspace_id, name: "Default".parse().unwrap() };
        work.begin::<Workspace>(workspace_id, WorkspaceCommand::Create(created))
    });
    journal.transact(begin.beginning(Arc::from([workspace_id.uuid()]))).await.unwrap();
}

/// Tells how many calls have tried to append events, refused ones too. From now on they wait for locks without limit.
async fn count_calls(fixture: &Fixture) -> impl AsyncFn() -> i64 {
    fixture
        .execute(
            "DO $$ BEGIN
                 EXECUTE format('ALTER FUNCTION %s SET lock_timeout = 0', 'journal_append'::regproc::regprocedure);
             END $$;
             CREATE SEQUENCE calls; GRANT USAGE ON calls TO annals_app;
             CREATE FUNCTION count_call() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM nextval('calls'); RETURN NULL; END $$;
             CREATE TRIGGER count_call BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION count_call()",
        )
        .await;
    async || {
        let last = sqlx::query_scalar("SELECT last_value FROM calls");
        last.fetch_one(&mut fixture.superuser().await).await.unwrap()
    }
}

/// Waits until a connection waits for another one's lock.
async fn wait_for_lock(fixture: &Fixture) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid IN
                     (SELECT pid FROM pg_stat_activity WHERE datname = current_database()))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut fixture.superuser().await).await.unwrap() {
        assert!(Instant::now() < deadline, "nobody waits");
    }
}
