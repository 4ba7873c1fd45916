//! What the notary promises, against a real PostgreSQL.
#![cfg(feature = "test-support")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use application::error::Error;
use chrono::Utc;
use domain::{ctx::Ctx, ids::TenantId};
use infrastructure::{
    growth::Growth,
    notary::{
        Notary, NotaryKey, Visit,
        edge::Edge,
        proofs,
        signed::{self, Signed},
    },
    tenant_tx::TenantTx,
};
use proptest::prelude::*;
use tlog_tiles::{Hash, check_record, check_tree};

use self::fixture::Fixture;

impl Fixture {
    fn notary(&self) -> Notary {
        Notary::new(self.database.clone(), key())
    }

    /// Lets a journal grow, the quick way: the notary looks at nothing but leaf hashes.
    async fn grow(&self, tenant: TenantId, by: u64) {
        sqlx::query(
            "WITH head AS (
                 INSERT INTO journal_heads (tenant_id, position, recorded_at) VALUES ($1, $2, now())
                 ON CONFLICT (tenant_id) DO UPDATE SET position = journal_heads.position + $2
                 RETURNING position - $2 AS before
             )
             INSERT INTO events (tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type,
                                 event_version, payload, metadata, leaf_hash)
             SELECT $1, before + n, gen_random_uuid(), 1, now(), 'x', 'X', 1, '{}', '{}',
                    sha256(uuid_send($1) || int8send(before + n))
             FROM head, generate_series(1, $2) AS n",
        )
        .bind(tenant.uuid())
        .bind(by as i64)
        .execute(&mut self.superuser().await)
        .await
        .unwrap();
    }

    async fn leaves(&self, tenant: TenantId) -> Vec<[u8; 32]> {
        let leaves: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT leaf_hash FROM events WHERE tenant_id = $1 ORDER BY position")
                .bind(tenant.uuid())
                .fetch_all(&mut self.superuser().await)
                .await
                .unwrap();
        leaves.into_iter().map(|leaf| leaf.try_into().unwrap()).collect()
    }

    /// Waits until as much of a journal is signed.
    async fn signed(&self, tenant: TenantId, size: u64) {
        let deadline = Instant::now() + Duration::from_secs(50);
        while self.newest(tenant).await.is_none_or(|tree| tree.size < size) {
            assert!(Instant::now() < deadline, "{size} are not signed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn newest(&self, tenant: TenantId) -> Option<Signed> {
        signed::newest(&mut TenantTx::begin(&self.database, tenant).await.unwrap()).await.unwrap()
    }
}

fn key() -> NotaryKey {
    NotaryKey::of_seed([7; 32])
}

/// The root of the tree over the first leaves, for every number of them.
fn roots(leaves: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let mut edge = Edge::default();
    let mut roots = vec![edge.root()];
    for leaf in leaves {
        edge.push(*leaf);
        roots.push(edge.root());
    }
    roots
}

/// The root that a checkpoint signs.
fn signed_root(tree: &Signed) -> [u8; 32] {
    let opened = key().public().open(&tree.checkpoint).unwrap();
    assert_eq!(opened.size, tree.size);
    opened.root
}

fn hashes(proof: &[[u8; 32]]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(*hash)).collect()
}

#[test]
fn proofs_hold_for_trees_of_all_sizes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(Fixture::new());
    let growths = prop_oneof![Just(1_u64), 1..9_u64, 250..260_u64, 1..1_500_u64];
    let growths = prop::collection::vec(growths, 1..4);
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 6);
    proptest!(ProptestConfig::with_cases(16), |(growths in growths, picks in picks, batch in 1_u32..600)| {
        runtime.block_on(async {
            let tenant = TenantId::random();
            let ctx = Ctx::system(tenant, Utc::now());
            for by in &growths {
                fixture.grow(tenant, *by).await;
                fixture.notary().with_batch(batch.max((*by / 20) as u32)).catch_up(tenant).await.unwrap();
            }
            let leaves = fixture.leaves(tenant).await;
            let (roots, size) = (roots(&leaves), leaves.len() as u64);
            let tree = fixture.newest(tenant).await.unwrap();
            assert_eq!((tree.size, signed_root(&tree)), (size, roots[leaves.len()]));
            for pick in &picks {
                let at = pick.index(leaves.len());
                let proof = proofs::inclusion(&ctx, &fixture.database, at as u64 + 1).await.unwrap();
                assert_eq!((proof.leaf_index, proof.leaf_hash), (at as u64, leaves[at]));
                let path = hashes(&proof.hashes);
                let (root, leaf) = (Hash(signed_root(&proof.tree)), Hash(leaves[at]));
                check_record(&path, size, root, at as u64, leaf).unwrap();
                assert!(path.len() <= 64 - (size - 1).leading_zeros() as usize, "the path is as short as it can be");
                let (from, to) = (at as u64 + 1, picks[0].index(leaves.len()) as u64 + 1);
                let (from, to) = (from.min(to), from.max(to));
                let proof = proofs::consistency(&ctx, &fixture.database, from, Some(to)).await.unwrap();
                let (earlier, later) = (Hash(roots[from as usize]), Hash(roots[to as usize]));
                check_tree(&hashes(&proof.hashes), to, later, from, earlier).unwrap();
            }
            check_tiles(&fixture, &ctx, &leaves).await;
        });
    });
}

/// Every tile that the tree has, and none that it has not.
async fn check_tiles(fixture: &Fixture, ctx: &Ctx, leaves: &[[u8; 32]]) {
    let mut level = leaves.to_vec();
    for name in ["0", "1", "2"] {
        for (index, hashes) in level.chunks(256).enumerate() {
            let partial = if hashes.len() < 256 { format!(".p/{}", hashes.len()) } else { String::new() };
            let path = format!("{index:03}{partial}");
            let tile = proofs::tile(ctx, &fixture.database, name, &path).await.unwrap();
            assert_eq!(tile, hashes.concat(), "tile/{name}/{path}");
            let first = proofs::tile(ctx, &fixture.database, name, &format!("{index:03}.p/1")).await.unwrap();
            assert_eq!(first, hashes[0]);
        }
        let (full, rest) = (level.len() / 256, level.len() % 256);
        let more = format!("{full:03}.p/{}", rest + 1);
        assert!(rest == 255 || proofs::tile(ctx, &fixture.database, name, &more).await.is_err());
        assert!(proofs::tile(ctx, &fixture.database, name, &format!("{full:03}")).await.is_err());
        level = level.chunks_exact(256).map(|tile| *roots(tile).last().unwrap()).collect();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notaries_that_work_at_once_and_are_killed_sign_one_tree() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::random();
    let mut seen: BTreeMap<u64, [u8; 32]> = BTreeMap::new();
    let notary = |batch| {
        let notary = fixture.notary().with_batch(batch);
        tokio::spawn(async move {
            loop {
                match notary.visit(tenant).await {
                    // The machine is too busy to give a connection in time, which is not what this is about.
                    Ok(_) | Err(Error::Unavailable(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let lasting = [notary(5), notary(64)];
    for round in 0..60_u64 {
        // This one is killed wherever it happens to be.
        let mortal = notary(13);
        fixture.grow(tenant, round % 23 + 1).await;
        mortal.abort();
        if let Some(tree) = fixture.newest(tenant).await {
            let root = signed_root(&tree);
            assert_eq!(*seen.entry(tree.size).or_insert(root), root);
        }
    }
    for notary in lasting {
        assert!(!notary.is_finished(), "a notary has failed because of the others");
        notary.abort();
    }
    fixture.notary().catch_up(tenant).await.unwrap();
    let leaves = fixture.leaves(tenant).await;
    let roots = roots(&leaves);
    assert!(seen.len() > 20, "{} checkpoints were seen", seen.len());
    for (size, root) in seen {
        assert_eq!(root, roots[size as usize], "the checkpoint of {size} events");
    }
    let tree = fixture.newest(tenant).await.unwrap();
    assert_eq!((tree.size as usize, signed_root(&tree)), (leaves.len(), *roots.last().unwrap()));
    check_tiles(&fixture, &Ctx::system(tenant, Utc::now()), &leaves).await;
}

#[tokio::test]
async fn what_was_changed_behind_its_back_is_not_signed_again() {
    let fixture = Fixture::new().await;
    let changes = [
        "UPDATE journal_trees SET edge = sha256(edge) || substr(edge, 33)",
        "UPDATE journal_trees SET edge = substr(edge, 33)",
        "UPDATE journal_trees SET size = 3",
        "UPDATE journal_trees SET checkpoint = replace(checkpoint, E'\\n10\\n', E'\\n9\\n')",
        "UPDATE journal_trees SET checkpoint = 'x'",
        "ALTER TABLE events DISABLE TRIGGER immutable; DELETE FROM events WHERE position = 11;
         ALTER TABLE events ENABLE ALWAYS TRIGGER immutable",
        // With its tiles in place, it can't begin anew either.
        "DELETE FROM journal_trees",
    ];
    for change in changes {
        let tenant = TenantId::random();
        fixture.grow(tenant, 10).await;
        fixture.notary().catch_up(tenant).await.unwrap();
        fixture.grow(tenant, 5).await;
        fixture.execute(change).await;
        let before = fixture.newest(tenant).await;
        assert!(fixture.notary().visit(tenant).await.is_err(), "{change}");
        assert_eq!(fixture.newest(tenant).await, before, "{change}");
        fixture.execute("DELETE FROM journal_trees").await;
    }
}

#[tokio::test]
async fn a_new_key_goes_on_where_the_old_one_was() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::random();
    fixture.grow(tenant, 300).await;
    fixture.notary().catch_up(tenant).await.unwrap();
    fixture.grow(tenant, 7).await;
    let other = NotaryKey::of_seed([8; 32]);
    Notary::new(fixture.database.clone(), other.clone()).catch_up(tenant).await.unwrap();
    let tree = fixture.newest(tenant).await.unwrap();
    let opened = other.public().open(&tree.checkpoint).unwrap();
    assert_eq!((opened.size, Some(&opened.root)), (307, roots(&fixture.leaves(tenant).await).last()));
}

#[tokio::test]
async fn of_each_hour_the_last_checkpoint_is_kept() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::random();
    let kept = async || {
        let mut tx = TenantTx::begin(&fixture.database, tenant).await.unwrap();
        let kept = signed::kept(&mut tx, 0, 1_000).await.unwrap();
        kept.into_iter()
            .map(|(size, note)| (size, key().public().open(&note).unwrap().size))
            .collect::<Vec<_>>()
    };
    let sign = async |by| {
        fixture.grow(tenant, by).await;
        assert_eq!(fixture.notary().visit(tenant).await.unwrap(), Visit::Done);
    };
    sign(3).await;
    // Moved away from the hour's edge, which the test might run across.
    fixture.execute("UPDATE journal_trees SET signed_at = signed_at - interval '2 hours'").await;
    sign(4).await;
    assert_eq!(kept().await, [(3, 3)]);
    fixture.execute("UPDATE journal_trees SET signed_at = now() + interval '2 hours'").await;
    sign(5).await;
    assert_eq!(kept().await, [(3, 3)]);
}

#[tokio::test]
async fn a_journal_that_grows_is_signed_with_and_without_a_hint() {
    let fixture = Fixture::new().await;
    let growth = Growth::default();
    let (hinted, unhinted) = (TenantId::random(), TenantId::random());
    let running = tokio::spawn(fixture.notary().with_batch(50).run(growth.branch()));
    for size in [120, 240] {
        fixture.grow(hinted, 120).await;
        fixture.grow(unhinted, 120).await;
        growth.grew(hinted);
        fixture.signed(hinted, size).await;
        fixture.signed(unhinted, size).await;
    }
    running.abort();
}

#[tokio::test]
async fn journals_that_cant_be_signed_hold_up_no_other() {
    let fixture = Fixture::new().await;
    let [damaged, without_tree, sound, new] = [(); 4].map(|()| TenantId::random());
    for tenant in [damaged, without_tree, sound] {
        fixture.grow(tenant, 10).await;
        fixture.notary().catch_up(tenant).await.unwrap();
    }
    let change = |what: &str, tenant: TenantId| format!("{what} WHERE tenant_id = '{}'", tenant.uuid());
    fixture
        .execute(&change("UPDATE journal_trees SET edge = sha256(edge) || substr(edge, 33)", damaged))
        .await;
    // Its tiles are refused by the database, which ends the transaction for all.
    fixture.execute(&change("DELETE FROM journal_trees", without_tree)).await;
    let growth = Growth::default();
    for tenant in [damaged, without_tree, sound, new] {
        fixture.grow(tenant, 5).await;
        growth.grew(tenant);
    }
    let running = tokio::spawn(fixture.notary().run(growth));
    fixture.signed(sound, 15).await;
    fixture.signed(new, 5).await;
    assert_eq!(fixture.newest(damaged).await.unwrap().size, 10);
    assert_eq!(fixture.newest(without_tree).await, None);
    running.abort();
}
