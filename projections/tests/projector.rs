//! What the projector and a rebuild promise each other, against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use application::{
    error::Error,
    journal::{Answer, Command, Journal},
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
    database::{self, Database},
    growth::Growth,
    journal::PgJournal,
    keys::MasterKey,
    tenant_tx::TenantTx,
    test_postgres::TestDatabase,
    vault::Vault,
};
use projections::{
    checkpoint,
    fold::{ProjectError, Projection},
    projector::Projector,
    rebuild::rebuild,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

/// A projection without rows that does what a test wants.
struct Probe {
    name: &'static str,
    panics: AtomicBool,
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
            forgets: Notify::const_new(),
            may_forget: Notify::const_new(),
        }
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

    async fn project(&self, _: &mut TenantTx, events: &[RecordedEvent]) -> Result<(), ProjectError> {
        assert!(!self.panics.load(Ordering::SeqCst), "{} events are too many", events.len());
        Ok(())
    }

    fn is_rebuildable(&self) -> bool {
        true
    }

    async fn forget(&self, tx: &mut TenantTx) -> Result<(), Error> {
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
static OTHER_ALONE: [&dyn Projection; 1] = [&OTHER];

struct Fixture {
    _test_database: TestDatabase,
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
            Database::connect(test_database.connect_options(), 8, Vault::new(&MasterKey::random(), None))
                .await
                .unwrap();
        let growth = Growth::default();
        let journal = PgJournal::new(database.clone(), growth.clone());
        Self { _test_database: test_database, database, growth, journal, tenant: TenantId::random() }
    }

    fn projector(&self, projections: &'static [&'static dyn Projection]) -> Arc<Projector> {
        Projector::new(self.database.clone(), projections, self.growth.clone())
    }

    /// Appends an event and returns its position.
    async fn append(&self) -> u64 {
        let workspace_id = WorkspaceId::random();
        let decide = move |work: &mut Work| {
            let created = WorkspaceCreated { workspace_id, name: "Default".parse().unwrap() };
            work.begin::<Workspace>(workspace_id, WorkspaceCommand::Create(created))
                .map(|()| Box::new(()) as Answer)
        };
        let ctx = Ctx::system(self.tenant, Utc::now());
        let firsts = Arc::from([workspace_id.uuid()]);
        let command = Command { ctx, streams: vec![], firsts, decide: Arc::new(decide) };
        self.journal.transact(command).await.unwrap().recording.position()
    }

    /// Where a projection is, and what it failed with.
    async fn checkpoint(&self, projection: &Probe) -> (u64, Option<String>) {
        let mut tx = TenantTx::begin(&self.database, self.tenant).await.unwrap();
        let position = checkpoint::position(&mut tx, projection.name).await.unwrap();
        let error = sqlx::query_scalar("SELECT error FROM projection_checkpoints WHERE projection = $1")
            .bind(projection.name)
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
