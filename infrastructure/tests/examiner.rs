//! What an examination of a journal in a database finds, against a real PostgreSQL whose owner has changed something.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use application::{
    journal::{Command, Journal},
    work::stream,
};
use domain::{
    ids::{TenantId, WorkspaceId},
    workspaces::Workspace,
};
use infrastructure::{
    examiner::{self, Fault, Finding, Report, examine_database},
    journal::stored::read_stored,
    notary::{Checkpoint, CheckpointError, Notary, NotaryKey, signed},
    tenant_tx::TenantTx,
};

use self::fixture::{Fixture, create, ctx};

/// The tables that an examination looks at.
const TABLES: [&str; 5] =
    ["events", "journal_heads", "journal_trees", "journal_tiles", "journal_checkpoints"];
/// Of how many events an earlier checkpoint is kept.
const EARLIER: u64 = 300;
/// How many events the newest signed tree has: two hashes of level 1, and more.
const SIGNED: u64 = 700;
/// How many there are.
const EVENTS: u64 = 705;

/// A tenant's journal, most of which is signed.
struct Examined {
    fixture: Fixture,
    tenant: TenantId,
    earlier: Checkpoint,
}

impl Examined {
    async fn new() -> Self {
        let (fixture, tenant) = (Fixture::new().await, TenantId::random());
        grow(&fixture, tenant, EARLIER).await;
        sign(&fixture, tenant).await;
        let mut tx = TenantTx::begin(&fixture.database, tenant).await.unwrap();
        let earlier = signed::newest(&mut tx).await.unwrap().unwrap();
        let earlier = key().public().open(&earlier.checkpoint).unwrap();
        drop(tx);
        // Of each hour the last is kept.
        fixture.execute("UPDATE journal_trees SET signed_at = signed_at - interval '2 hours'").await;
        fixture.execute("CREATE TABLE earlier_tree AS SELECT * FROM journal_trees").await;
        grow(&fixture, tenant, SIGNED - EARLIER).await;
        sign(&fixture, tenant).await;
        grow(&fixture, tenant, EVENTS - SIGNED).await;
        for table in TABLES {
            fixture.execute(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
        }
        for table in ["events", "journal_tiles", "journal_checkpoints"] {
            fixture.execute(&format!("ALTER TABLE {table} DISABLE TRIGGER immutable")).await;
        }
        Self { fixture, tenant, earlier }
    }

    async fn examine(&self, since: Option<&Checkpoint>) -> Report {
        let key = key();
        examine_database(&self.fixture.database, key.public(), self.tenant, since, |_| {}).await.unwrap()
    }

    /// What is found after a change, which is then taken back.
    async fn tampered(&self, sql: &str) -> Option<Finding> {
        self.fixture.execute(sql).await;
        let found = self.examine(None).await.finding;
        self.restore().await;
        found
    }

    async fn restore(&self) {
        let restore = TABLES
            .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table};"));
        self.fixture.execute(&restore.concat()).await;
    }

    /// Lets each change be made, and tells of all that were not found, or found to be something else.
    async fn expect(&self, changes: &[(&str, Finding)]) {
        let mut overlooked = Vec::new();
        for (sql, expected) in changes {
            let found = self.tampered(sql).await;
            if found.as_ref() != Some(expected) {
                overlooked.push(format!("{sql}: {found:?}, and not {expected:?}"));
            }
        }
        assert!(overlooked.is_empty(), "{overlooked:#?}");
        assert_eq!(self.examine(Some(&self.earlier)).await.finding, None, "all was put back");
    }
}

fn key() -> NotaryKey {
    NotaryKey::of_seed([7; 32])
}

async fn grow(fixture: &Fixture, tenant: TenantId, by: u64) {
    let workspaces: Vec<WorkspaceId> = (0..by).map(|_| WorkspaceId::random()).collect();
    let streams = workspaces.iter().map(|id| stream::<Workspace>(*id)).collect();
    let command = Command::new(&ctx(tenant), streams, move |work| {
        workspaces.iter().try_for_each(|id| create(work, *id))
    });
    fixture.journal.transact(command).await.unwrap();
}

async fn sign(fixture: &Fixture, tenant: TenantId) {
    Notary::new(fixture.database.clone(), key()).catch_up(tenant).await.unwrap();
}

fn at(position: u64, fault: Fault) -> Finding {
    Finding::at(position, fault)
}

fn of_checkpoint(after: u64, fault: Fault) -> Finding {
    Finding::of_checkpoint(after, fault)
}

#[tokio::test]
async fn a_journal_that_nobody_has_changed_is_good() {
    let examined = Examined::new().await;
    let report = examined.examine(Some(&examined.earlier)).await;
    assert_eq!((report.finding, report.events, report.unsigned), (None, EVENTS, EVENTS - SIGNED));
}

#[tokio::test]
async fn an_event_that_is_changed_gone_or_invented_is_found_where_it_is() {
    let examined = Examined::new().await;
    let missing = |next| Fault::Missing { next };
    examined
        .expect(&[
            ("UPDATE events SET payload = '{}' WHERE position = 20", at(20, Fault::LeafHash)),
            (
                "UPDATE events SET payload = (payload::text || ' ')::json WHERE position = 20",
                at(20, Fault::LeafHash),
            ),
            (
                "UPDATE events SET recorded_at = recorded_at - interval '1 day' WHERE position = 257",
                at(257, Fault::LeafHash),
            ),
            ("UPDATE events SET event_type = 'Other' WHERE position = 1", at(1, Fault::LeafHash)),
            ("DELETE FROM events WHERE position = 30", at(30, missing(Some(31)))),
            ("DELETE FROM events WHERE position > 600", at(601, missing(None))),
            ("DELETE FROM events WHERE position > 703", at(704, missing(None))),
            (
                "INSERT INTO events SELECT tenant_id, 706, gen_random_uuid(), 1, recorded_at, stream_kind, event_type,
                        event_version, payload, metadata, leaf_hash FROM events WHERE position = 705",
                at(706, Fault::BeyondHead),
            ),
        ])
        .await;
}

/// As an attacker would who knows the format.
#[tokio::test]
async fn an_event_whose_leaf_hash_is_forged_too_is_found() {
    let examined = Examined::new().await;
    for position in [3, 256, EARLIER] {
        let mut tx = TenantTx::begin(&examined.fixture.database, examined.tenant).await.unwrap();
        let mut event = read_stored(&mut tx, position - 1, position, 1).await.unwrap().remove(0);
        drop(tx);
        event.payload = r#"{"forged":true}"#.to_owned();
        let hash: String = event.computed_leaf_hash().iter().map(|byte| format!("{byte:02x}")).collect();
        let forgery = format!(
            "UPDATE events SET payload = '{{\"forged\":true}}', leaf_hash = '\\x{hash}' WHERE position = {position}"
        );
        assert_eq!(examined.tampered(&forgery).await, Some(at(position, Fault::Signed)));
        // And the notary's copy too: then only the root tells.
        let place = position - 1;
        let copy = format!(
            "{forgery}; UPDATE journal_tiles SET hashes = overlay(hashes PLACING '\\x{hash}'::bytea
                 FROM (32 * ({place} % 256 - start) + 1)::int FOR 32)
             WHERE level = 0 AND tile = {place} / 256 AND start <= {place} % 256
               AND {place} % 256 < start + octet_length(hashes) / 32"
        );
        assert_eq!(examined.tampered(&copy).await, Some(at(1, Fault::Root { upto: EARLIER })));
    }
    assert_eq!(examined.examine(Some(&examined.earlier)).await.finding, None, "all was put back");
}

#[tokio::test]
async fn tiles_of_every_level_are_examined() {
    let examined = Examined::new().await;
    let count = |level, found, expected| of_checkpoint(SIGNED, Fault::TileCount { level, found, expected });
    examined
        .expect(&[
            ("DELETE FROM journal_tiles WHERE level = 0 AND tile = 1", at(257, Fault::Unrecorded)),
            ("DELETE FROM journal_tiles WHERE level = 0 AND start = 44", at(301, Fault::Unrecorded)),
            ("DELETE FROM journal_tiles WHERE level = 1", at(256, Fault::TileGone { level: 1 })),
            (
                "DELETE FROM journal_tiles WHERE level = 1 AND start = 1",
                at(512, Fault::TileGone { level: 1 }),
            ),
            (
                "UPDATE journal_tiles SET hashes = sha256(hashes) WHERE level = 1 AND start = 0",
                at(256, Fault::Tile { level: 1 }),
            ),
            (
                "UPDATE journal_tiles SET hashes = sha256(hashes) WHERE level = 1 AND start = 1",
                at(512, Fault::Tile { level: 1 }),
            ),
            (
                "INSERT INTO journal_tiles SELECT tenant_id, 1, 0, 2, sha256(hashes) FROM journal_tiles
                 WHERE level = 1 AND start = 0",
                count(1, 3, 2),
            ),
            (
                "INSERT INTO journal_tiles SELECT tenant_id, 2, 0, 0, hashes FROM journal_tiles
                 WHERE level = 1 AND start = 0",
                count(2, 1, 0),
            ),
            // Among the others, where nobody reads it.
            (
                "INSERT INTO journal_tiles SELECT tenant_id, 0, 0, 5, sha256(hashes) FROM journal_tiles
                 WHERE level = 1 AND start = 0",
                count(0, SIGNED + 1, SIGNED),
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_tree_with_a_third_level_of_tiles_is_examined_to_its_top() {
    let (fixture, tenant) = (Fixture::new().await, TenantId::random());
    for _ in 0..11 {
        grow(&fixture, tenant, 6_000).await;
    }
    sign(&fixture, tenant).await;
    let key = key();
    let examine = async || {
        let report = examine_database(&fixture.database, key.public(), tenant, None, |_| {}).await.unwrap();
        (report.events, report.finding)
    };
    assert_eq!(examine().await, (66_000, None));
    fixture.execute("ALTER TABLE journal_tiles DISABLE TRIGGER immutable").await;
    fixture.execute("UPDATE journal_tiles SET hashes = sha256(hashes) WHERE level = 2").await;
    assert_eq!(examine().await.1, Some(at(65_536, Fault::Tile { level: 2 })));
    fixture.execute("DELETE FROM journal_tiles WHERE level = 2").await;
    assert_eq!(examine().await.1, Some(at(65_536, Fault::TileGone { level: 2 })));
}

#[tokio::test]
async fn the_newest_tree_is_examined_with_what_lies_beside_it() {
    let examined = Examined::new().await;
    let rolled_back = |covered, once| at(covered + 1, Fault::RolledBack { covered, once });
    let back = "DELETE FROM journal_trees; INSERT INTO journal_trees SELECT * FROM earlier_tree";
    examined
        .expect(&[
            (
                "UPDATE journal_trees SET edge = sha256(edge) || substr(edge, 33)",
                of_checkpoint(SIGNED, Fault::Edge),
            ),
            ("UPDATE journal_trees SET edge = substr(edge, 33)", of_checkpoint(SIGNED, Fault::Edge)),
            ("UPDATE journal_trees SET size = 100", of_checkpoint(100, Fault::CheckpointOf { size: SIGNED })),
            (
                "UPDATE journal_trees SET checkpoint = replace(checkpoint, E'\\n700\\n', E'\\n699\\n')",
                of_checkpoint(SIGNED, Fault::Checkpoint(CheckpointError::Signature)),
            ),
            ("DELETE FROM journal_trees", rolled_back(0, SIGNED)),
            (back, rolled_back(EARLIER, SIGNED)),
            // With the tiles: the earlier checkpoint knows.
            (
                "DELETE FROM journal_trees; DELETE FROM journal_tiles",
                rolled_back(0, EARLIER),
            ),
            (
                "DELETE FROM journal_trees; DELETE FROM journal_tiles WHERE level = 0; DELETE FROM journal_checkpoints",
                of_checkpoint(0, Fault::TileCount { level: 1, found: 2, expected: 0 }),
            ),
        ])
        .await;
}

#[tokio::test]
async fn earlier_checkpoints_are_examined_whoever_has_signed_them() {
    let examined = Examined::new().await;
    let earlier = |fault| of_checkpoint(EARLIER, fault);
    let name = key().public().name().to_owned();
    // Signed with another key, as far as one can see, and about the same tree: it may have been the installation's.
    let renamed =
        format!("UPDATE journal_checkpoints SET checkpoint = replace(checkpoint, '{name}', 'annals-0')");
    assert_eq!(examined.tampered(&renamed).await, None);
    let renamed_and = |from: &str, to: &str| {
        format!("{renamed}; UPDATE journal_checkpoints SET checkpoint = replace(checkpoint, {from}, {to})")
    };
    let tenant = examined.tenant.to_string();
    let (resized, of_other_tenant, of_other_tree) = (
        renamed_and("E'\\n300\\n'", "E'\\n299\\n'"),
        renamed_and(&format!("'{tenant}'"), &format!("'{}'", TenantId::random())),
        renamed_and("split_part(checkpoint, E'\\n', 3)", "encode(sha256('x'), 'base64')"),
    );
    examined
        .expect(&[
            (
                "UPDATE journal_checkpoints SET checkpoint = 'x'",
                earlier(Fault::Checkpoint(CheckpointError::Malformed)),
            ),
            (
                "UPDATE journal_checkpoints SET checkpoint = replace(checkpoint, E'\\n300\\n', E'\\n299\\n')",
                earlier(Fault::Checkpoint(CheckpointError::Signature)),
            ),
            (
                "UPDATE journal_checkpoints SET size = 299",
                of_checkpoint(299, Fault::CheckpointOf { size: EARLIER }),
            ),
            (
                "UPDATE journal_checkpoints SET checkpoint = (SELECT checkpoint FROM journal_trees)",
                earlier(Fault::CheckpointOf { size: SIGNED }),
            ),
            (
                "UPDATE journal_checkpoints SET size = 703",
                at(SIGNED + 1, Fault::RolledBack { covered: SIGNED, once: 703 }),
            ),
            (&resized, earlier(Fault::OtherTree)),
            (&of_other_tenant, earlier(Fault::OtherTree)),
            (&of_other_tree, earlier(Fault::OtherTree)),
        ])
        .await;
}

#[tokio::test]
async fn the_journals_end_is_examined() {
    let examined = Examined::new().await;
    let recorded_at = {
        let mut tx = TenantTx::begin(&examined.fixture.database, examined.tenant).await.unwrap();
        read_stored(&mut tx, EVENTS - 1, EVENTS, 1).await.unwrap()[0].recorded_at
    };
    let hour = chrono::TimeDelta::hours(1);
    let head_time = |found| at(EVENTS, Fault::HeadTime { found });
    examined
        .expect(&[
            (
                "UPDATE journal_heads SET recorded_at = recorded_at - interval '1 hour'",
                head_time(recorded_at - hour),
            ),
            (
                "UPDATE journal_heads SET recorded_at = recorded_at + interval '1 hour'",
                head_time(recorded_at + hour),
            ),
            ("UPDATE journal_heads SET position = 710", at(706, Fault::Missing { next: None })),
            ("UPDATE journal_heads SET position = 704", at(705, Fault::BeyondHead)),
            ("UPDATE journal_heads SET position = 100", at(101, Fault::BeyondHead)),
            ("DELETE FROM journal_heads", at(1, Fault::BeyondHead)),
        ])
        .await;
}

#[tokio::test]
async fn a_journal_without_head_and_tree_is_among_those_to_be_examined() {
    let examined = Examined::new().await;
    let insert = format!(
        "INSERT INTO projection_checkpoints (tenant_id, projections, position) VALUES ('{}', '{{audit}}', 5);
         DELETE FROM journal_heads; DELETE FROM journal_trees",
        examined.tenant.uuid()
    );
    examined.fixture.execute(&insert).await;
    let journals = examiner::journals(&examined.fixture.database, None).await.unwrap();
    assert_eq!(journals.iter().map(|journal| journal.tenant).collect::<Vec<_>>(), [examined.tenant]);
    assert_eq!(examined.examine(None).await.finding.unwrap().place, examiner::Place::Position(1));
}
