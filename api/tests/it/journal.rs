//! Journals that prove what they are: checkpoints, proofs, exports, and what was changed in those.

use domain::ids::TenantId;
use infrastructure::{
    examiner::{Fault, Finding, Place, Report, examine_export},
    export::EventLine,
    journal::stored::StoredEvent,
    notary::{Checkpoint, PublicKey, edge::Edge},
};
use serde_json::{Value, json};
use tlog_tiles::{Hash, check_record, check_tree};

use crate::{
    actors::{Owner, event},
    app::TestApp,
};

/// A tenant with some hundred events, the last of which has this position.
async fn grown(app: &TestApp) -> (Owner, u64) {
    let owner = app.owner().await;
    let key = owner.key().await;
    let mut position = 0;
    for batch in 0..3 {
        let events: Vec<_> = (0..100).map(|index| event(&format!("m{batch}-{index}"))).collect();
        position = key.batch(&events).await.ok().position();
    }
    assert!(position > 300);
    (owner, position)
}

async fn public_key(app: &TestApp) -> PublicKey {
    PublicKey::parse(&app.anonymous.get("/.well-known/annals-journal-key").await.ok().text).unwrap()
}

async fn export(owner: &Owner, position: u64) -> Vec<String> {
    let answer = owner.get(&owner.path(&format!("/journal/export?min_position={position}"))).await.ok();
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    answer.text.lines().map(str::to_owned).collect()
}

fn examine(lines: &[String], key: &PublicKey, since: Option<&Checkpoint>) -> Report {
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    examine_export(text.as_bytes(), key, since, |_| {}).unwrap()
}

/// Where an export that was changed is found to be wrong.
#[track_caller]
fn wrong(lines: &[String], key: &PublicKey) -> Finding {
    examine(lines, key, None).finding.expect("something is wrong")
}

fn hash(text: &Value) -> Hash {
    let text = text.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    assert_eq!(text.len(), 64);
    Hash(std::array::from_fn(byte))
}

fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(hash).collect()
}

#[tokio::test]
async fn the_raw_journal_is_read_in_pages_like_every_list() {
    let app = TestApp::spawn().await;
    let (owner, last) = grown(&app).await;
    let page = async |query: &str| owner.get(&owner.path(&format!("/journal{query}"))).await;
    for limit in ["501", "0", "1000", "99999999999"] {
        let refused = page(&format!("?limit={limit}")).await.problem(422, "validation_failed");
        assert_eq!(refused.faults(), ["?limit=out_of_range"], "{limit}");
    }
    assert_eq!(
        page("?after=9223372036854775808").await.problem(422, "validation_failed").faults(),
        ["?after=out_of_range"]
    );
    assert_eq!(page("").await.ok().items().len(), 50);
    assert!(page("?limit=500").await.ok().items().len() as u64 >= last);
    assert_eq!(page("?limit=500&after=9223372036854775807").await.ok().items().len(), 0);
}

#[tokio::test]
async fn what_the_server_says_is_proved_without_trusting_it() {
    let app = TestApp::spawn().await;
    let (owner, first) = grown(&app).await;
    let key = public_key(&app).await;
    let get = async |path: &str| owner.get(&owner.path(&format!("/journal{path}"))).await;
    let earlier = get(&format!("/checkpoint?min_position={first}")).await.ok();
    assert_eq!(earlier.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(earlier.header("cache-control"), Some("private, no-cache"));
    let earlier = key.open(&earlier.text).unwrap();
    assert_eq!(earlier.tenant.to_string(), owner.tenant);
    let last = owner.post(&owner.path("/workspaces"), json!({"name": "Lab"})).await.ok().position();
    let newest = key.open(&get(&format!("/checkpoint?min_position={last}")).await.ok().text).unwrap();
    assert!(newest.size >= last && earlier.size >= first && earlier.size < newest.size);

    let journal = owner.journal().await;
    for position in [1, 2, 255, 256, 257, newest.size] {
        let proof = get(&format!("/proof/{position}")).await.ok();
        let proof = proof.data();
        let leaf = hash(&proof["leaf_hash"]);
        assert_eq!(proof["leaf_hash"], journal[position as usize - 1]["leaf_hash"]);
        let tree = key.open(proof["checkpoint"].as_str().unwrap()).unwrap();
        assert_eq!(proof["tree_size"], tree.size);
        let path = hashes(&proof["hashes"]);
        check_record(&path, tree.size, Hash(tree.root), position - 1, leaf).unwrap();
        assert!(check_record(&path, tree.size, Hash(tree.root), position % tree.size, leaf).is_err());
    }
    let proof = get(&format!("/consistency?from={}&to={}", earlier.size, newest.size)).await.ok();
    let proof = hashes(&proof.data()["hashes"]);
    check_tree(&proof, newest.size, Hash(newest.root), earlier.size, Hash(earlier.root)).unwrap();
    assert!(get("/consistency?from=7").await.ok().data()["to"].as_u64() >= Some(newest.size));

    // The tiles alone give the root.
    let tile = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut edge = Edge::default();
    for (index, width) in [(0, 256), (1, newest.size - 256)] {
        let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
        let path = owner.path(&format!("/journal/tile/0/{index:03}{partial}"));
        let request = tile.get(format!("{}{path}", owner.base()));
        let answer = request.header("authorization", owner.authorization()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert_eq!(answer.headers()["cache-control"], "private, max-age=31536000, immutable");
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(bytes.len() as u64, 32 * width);
        bytes.chunks(32).for_each(|leaf| edge.push(leaf.try_into().unwrap()));
    }
    assert_eq!(edge.root(), newest.root);

    let beyond = newest.size + 1_000;
    get("/proof/0").await.problem(422, "position_out_of_range");
    get(&format!("/proof/{beyond}")).await.problem(409, "not_signed_yet");
    get("/proof/18446744073709551615").await.problem(409, "not_signed_yet");
    get("/proof/first").await.problem(404, "not_found");
    let faults = |answer: crate::client::Answer| answer.problem(422, "validation_failed").faults();
    assert_eq!(faults(get("/consistency").await), ["?from=required"]);
    assert_eq!(faults(get("/consistency?from=0").await), ["?from=out_of_range"]);
    assert_eq!(faults(get("/consistency?from=5&to=4").await), ["?to=out_of_range"]);
    get(&format!("/consistency?from={beyond}")).await.problem(409, "not_signed_yet");
    get(&format!("/consistency?from=1&to={beyond}")).await.problem(409, "not_signed_yet");
    for tile in [
        "0/000.p/0",
        "0/000.p/256",
        "0/001",
        "0/0",
        "0/x000/000",
        "8/000",
        "00/000",
        "0/000/000",
        "0/999",
        "0/",
    ] {
        get(&format!("/tile/{tile}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn without_a_notary_nothing_is_signed_and_that_is_said() {
    let app = TestApp::without_workers().await;
    let owner = app.owner().await;
    let checkpoint = owner.path("/journal/checkpoint");
    assert_eq!(owner.get(&checkpoint).await.problem(504, "read_model_behind").position(), 0);
    owner.get(&owner.path("/journal/proof/1")).await.problem(409, "not_signed_yet");
    owner.get(&owner.path("/journal/tile/0/000.p/1")).await.problem(404, "not_found");
}

#[tokio::test]
async fn whatever_is_changed_in_an_export_is_found_where_it_is() {
    let app = TestApp::spawn().await;
    let (owner, position) = grown(&app).await;
    let key = public_key(&app).await;
    let earlier = owner.get(&owner.path("/journal/checkpoint")).await.ok().text;
    let earlier = key.open(&earlier).unwrap();
    let lines = export(&owner, position).await;
    let report = examine(&lines, &key, Some(&earlier));
    assert_eq!((report.finding, report.unsigned), (None, 0));
    assert_eq!(report.tenant.unwrap().to_string(), owner.tenant);
    let size = report.events;
    assert_eq!(lines.len() as u64, size + 2);

    // Line 0 is the header, so an event's position is its line.
    let other = TenantId::random().to_string();
    type Change = fn(&Value) -> Value;
    let changes: &[(&str, Change)] = &[
        ("position", |was| json!(was.as_u64().unwrap() + 1)),
        ("position", |_| json!(0)),
        ("stream_kind", |was| json!(format!("{}s", was.as_str().unwrap()))),
        ("stream_id", |_| json!("00000000-0000-0000-0000-000000000001")),
        ("sequence", |was| json!(was.as_u64().unwrap() + 1)),
        ("type", |_| json!("Other")),
        ("version", |_| json!(2)),
        ("recorded_at", |_| json!("2020-01-01T00:00:00.000000Z")),
        ("recorded_at", |was| json!(was.as_str().unwrap().replace('Z', "+00:00"))),
        ("payload", |was| json!(format!("{} ", was.as_str().unwrap()))),
        ("metadata", |was| json!(was.as_str().unwrap().replacen('{', "{ ", 1))),
        ("leaf_hash", |_| json!("0".repeat(64))),
        ("leaf_hash", |_| json!("0")),
        ("more", |_| json!(1)),
    ];
    for at in [1, 17, 256, size as usize] {
        let place = Place::Position(at as u64);
        let changed = |field: &str, value: Value| {
            let mut event: Value = serde_json::from_str(&lines[at]).unwrap();
            event[field] = value;
            let mut lines = lines.clone();
            lines[at] = event.to_string();
            lines
        };
        let event: Value = serde_json::from_str(&lines[at]).unwrap();
        for (field, change) in changes {
            let found = wrong(&changed(field, change(&event[field])), &key).place;
            let zero = *field == "position" && change(&event[field]) == 0;
            assert_eq!(found, if zero { Place::Position(0) } else { place }, "{field} at {at}");
        }
        assert_eq!(wrong(&changed("tenant", json!(other)), &key).place, place);

        let mut dropped = lines.clone();
        dropped.remove(at);
        assert!(
            matches!(wrong(&dropped, &key), Finding { place: found, fault: Fault::Missing { .. } } if found == place)
        );
        let mut twice = lines.clone();
        twice.insert(at, lines[at].clone());
        assert_eq!(wrong(&twice, &key).place, place);
        let cut = wrong(&lines[..at], &key);
        assert_eq!(cut, Finding::at(at as u64, Fault::Missing { next: None }));
        let mut half = lines[..=at].to_vec();
        half[at] = half[at][..half[at].len() / 2].to_owned();
        assert!(
            matches!(wrong(&half, &key), Finding { place: found, fault: Fault::Malformed(_) } if found == place)
        );
        if at > 1 {
            let mut swapped = lines.clone();
            swapped.swap(at - 1, at);
            assert_eq!(wrong(&swapped, &key).place, Place::Position(at as u64 - 1));
        }
    }
    header_and_checkpoint(&lines, size, &key, &other);
    forged(&lines, size, &key, &earlier);
}

fn header_and_checkpoint(lines: &[String], size: u64, key: &PublicKey, other: &str) {
    let last = lines.len() - 1;
    let uncovered = Finding::at(1, Fault::Uncovered { covered: 0 });
    assert_eq!(wrong(&lines[..last], key), uncovered);
    let with = |at: usize, from: &str, to: &str| {
        let mut lines = lines.to_vec();
        assert!(lines[at].contains(from), "{}", lines[at]);
        lines[at] = lines[at].replacen(from, to, 1);
        lines
    };
    let announced = format!("\"events\":{size}");
    assert_eq!(wrong(&with(0, &announced, "\"events\":1"), key).place, Place::Header);
    let more = wrong(&with(0, &announced, &format!("\"events\":{}", size + 1)), key);
    assert_eq!(more.place, Place::Position(size + 1));
    assert_eq!(wrong(&with(0, "\"version\":1", "\"version\":2"), key).place, Place::Header);
    assert_eq!(wrong(&with(0, key.name(), "another"), key).place, Place::Header);
    let header: Value = serde_json::from_str(&lines[0]).unwrap();
    let of_other = wrong(&with(0, header["tenant"].as_str().unwrap(), other), key);
    assert_eq!(of_other.place, Place::Position(1));
    let resized = wrong(&with(last, &format!("\\n{size}\\n"), &format!("\\n{}\\n", size + 1)), key);
    assert_eq!(resized.place, Place::Checkpoint(size));
    assert_eq!(wrong(&[], key).place, Place::Header);
    assert_eq!(wrong(&["x".to_owned()], key).place, Place::Header);
    // A whole export under another key.
    let foreign = infrastructure::notary::NotaryKey::of_seed([1; 32]);
    assert_eq!(wrong(lines, foreign.public()).place, Place::Header);
}

/// Who changes an event and computes its leaf hash anew has still to sign.
fn forged(lines: &[String], size: u64, key: &PublicKey, earlier: &Checkpoint) {
    let forge = |at: usize, change: &dyn Fn(&mut StoredEvent)| {
        let mut event = serde_json::from_str::<EventLine>(&lines[at]).unwrap().into_event().unwrap();
        change(&mut event);
        event.leaf_hash = event.computed_leaf_hash();
        let mut lines = lines.to_vec();
        lines[at] = serde_json::to_string(&EventLine::from(event)).unwrap();
        lines
    };
    let forgery = forge(5, &|event| event.payload = r#"{"forged":true}"#.to_owned());
    assert_eq!(wrong(&forgery, key), Finding::at(1, Fault::Root { upto: size }));
    let renumbered = forge(size as usize, &|event| event.sequence += 1);
    let found = wrong(&renumbered, key);
    assert!(matches!(found.fault, Fault::Root { .. } | Fault::Sequence(_)), "{found}");
    // An earlier checkpoint tells on which side of it the forgery is.
    let found = examine(&forgery, key, Some(earlier)).finding;
    assert_eq!(found, Some(Finding::at(1, Fault::Root { upto: earlier.size })));
    if earlier.size < size {
        let forgery = forge(size as usize, &|event| event.metadata = "{}".to_owned());
        let found = examine(&forgery, key, Some(earlier)).finding;
        assert_eq!(found, Some(Finding::at(earlier.size + 1, Fault::Root { upto: size })));
    }
    // One that the journal does not continue.
    let other = Checkpoint { root: [0; 32], ..earlier.clone() };
    assert!(examine(lines, key, Some(&other)).finding.is_some());
    let later = Checkpoint { size: size + 1, ..earlier.clone() };
    let found = examine(lines, key, Some(&later)).finding;
    assert_eq!(found, Some(Finding::at(size + 1, Fault::Missing { next: None })));
}
