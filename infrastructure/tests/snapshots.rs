//! Shortcuts to the state of long streams, and streams that can't be read, against a real PostgreSQL.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::time::{Duration, Instant};

use application::{error::Error, journal::Journal, loaded::replay, work::stream};
use domain::{
    ctx::Ctx,
    ids::{TenantId, WorkspaceId},
    workspaces::Workspace,
};
use infrastructure::journal::PgJournal;
use sqlx::Executor;

use self::fixture::{Fixture, create_workspace, ctx, rename_workspace};

/// Renames a workspace until its stream has `events` events; it is then called after that number.
async fn long_stream(journal: &PgJournal, ctx: &Ctx, events: u64) -> WorkspaceId {
    let workspace_id = WorkspaceId::random();
    create_workspace(journal, ctx, workspace_id).await.unwrap();
    for sequence in 2..=events {
        rename_workspace(journal, ctx, workspace_id, &sequence.to_string()).await;
    }
    workspace_id
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
    let fixture = Fixture::new().await;
    let (journal, ctx) = (&fixture.journal, ctx(TenantId::random()));
    let id = long_stream(journal, &ctx, 103).await;
    assert_eq!(read_after_snapshot(journal, &ctx, id, 3).await, ("103".to_owned(), 103));
    let mut owner = fixture.superuser().await;
    for (sequence, damage) in [
        (104, r#"UPDATE snapshots SET version = 2, state = '{"Active": {"name": "wrong"}}'"#),
        (105, r#"UPDATE snapshots SET version = 0, state = '{"Active": {"name": "wrong"}}'"#),
        (106, r#"UPDATE snapshots SET state = '{"Busy": {"name": "wrong"}}'"#),
        (107, "DELETE FROM snapshots"),
    ] {
        owner.execute(damage).await.unwrap();
        // A process that has just started remembers nothing better.
        let journal = &fixture.another_journal();
        let before = sequence - 1;
        let read = read_workspace(journal, &ctx, id).await;
        assert_eq!(read, (before.to_string(), before, before as usize), "{damage}");
        // The next command goes on from there, and leaves a good snapshot behind.
        rename_workspace(journal, &ctx, id, &sequence.to_string()).await;
        let read = read_after_snapshot(journal, &ctx, id, 0).await;
        assert_eq!(read, (sequence.to_string(), sequence), "{damage}");
    }
}

#[tokio::test]
async fn an_event_of_a_version_that_nobody_knows_is_not_misread() {
    let fixture = Fixture::new().await;
    let (journal, ctx) = (&fixture.journal, ctx(TenantId::random()));
    let id = long_stream(journal, &ctx, 1).await;
    let mut owner = fixture.superuser().await;
    let insert = "INSERT INTO events SELECT tenant_id, 2, stream_id, 2, recorded_at, stream_kind, 'WorkspaceRenamed', 2,
                  '{\"name\": \"Two\"}', metadata, leaf_hash FROM events";
    owner.execute(insert).await.unwrap();
    let histories = journal.load(ctx.tenant, &[stream::<Workspace>(id)]).await.unwrap();
    let Err(Error::Internal(error)) = replay::<Workspace>(&histories[0]) else { panic!("it was read") };
    assert_eq!(error.to_string(), "WorkspaceRenamed has version 2, of which this build knows 1 to 1");
}
