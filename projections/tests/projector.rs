//! What the projector and a rebuild promise each other, against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use application::{
    error::Error,
    journal::{Command, Journal},
    work::Work,
};
use async_trait::async_trait;
use chrono::Utc;
use domain::{
    ctx::Ctx,
    ids::{TenantId, WorkspaceId},
    recorded_event::RecordedEvent,
    workspaces::{Workspace, WorkspaceCommand, WorkspaceCreated},
};
use infrastructure::{
    database::{self, Database, database_error},
    growth::Growth,
    journal::PgJournal,
    keys::MasterKey,
    projecting_tx::ProjectingTx,
    tenant_tx::TenantTx,
    test_postgres::TestDatabase,
    vault::Vault,
};
use projections::{
    audit::Audit,
    checkpoint,
    fold::{ProjectError, Projection},
    projector::Projector,
    rebuild::rebuild,
    workspaces::Workspaces,
};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// A projection without rows that does what a test wants.
struct Probe {
    name: &'static str,
    panics: AtomicBool,
    /// A statement that it sends with each batch.
    statement: Option<&'static str>,
    /// The batches that it was given: the first and the last position of each.
    batches: Mutex<Vec<(u64, u64)>>,
    /// A tenant whose events it panics at.
    refused: Mutex<Option<TenantId>>,
    /// Told when a rebuild has locked the checkpoint.
    forgets: Notify,
    /// What the rebuild then waits for.
    may_forget: Notify,
}

impl Probe {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            panics: AtomicBool::new(false),
            statement: None,
            batches: Mutex::new(Vec::new()),
            refused: Mutex::new(None),
            forgets: Notify::const_new(),
            may_forget: Notify::const_new(),
        }
    }

    const fn that_sends(name: &'static str, statement: &'static str) -> Self {
        let mut probe = Self::new(name);
        probe.statement = Some(statement);
        probe
    }

    fn batches(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.batches.lock().unwrap())
    }
}

#[async_trait]
impl Projection for Probe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn concerns(&self, _: &[RecordedEvent]) -> bool {
        true
    }

    async fn project(&self, tx: &mut ProjectingTx, events: &[RecordedEvent]) -> Result<(), ProjectError> {
        assert!(!self.panics.load(Ordering::SeqCst), "{} events are too many", events.len());
        if let Some(statement) = self.statement {
            sqlx::raw_sql(statement).execute(&mut **tx).await.map_err(database_error)?;
        }
        let refused = *self.refused.lock().unwrap();
        assert!(events.iter().all(|event| Some(event.tenant_id) != refused), "it is refused");
        let (first, last) = (events.first().unwrap(), events.last().unwrap());
        self.batches.lock().unwrap().push((first.position, last.position));
        Ok(())
    }

    fn is_rebuildable(&self) -> bool {
        true
    }

    async fn forget(&self, tx: &mut ProjectingTx, _: TenantId) -> Result<(), Error> {
        let limits = "SELECT current_setting('statement_timeout') || ' '
                          || current_setting('idle_in_transaction_session_timeout')";
        let limits: String =
            sqlx::query_scalar(limits).fetch_one(&mut **tx).await.map_err(Error::internal)?;
        assert_eq!(limits, "0 0");
        self.forgets.notify_one();
        self.may_forget.notified().await;
        Ok(())
    }
}

// A projector wants them to live for ever. Tests that share a process share them, so no two change the same one.
static REBUILT: Probe = Probe::new("rebuilt");
static PANICKING: Probe = Probe::new("panicking");
static OTHER: Probe = Probe::new("other");

static REBUILT_AND_OTHER: [&dyn Projection; 2] = [&REBUILT, &OTHER];
static PANICKING_AND_OTHER: [&dyn Projection; 2] = [&PANICKING, &OTHER];
static BROKEN: Probe = Probe::that_sends("broken", "SELECT 1 / 0");
static SLOW: Probe = Probe::that_sends("slow", "SET LOCAL statement_timeout = 50; SELECT pg_sleep(10)");
static BROKEN_AND_SLOW_AND_OTHERS: [&dyn Projection; 4] = [&Workspaces, &BROKEN, &SLOW, &OTHER];
static LAGGING: Probe = Probe::new("lagging");
static LEADING: Probe = Probe::new("leading");
static LEADING_ALONE: [&dyn Projection; 1] = [&LEADING];
static LAGGING_AND_LEADING: [&dyn Projection; 2] = [&LAGGING, &LEADING];
static LOCKED: Probe = Probe::new("locked");
static LOCKED_AND_WORKSPACES: [&dyn Projection; 2] = [&LOCKED, &Workspaces];

static PICKY: Probe = Probe::new("picky");
static PICKY_AND_WORKSPACES: [&dyn Projection; 2] = [&PICKY, &Workspaces];
static CALM: Probe = Probe::new("calm");
static WAITED_FOR: [&dyn Projection; 1] = [&Workspaces];
static CALM_AND_WORKSPACES: [&dyn Projection; 2] = [&CALM, &Workspaces];
static BUSY: [&dyn Projection; 3] = [&Workspaces, &CALM, &Audit];

static OTHER_ALONE: [&dyn Projection; 1] = [&OTHER];

struct Fixture {
    test_database: TestDatabase,
    database: Database,
    growth: Growth,
    journal: PgJournal,
    tenant: TenantId,
}

impl Fixture {
    async fn new() -> Self {
        let migrate = async |options| database::migrate(&options).await;
        let test_database = TestDatabase::from_template(database::schema_version(), migrate).await;
        let database =
            Database::connect(test_database.connect_options(), 8, Vault::new(&MasterKey::random()))
                .await
                .unwrap();
        let growth = Growth::default();
        let journal = PgJournal::new(database.clone(), growth.clone());
        Self { test_database, database, growth, journal, tenant: TenantId::random() }
    }

    fn projector(&self, projections: &'static [&'static dyn Projection]) -> Arc<Projector> {
        Projector::new(self.database.clone(), projections, self.growth.clone())
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect_with(&self.test_database.connect_options()).await.unwrap()
    }

    /// Appends an event and returns its position.
    async fn append(&self) -> u64 {
        self.append_many(1).await
    }

    /// Appends so many events in one commit and returns the last one's position.
    async fn append_many(&self, count: usize) -> u64 {
        self.append_to(self.tenant, count).await
    }

    async fn append_to(&self, tenant: TenantId, count: usize) -> u64 {
        let ids: Arc<[Uuid]> = (0..count).map(|_| WorkspaceId::random().uuid()).collect();
        let begun = Arc::clone(&ids);
        let decide = move |work: &mut Work| {
            for id in begun.iter() {
                let created =
                    WorkspaceCreated { workspace_id: (*id).into(), name: "Default".parse().unwrap() };
                work.begin::<Workspace>(*id, WorkspaceCommand::Create(created))?;
            }
            Ok(())
        };
        let ctx = Ctx::system(tenant, Utc::now());
        let command = Command::new(&ctx, vec![], decide).beginning(ids);
        self.journal.transact(command).await.unwrap().recording.position()
    }

    async fn workspaces(&self) -> i64 {
        let mut tx = TenantTx::begin(&self.database, self.tenant).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM workspaces").fetch_one(&mut *tx).await.unwrap()
    }

    /// Where a projection is, and what it failed with.
    async fn checkpoint(&self, projection: &dyn Projection) -> (u64, Option<String>) {
        self.checkpoint_of(self.tenant, projection).await
    }

    async fn checkpoint_of(&self, tenant: TenantId, projection: &dyn Projection) -> (u64, Option<String>) {
        let name = projection.name();
        let mut tx = TenantTx::begin(&self.database, tenant).await.unwrap();
        let position = checkpoint::position(&mut tx, name).await.unwrap();
        let error = sqlx::query_scalar("SELECT error FROM projection_positions WHERE projection = $1")
            .bind(name)
            .fetch_optional(&mut *tx)
            .await
            .unwrap();
        (position, error.flatten())
    }

    async fn reaches(&self, projection: &Probe, position: u64) {
        let reached = async {
            while self.checkpoint(projection).await.0 != position {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(10), reached).await;
        assert!(in_time.is_ok(), "{} does not reach {position}", projection.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_being_rebuilt_holds_up_no_other_and_catches_up_afterwards() {
    let fixture = Fixture::new().await;
    let projector = fixture.projector(&REBUILT_AND_OTHER);
    fixture.append().await;
    let database = fixture.database.clone();
    // A projection that has never begun: its checkpoint is made by the rebuild.
    let rebuilding = tokio::spawn({
        let tenant = fixture.tenant;
        async move { rebuild(&database, &REBUILT, tenant, |_| {}).await }
    });
    REBUILT.forgets.notified().await;

    // It returns, instead of waiting or going round and round.
    timeout(Duration::from_secs(5), projector.catch_up(fixture.tenant)).await.unwrap().unwrap();
    assert_eq!(fixture.checkpoint(&OTHER).await, (1, None));
    let running = tokio::spawn(Arc::clone(&projector).run());
    for _ in 0..2 {
        let position = fixture.append().await;
        fixture.reaches(&OTHER, position).await;
        // Long enough for the projector to want the other one again.
        sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(fixture.checkpoint(&REBUILT).await, (0, None));

    // A rebuild that is given up has done nothing: all is left to the projector.
    rebuilding.abort();
    assert!(rebuilding.await.unwrap_err().is_cancelled());
    fixture.reaches(&REBUILT, 3).await;
    assert_eq!(fixture.checkpoint(&REBUILT).await, (3, None));
    running.abort();
}

/// The pool's limits on statements are for requests: who waits for a long rebuild has lifted them before.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_waits_for_another_one_without_a_limit() {
    let fixture = Fixture::new().await;
    fixture.append().await;
    fixture.projector(&WAITED_FOR).catch_up(fixture.tenant).await.unwrap();
    let mut another = ProjectingTx::begin(&fixture.database, vec![fixture.tenant]).await.unwrap();
    let lock = "SELECT FROM projection_checkpoints WHERE projections = '{workspaces}' FOR UPDATE";
    sqlx::query(lock).execute(&mut *another).await.unwrap();
    let (database, tenant) = (fixture.database.clone(), fixture.tenant);
    let rebuilding = tokio::spawn(async move { rebuild(&database, &Workspaces, tenant, |_| {}).await });
    let mut superuser = fixture.superuser().await;
    let waits = async {
        loop {
            let waiting = "SELECT query FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            if let Some(query) =
                sqlx::query_scalar::<_, String>(waiting).fetch_optional(&mut superuser).await.unwrap()
            {
                return query;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let query = timeout(Duration::from_secs(10), waits).await.unwrap();
    assert!(query.contains("FOR UPDATE"), "it waits before its limits are lifted: {query}");
    drop(another);
    rebuilding.await.unwrap().unwrap();
    assert_eq!(fixture.workspaces().await, 1);
}

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

/// Visits bring groups together while rebuilds take them apart: no projection is in two groups or in none, and each event is
/// taken in once.
#[tokio::test(flavor = "multi_thread")]
async fn visits_and_rebuilds_at_once_lose_no_projection_and_double_none() {
    let fixture = Fixture::new().await;
    let running: Vec<_> = (0..2).map(|_| tokio::spawn(fixture.projector(&BUSY).run())).collect();
    fixture.append().await;
    let rebuilding = async |projection: &'static dyn Projection| {
        for _ in 0..15 {
            rebuild(&fixture.database, projection, fixture.tenant, |_| {}).await.unwrap();
        }
    };
    let appending = async {
        let mut head = 0;
        for _ in 0..60 {
            head = fixture.append_many(3).await;
        }
        head
    };
    let (head, (), ()) = tokio::join!(appending, rebuilding(&Workspaces), rebuilding(&Audit));
    let reached = async {
        for projection in BUSY {
            while fixture.checkpoint(projection).await != (head, None) {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    timeout(Duration::from_secs(20), reached).await.unwrap();
    running.into_iter().for_each(|task| task.abort());
    let mut tx = TenantTx::begin(&fixture.database, fixture.tenant).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar("SELECT projection FROM projection_positions ORDER BY 1")
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert_eq!(names, ["audit", "calm", "workspaces"]);
    assert_eq!(fixture.workspaces().await, head as i64);
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(audited, head as i64);
    let seen: u64 = CALM.batches().iter().map(|(first, last)| last - first + 1).sum();
    assert_eq!(seen, head, "what is not rebuilt sees each event once");
}

/// Who takes a group apart has it as it is then: not as it was before others joined it and it went on.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_taken_apart_while_it_moves_stays_where_it_has_come() {
    let fixture = Fixture::new().await;
    for _ in 0..40 {
        let tenant = TenantId::random();
        fixture.append_to(tenant, 30).await;
        let begin = async || TenantTx::begin(&fixture.database, tenant).await.unwrap();
        let advance = async |tx: &mut TenantTx| -> Vec<String> {
            let moved = "SELECT moved FROM advance_group($1, '{a,b,c}', true, 10)";
            sqlx::query_scalar(moved).bind(tenant.uuid()).fetch_one(&mut **tx).await.unwrap()
        };
        let mut first = begin().await;
        sqlx::query("INSERT INTO projection_checkpoints VALUES ($1, '{a}', 10), ($1, '{b,c}', 10)")
            .bind(tenant.uuid())
            .execute(&mut *first)
            .await
            .unwrap();
        first.commit().await.unwrap();
        let mut first = begin().await;
        assert_eq!(advance(&mut first).await, ["a", "b", "c"]);
        let taking_apart = async {
            let mut tx = begin().await;
            let apart = sqlx::query("SELECT stand_apart($1, '{b}')").bind(tenant.uuid());
            apart.execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        };
        let going_on = async {
            loop {
                let mut tx = begin().await;
                let moved = advance(&mut tx).await;
                tx.commit().await.unwrap();
                if !moved.is_empty() {
                    return moved;
                }
            }
        };
        let committing = async {
            sleep(Duration::from_millis(5)).await;
            first.commit().await.unwrap();
        };
        let ((), moved, ()) = tokio::join!(taking_apart, going_on, committing);
        let standing: Vec<(String, i64)> = sqlx::query_as(
            "SELECT projection, position FROM projection_positions WHERE tenant_id = $1 ORDER BY 1",
        )
        .bind(tenant.uuid())
        .fetch_all(&mut *begin().await)
        .await
        .unwrap();
        let expected: Vec<(String, i64)> = ["a", "b", "c"]
            .map(|name| (name.to_owned(), if moved.iter().any(|moved| moved == name) { 30 } else { 20 }))
            .into();
        assert_eq!(standing, expected);
    }
}

#[tokio::test]
async fn a_laggard_catches_up_while_the_others_go_first_and_then_they_go_together() {
    let fixture = Fixture::new().await;
    let leading = fixture.projector(&LEADING_ALONE);
    fixture.append_many(2_300).await;
    leading.catch_up(fixture.tenant).await.unwrap();
    assert_eq!(LEADING.batches(), [(1, 1_000), (1_001, 2_000), (2_001, 2_300)]);
    fixture.append_many(1_500).await;

    // Neither waits for the other longer than a batch; when both are at the head, they share batches.
    let both = fixture.projector(&LAGGING_AND_LEADING);
    both.catch_up(fixture.tenant).await.unwrap();
    assert_eq!(LEADING.batches(), [(2_301, 3_300), (3_301, 3_800)]);
    assert_eq!(LAGGING.batches(), [(1, 1_000), (1_001, 2_000), (2_001, 3_000), (3_001, 3_800)]);
    fixture.append().await;
    both.catch_up(fixture.tenant).await.unwrap();
    assert_eq!((LEADING.batches(), LAGGING.batches()), (vec![(3_801, 3_801)], vec![(3_801, 3_801)]));
}

#[tokio::test]
async fn who_is_locked_is_left_alone_and_the_rest_go_on() {
    let fixture = Fixture::new().await;
    let projector = fixture.projector(&LOCKED_AND_WORKSPACES);
    fixture.append().await;
    projector.catch_up(fixture.tenant).await.unwrap();
    let mut elsewhere = TenantTx::begin(&fixture.database, fixture.tenant).await.unwrap();
    let apart = sqlx::query("SELECT stand_apart($1, '{locked}')").bind(fixture.tenant.uuid());
    apart.execute(&mut *elsewhere).await.unwrap();
    elsewhere.commit().await.unwrap();
    let mut elsewhere = TenantTx::begin(&fixture.database, fixture.tenant).await.unwrap();
    let lock = "SELECT FROM projection_checkpoints WHERE projections = '{locked}' FOR UPDATE";
    sqlx::query(lock).execute(&mut *elsewhere).await.unwrap();
    fixture.append().await;
    let caught_up = timeout(Duration::from_secs(5), projector.catch_up(fixture.tenant)).await;
    caught_up.expect("it waits for the lock").unwrap();
    assert_eq!(fixture.checkpoint(&LOCKED).await, (1, None));
    assert_eq!((fixture.checkpoint(&Workspaces).await, fixture.workspaces().await), ((2, None), 2));
    drop(elsewhere);
    sleep(Duration::from_millis(250)).await;
    projector.catch_up(fixture.tenant).await.unwrap();
    assert_eq!(fixture.checkpoint(&LOCKED).await, (2, None));
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
