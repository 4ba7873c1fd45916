//! What is recorded about people, against a real PostgreSQL.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::time::Duration;

use application::{
    claim::ClaimKind,
    error::Error,
    journal::{Command, Journal},
    loaded::replay,
    work::{Work, stream},
};
use domain::{
    ctx::{Actor, Ctx, Origin},
    ids::{TenantId, UserId, WorkspaceId},
    personal::ERASED,
    users::{SignInRefusal, User, UserCommand, UserRegistered},
};
use infrastructure::{growth::Growth, journal::PgJournal};
use sqlx::Executor;

use self::fixture::{Fixture, create_workspace, ctx};

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
    let fixture = Fixture::new().await;
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
    let fixture = Fixture::new().await;
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
    let mut superuser = fixture.superuser().await;
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
    let fixture = Fixture::new().await;
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
