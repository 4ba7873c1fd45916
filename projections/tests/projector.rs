//! What the projector promises, against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use application::error::Error;
use domain::ids::TenantId;
use projections::{checkpoint, fold::Projection, workspaces::Workspaces};
use tokio::time::{Instant, sleep, timeout};

use self::fixture::{Fixture, Probe};

// A projector wants them to live for ever. Tests that share a process share them, so no two change the same one.
static OTHER: Probe = Probe::new("other");
static OTHER_ALONE: [&dyn Projection; 1] = [&OTHER];
static PANICKING: Probe = Probe::new("panicking");
static PANICKING_AND_OTHER: [&dyn Projection; 2] = [&PANICKING, &OTHER];
static BROKEN: Probe = Probe::that_sends("broken", "SELECT 1 / 0");
static SLOW: Probe = Probe::that_sends("slow", "SET LOCAL statement_timeout = 50; SELECT pg_sleep(10)");
static BROKEN_AND_SLOW_AND_OTHERS: [&dyn Projection; 4] = [&Workspaces, &BROKEN, &SLOW, &OTHER];
static PICKY: Probe = Probe::new("picky");
static PICKY_AND_WORKSPACES: [&dyn Projection; 2] = [&PICKY, &Workspaces];
static CALM: Probe = Probe::new("calm");
static CALM_AND_WORKSPACES: [&dyn Projection; 2] = [&CALM, &Workspaces];

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_panics_fails_alone_and_its_tenant_goes_on() {
    let fixture = Fixture::new().await;
    PANICKING.panics.store(true, Ordering::SeqCst);
    let running = tokio::spawn(fixture.projector(&PANICKING_AND_OTHER).run());
    for _ in 0..2 {
        let position = fixture.append().await;
        fixture.reaches(&OTHER, position).await;
    }
    let error = Some("it panicked: 1 events are too many".to_owned());
    assert_eq!(fixture.checkpoint(&PANICKING).await, (0, error));
    running.abort();
    running.await.unwrap_err();

    PANICKING.panics.store(false, Ordering::SeqCst);
    fixture.projector(&PANICKING_AND_OTHER).catch_up(fixture.tenant).await.unwrap();
    assert_eq!(fixture.checkpoint(&PANICKING).await, (2, None));
}

#[tokio::test]
async fn what_fails_in_the_transaction_of_many_fails_alone() {
    let fixture = Fixture::new().await;
    for round in 1..=2 {
        fixture.append().await;
        // A new projector each time: it does not know that some have failed before.
        let projector = fixture.projector(&BROKEN_AND_SLOW_AND_OTHERS);
        projector.catch_up(fixture.tenant).await.unwrap();
        assert_eq!(fixture.checkpoint(&OTHER).await, (round, None));
        assert_eq!(fixture.checkpoint(&Workspaces).await, (round, None));
        assert_eq!(fixture.workspaces().await, round as i64);
        for (failing, why) in [(&BROKEN, "division by zero"), (&SLOW, "statement timeout")] {
            let (position, error) = fixture.checkpoint(failing).await;
            assert_eq!(position, 0, "{}", failing.name);
            assert!(error.as_deref().is_some_and(|error| error.contains(why)), "{error:?}");
        }
    }
}

/// A round takes in several tenants in one transaction. What one of them makes fail holds up none of the others, and
/// nothing of its own but the projection that fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_fails_in_a_round_fails_alone() {
    let fixture = Fixture::new().await;
    let tenants: Vec<TenantId> = (0..20).map(|_| TenantId::random()).collect();
    *PICKY.refused.lock().unwrap() = Some(tenants[7]);
    for tenant in &tenants {
        fixture.append_to(*tenant, 3).await;
    }
    let running = tokio::spawn(fixture.projector(&PICKY_AND_WORKSPACES).run());
    for tenant in &tenants {
        let reached = async {
            while fixture.checkpoint_of(*tenant, &Workspaces).await != (3, None) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), reached).await.unwrap();
    }
    let (position, error) = fixture.checkpoint_of(tenants[7], &PICKY).await;
    assert_eq!((position, error.as_deref()), (0, Some("it panicked: it is refused")));
    assert_eq!(fixture.checkpoint_of(tenants[8], &PICKY).await, (3, None));
    running.abort();
}

/// A journal that can't be read is its tenant's trouble, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_with_a_gap_holds_up_its_tenant_alone() {
    let fixture = Fixture::new().await;
    let (damaged, other) = (TenantId::random(), TenantId::random());
    fixture.append_to(damaged, 2).await;
    let mut owner = fixture.superuser().await;
    let promise = "UPDATE journal_heads SET position = 9 WHERE tenant_id = $1";
    sqlx::query(promise).bind(damaged.uuid()).execute(&mut owner).await.unwrap();
    let projector = fixture.projector(&CALM_AND_WORKSPACES);
    let running = tokio::spawn(Arc::clone(&projector).run());
    for _ in 0..3 {
        fixture.growth.grew(damaged);
        let position = fixture.append_to(other, 1).await;
        let reached = async {
            while fixture.checkpoint_of(other, &Workspaces).await != (position, None) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), reached).await.expect("the other waits, too");
    }
    running.abort();
    assert_eq!(fixture.checkpoint_of(damaged, &Workspaces).await, (0, None));
    let error = fixture.projector(&CALM_AND_WORKSPACES).catch_up(damaged).await.unwrap_err();
    assert!(format!("{error:?}").contains("the journal has a gap"), "{error:?}");
}

#[tokio::test]
async fn a_read_waits_for_a_position_of_the_journal_and_for_no_other() {
    let fixture = Fixture::new().await;
    let head = fixture.append().await;
    let read = async |min_position| {
        let began = Instant::now();
        let read = checkpoint::begin_at(&fixture.database, fixture.tenant, OTHER.name, min_position).await;
        (read.map(|(_, position)| position), began.elapsed())
    };
    let (beyond, waited) = read(head + 1).await;
    assert!(matches!(beyond, Err(Error::ReadModelBehind { seen: 0, wanted: 2 })), "{beyond:?}");
    assert!(waited < Duration::from_secs(3), "{waited:?}");

    let projector = fixture.projector(&OTHER_ALONE);
    let later = async {
        sleep(Duration::from_millis(100)).await;
        projector.catch_up(fixture.tenant).await.unwrap();
    };
    let ((at_head, _), ()) = tokio::join!(read(head), later);
    assert_eq!(at_head.unwrap(), head);
}
