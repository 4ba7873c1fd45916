//! Replacing the key that wraps, against a real PostgreSQL. A process is a database with a vault of its own.

use std::collections::BTreeSet;

use sqlx::{Connection, Executor};

use super::*;
use crate::{
    keys::MasterKey,
    test_postgres::TestDatabase,
    vault::{KeyFile, Source, UnknownKey, Vault},
};

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const OTHER: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";

struct Installation {
    test_database: TestDatabase,
}

impl Installation {
    async fn new() -> Self {
        let test_database = TestDatabase::migrated().await;
        let installation = Self { test_database };
        installation.process("").await.unlock().await.unwrap();
        installation
    }

    /// A process that has the secret and the sealing keys that are given.
    async fn process(&self, given: &str) -> Database {
        let given = if given.is_empty() { Vec::new() } else { SealingKey::parse_list(given).unwrap() };
        let (secret, no_file) =
            (MasterKey::parse(SECRET).unwrap(), KeyFile::at("/nowhere/sealing.keys".into()));
        let keyring = Keyring::new(&secret, given, no_file).unwrap();
        Database::connect(self.test_database.connect_options(), 4, Vault::new(keyring)).await.unwrap()
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect_with(&self.test_database.connect_options()).await.unwrap()
    }

    /// Which key wraps somebody's; none if it is destroyed.
    async fn wrapped_by(&self, subject: Uuid) -> Option<String> {
        let asked = "SELECT wrapped_by FROM subject_keys WHERE subject_id = $1 AND wrapped IS NOT NULL";
        let asked = sqlx::query_scalar(asked).bind(subject);
        asked.fetch_optional(&mut self.superuser().await).await.unwrap()
    }
}

fn name(key: &str) -> String {
    SealingKey::of(&MasterKey::parse(key).unwrap()).name().to_owned()
}

/// The keys of `count` new people.
async fn people(database: &Database, count: usize) -> Vec<(Uuid, [u8; 32])> {
    keys(database, &(0..count).map(|_| Uuid::now_v7()).collect()).await.unwrap()
}

async fn keys(database: &Database, subjects: &BTreeSet<Uuid>) -> Result<Vec<(Uuid, [u8; 32])>, Error> {
    let keys = database.vault().keys_of(Source::Pool(database), subjects).await?;
    let of = |subject: &Uuid| keys[subject].as_ref().map(|key| (*subject, *key.key.bytes()));
    Ok(subjects.iter().filter_map(of).collect())
}

/// The same keys, in a process that has to look them up.
async fn assert_readable(database: &Database, people: &[(Uuid, [u8; 32])]) {
    let subjects = people.iter().map(|(subject, _)| *subject).collect();
    assert_eq!(keys(database, &subjects).await.unwrap(), people);
}

fn assert_names(result: Result<impl Sized, Error>, name: &str) {
    let Err(Error::Internal(error)) = result else { panic!("it has the key") };
    assert_eq!(error.downcast_ref::<UnknownKey>().unwrap().name, name);
}

#[tokio::test]
async fn processes_go_on_while_the_key_is_replaced_and_the_old_one_opens_nothing_afterwards() {
    let installation = Installation::new().await;
    let both = format!("{NEW},{SECRET}");
    let (running, operator) = (installation.process(&both).await, installation.process(&both).await);
    let before = people(&running, 3).await;
    // That a process has a new key does not make it wrap with it: another one may not have it yet.
    assert_eq!(installation.wrapped_by(before[0].0).await, Some(name(SECRET)));

    let rotation = Rotation::begin(&operator).await.unwrap();
    let during = people(&running, 2).await;
    assert_eq!(installation.wrapped_by(during[0].0).await, Some(name(NEW)), "from the beginning on");
    assert_eq!(rotation.finish(|_| {}).await.unwrap(), 3);
    let after = people(&running, 2).await;
    let everybody = [before, during, after].concat();
    for (subject, _) in &everybody {
        assert_eq!(installation.wrapped_by(*subject).await, Some(name(NEW)));
    }
    running.vault().forget();
    assert_readable(&running, &everybody).await;
    assert_readable(&installation.process(NEW).await, &everybody).await;
    assert_eq!(
        wrapped_keys(&operator).await.unwrap(),
        [WrappedKeys { sealing_key: name(NEW), count: 8, wraps: true }]
    );

    let old = installation.process("").await;
    assert_names(old.unlock().await, &name(NEW));
    assert_names(keys(&old, &BTreeSet::from([everybody[0].0])).await, &name(NEW));
    let sealed = {
        let keys = running.vault().keys_of(Source::Pool(&running), &BTreeSet::from([everybody[0].0])).await;
        crate::vault::seal("Ada", keys.unwrap()[&everybody[0].0].as_ref(), TenantId::PLATFORM)
    };
    let mut text = sealed.clone();
    assert_names(old.open(TenantId::PLATFORM, vec![&mut text]).await, &name(NEW));
    assert_eq!(text, sealed, "it is not taken for erased");
    running.open(TenantId::PLATFORM, vec![&mut text]).await.unwrap();
    assert_eq!(text, "Ada");
}

#[tokio::test]
async fn a_process_without_the_new_key_makes_nobody_a_key() {
    let installation = Installation::new().await;
    let late = installation.process("").await;
    people(&late, 1).await;
    let operator = installation.process(NEW).await;
    Rotation::begin(&operator).await.unwrap().finish(|_| {}).await.unwrap();
    let subject = Uuid::now_v7();
    assert_names(keys(&late, &BTreeSet::from([subject])).await, &name(NEW));
    assert_eq!(installation.wrapped_by(subject).await, None);
}

#[tokio::test]
async fn who_adds_a_key_with_the_old_one_is_waited_for() {
    let installation = Installation::new().await;
    let running = installation.process(NEW).await;
    let subject = BTreeSet::from([Uuid::now_v7()]);
    let mut tx = TenantTx::begin(&running, TenantId::random()).await.unwrap();
    running.vault().keys_of(Source::Connection(&mut tx), &subject).await.unwrap();
    let operator = installation.process(NEW).await;
    let rotating = tokio::spawn(async move {
        Rotation::begin(&operator).await.unwrap().finish(|_| {}).await.unwrap();
    });
    let mut superuser = installation.superuser().await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut superuser).await.unwrap() == 0 {
        assert!(!rotating.is_finished(), "it did not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tx.commit().await.unwrap();
    rotating.await.unwrap();
    assert_eq!(installation.wrapped_by(*subject.first().unwrap()).await, Some(name(NEW)));
}

#[tokio::test]
async fn what_was_interrupted_goes_on() {
    let installation = Installation::new().await;
    let operator = installation.process(NEW).await;
    let people = people(&operator, 1_200).await;
    let rotation = Rotation::begin(&operator).await.unwrap();
    let mut pass = Pass { after: Uuid::nil(), unreadable: None };
    assert_eq!(rotation.batch(&mut pass).await.unwrap(), Some(500));
    drop(rotation);

    let second = installation.process(NEW).await;
    let rotation = Rotation::begin(&second).await.unwrap();
    assert_eq!(rotation.left().await.unwrap(), 700);
    assert_eq!(rotation.finish(|keys| assert!(keys <= 500)).await.unwrap(), 700);
    assert_readable(&installation.process(NEW).await, &people).await;
    // Once more is harmless.
    assert_eq!(Rotation::begin(&second).await.unwrap().finish(|_| {}).await.unwrap(), 0);
    assert_readable(&installation.process(NEW).await, &people).await;
}

#[tokio::test]
async fn who_is_erased_meanwhile_stays_erased_and_who_is_not_is_come_back_to() {
    let installation = Installation::new().await;
    let operator = installation.process(NEW).await;
    let people = people(&operator, 4).await;
    let erase = "UPDATE subject_keys SET wrapped_by = '', wrapped = NULL WHERE subject_id = $1";
    let mut erasing = [installation.superuser().await, installation.superuser().await];
    for (superuser, (subject, _)) in erasing.iter_mut().zip(&people) {
        superuser.execute("BEGIN").await.unwrap();
        sqlx::query(erase).bind(subject).execute(superuser).await.unwrap();
    }

    let rotation = Rotation::begin(&operator).await.unwrap();
    let (others_done, mut others) = tokio::sync::oneshot::channel();
    let mut others_done = Some(others_done);
    let finishing = rotation.finish(|keys| {
        if let Some(done) = others_done.take() {
            done.send(keys).unwrap();
        }
    });
    tokio::pin!(finishing);
    tokio::select! {
        _ = &mut finishing => panic!("two are left"),
        done = &mut others => assert_eq!(done.unwrap(), 2),
    }
    for (superuser, end) in erasing.iter_mut().zip(["COMMIT", "ROLLBACK"]) {
        superuser.execute(end).await.unwrap();
    }
    assert_eq!(finishing.await.unwrap(), 3);
    assert_eq!(installation.wrapped_by(people[0].0).await, None);
    let fresh = installation.process(NEW).await;
    assert_readable(&fresh, &people[1..]).await;
    assert_eq!(keys(&fresh, &BTreeSet::from([people[0].0])).await.unwrap(), []);
}

#[tokio::test]
async fn erasures_and_a_rotation_at_once_end_with_both() {
    let installation = Installation::new().await;
    let operator = installation.process(NEW).await;
    let people = people(&operator, 1_500).await;
    let (erased, kept): (Vec<_>, Vec<_>) = people.iter().enumerate().partition(|(index, _)| index % 3 == 0);
    let erasing = async {
        let mut superuser = installation.superuser().await;
        for (_, (subject, _)) in &erased {
            let erase = "UPDATE subject_keys SET wrapped_by = '', wrapped = NULL WHERE subject_id = $1";
            sqlx::query(erase).bind(subject).execute(&mut superuser).await.unwrap();
        }
    };
    let rotation = Rotation::begin(&operator).await.unwrap();
    let (finished, ()) = tokio::join!(rotation.finish(|_| {}), erasing);
    finished.unwrap();
    let fresh = installation.process(NEW).await;
    assert_readable(&fresh, &kept.into_iter().map(|(_, person)| *person).collect::<Vec<_>>()).await;
    let erased: BTreeSet<Uuid> = erased.into_iter().map(|(_, (subject, _))| *subject).collect();
    assert_eq!(keys(&fresh, &erased).await.unwrap(), []);
}

#[tokio::test]
async fn two_rotations_at_once_end_with_one_key() {
    let installation = Installation::new().await;
    let operators = [installation.process(NEW).await, installation.process(NEW).await];
    let people = people(&operators[0], 1_200).await;
    let rotate = async |database| Rotation::begin(database).await.unwrap().finish(|_| {}).await.unwrap();
    let (one, other) = tokio::join!(rotate(&operators[0]), rotate(&operators[1]));
    assert_eq!(one + other, 1_200, "no key is wrapped twice");
    assert_readable(&installation.process(NEW).await, &people).await;

    // To different keys: the later one wins, and the earlier one says so.
    let lists = [format!("{OTHER},{NEW}"), format!("{SECRET},{OTHER},{NEW}")];
    let (third, fourth) = (installation.process(&lists[0]).await, installation.process(&lists[1]).await);
    let overtaken = Rotation::begin(&third).await.unwrap();
    let later = Rotation::begin(&fourth).await.unwrap();
    assert!(matches!(
        overtaken.finish(|_| {}).await,
        Err(RotationError::Overtaken { to, by }) if to == name(OTHER) && by == name(SECRET)
    ));
    later.finish(|_| {}).await.unwrap();
    assert_readable(&installation.process("").await, &people).await;
}

#[tokio::test]
async fn a_key_that_can_t_be_unwrapped_holds_up_no_other() {
    let installation = Installation::new().await;
    let operator = installation.process(NEW).await;
    let people = people(&operator, 3).await;
    let spoil = "UPDATE subject_keys SET wrapped_by = 'lost' WHERE subject_id = $1";
    sqlx::query(spoil).bind(people[0].0).execute(&mut installation.superuser().await).await.unwrap();
    let rotation = Rotation::begin(&operator).await.unwrap();
    let Err(RotationError::Left { count: 1, source, .. }) = rotation.finish(|_| {}).await else { panic!() };
    assert_names(Err::<(), _>(source), "lost");
    assert_eq!(installation.wrapped_by(people[0].0).await, Some("lost".to_owned()));
    assert_readable(&installation.process(NEW).await, &people[1..]).await;
    assert_names(keys(&installation.process(NEW).await, &BTreeSet::from([people[0].0])).await, "lost");
}
