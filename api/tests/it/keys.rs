//! The key that people's keys are wrapped with is replaced while servers run.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::{
    actors::PASSWORD,
    app::{SECRET_KEY, Setup, TestApp, eventually},
    client::Client,
    process::Installation,
};

/// 32 bytes in base64, other than the secret key.
const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
/// How the keys in use begin, which is to be seen nowhere.
const TRACES: [&str; 2] = ["ICEiIyQl", "AAECAwQF"];

/// What a command has said, if it did what it was asked; it has shown no key.
fn said(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said)).concat();
    assert!(output.status.success(), "{text}");
    assert_no_traces(&text);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The complaint of a command that has refused.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success(), "{text}");
    assert_no_traces(&text);
    text
}

fn assert_no_traces(text: &str) {
    assert!(!TRACES.iter().any(|trace| text.contains(trace)), "{text}");
}

/// The lines of the file of sealing keys.
fn filed(installation: &Installation) -> Vec<String> {
    let text = fs::read_to_string(installation.data_dir().join("sealing.keys")).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

async fn owner(installation: &Installation) -> PgConnection {
    let url = fs::read_to_string(installation.data_dir().join("postgres-url")).unwrap();
    PgConnection::connect(&url).await.unwrap()
}

async fn register(anonymous: &Client, email: &str) {
    let body = json!({"email": email, "password": PASSWORD, "name": "Grace Hopper"});
    anonymous.post("/v1/auth/register", body).await.expect(StatusCode::CREATED);
}

async fn members(installation: &Installation) -> Vec<String> {
    let body = json!({"email": "ada@demo.example", "password": "annals-demo"});
    let answer = installation.anonymous.post("/v1/auth/login", body).await.ok();
    let ada = installation.anonymous.bearing(&answer.text_of("access_token"));
    let path = format!("/v1/tenants/{}/members", installation.demo().0);
    // Members come into a read model, a moment after the demo is there.
    eventually("both members", async || {
        let emails = ada.get(&path).await.ok().all("email");
        (emails.len() == 2).then(|| emails.iter().map(|email| email.as_str().to_owned()).collect())
    })
    .await
}

#[tokio::test]
async fn the_sealing_key_is_replaced_beside_a_server() {
    let mut installation = Installation::new();
    installation.serve().await;
    let everybody = members(&installation).await;
    let listed = said(&installation.run(&["keys"]).await);
    assert!(listed.lines().count() == 1 && listed.contains("of the secret key"), "{listed}");
    let (old, _) = listed.split_once(' ').unwrap();

    let rotated = said(&installation.run(&["keys", "rotate"]).await);
    let first = filed(&installation);
    let mode = fs::metadata(installation.data_dir().join("sealing.keys")).unwrap().permissions().mode();
    assert_eq!((first.len(), mode & 0o777), (1, 0o600));
    assert!(rotated.contains("wraps all now") && !rotated.contains(old), "{rotated}");
    // The server finds the key in the file when it meets it.
    register(&installation.anonymous, "grace@example.com").await;
    let listed = said(&installation.run(&["keys", "list"]).await);
    let (new, unused) = listed.split_once('\n').unwrap();
    assert!(new.contains("all that come; from sealing.keys"), "{listed}");
    assert!(unused.contains(old) && unused.contains("wraps nothing; of the secret key"), "{listed}");

    let again = said(&installation.run(&["keys", "rotate"]).await);
    let second = filed(&installation);
    assert!(again.contains(&format!("{} is forgotten", new.split_once(' ').unwrap().0)), "{again}");
    assert!(second.len() == 1 && second != first, "the file has the newest alone");
    let third = said(&installation.run(&["keys", "rotate", "--keep-older"]).await);
    assert!(!third.contains("forgotten"), "{third}");
    assert_eq!(filed(&installation)[1..], second);
    register(&installation.anonymous, "mary@example.com").await;

    // With nothing remembered, everybody can be read.
    assert!(installation.interrupt().await.success());
    installation.serve().await;
    assert_eq!(members(&installation).await, everybody);
    let log = fs::read_to_string(installation.file("stderr")).unwrap() + &installation.said();
    for key in [first, second, filed(&installation)].concat() {
        assert!(![&rotated, &listed, &again, &third, &log].iter().any(|text| text.contains(&key)));
    }

    // Without the file nobody is taken for erased.
    assert!(installation.interrupt().await.success());
    let file = installation.data_dir().join("sealing.keys");
    let kept = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let missing = complaint(&installation.run(&["serve"]).await);
    for word in ["does not fit", "ANNALS_SEALING_KEYS", "sealing.keys"] {
        assert!(missing.contains(word), "{missing}");
    }
    fs::write(&file, kept + "garbage\n").unwrap();
    let garbage = complaint(&installation.run(&["serve"]).await);
    assert!(garbage.contains("sealing.keys: key 3 is not 32 bytes in base64"), "{garbage}");
}

#[tokio::test]
async fn a_rotation_that_is_killed_goes_on_with_the_same_key() {
    let mut installation = Installation::new();
    installation.serve().await;
    let everybody = members(&installation).await;
    // Somebody's key is held, so that the rotation can't come to its end.
    let mut holding = owner(&installation).await;
    holding.execute("SET app.tenant_id = '00000000-0000-0000-0000-000000000000'; BEGIN").await.unwrap();
    let hold = "SELECT wrapped_by FROM subject_keys WHERE wrapped IS NOT NULL ORDER BY subject_id DESC LIMIT 1 FOR UPDATE";
    let old: String = sqlx::query_scalar(hold).fetch_one(&mut holding).await.unwrap();
    let mut command = installation.command();
    let mut rotating = command.args(["keys", "rotate"]).spawn().unwrap();
    let mut looking = owner(&installation).await;
    looking.execute("SET app.tenant_id = '00000000-0000-0000-0000-000000000000'").await.unwrap();
    eventually("all others", async || {
        let others = "SELECT count(*) FROM subject_keys WHERE wrapped_by = $1";
        let left: i64 = sqlx::query_scalar(others).bind(&old).fetch_one(&mut looking).await.unwrap();
        (left == 1).then_some(())
    })
    .await;
    let key = filed(&installation);
    let other = complaint(&installation.run(&["keys", "rotate"]).await);
    assert!(other.contains("another rotation is under way"), "{other}");
    rotating.kill().unwrap();
    rotating.wait().unwrap();
    holding.execute("ROLLBACK").await.unwrap();

    register(&installation.anonymous, "grace@example.com").await;
    let rotated = said(&installation.run(&["keys", "rotate"]).await);
    assert!(rotated.starts_with("1 keys wrapped anew"), "{rotated}");
    assert_eq!(filed(&installation), key);
    installation.kill();
    installation.serve().await;
    assert_eq!(members(&installation).await, everybody);
}

/// A command on the database of a server, with keys from the environment.
fn beside(app: &TestApp, installation: &Installation, arguments: &[&str], keys: &str) -> Command {
    let mut command = installation.command();
    command.args(arguments).env("DATABASE_URL", app.database_url());
    command.env("ANNALS_SECRET_KEY", SECRET_KEY).env("ANNALS_SEALING_KEYS", keys);
    command
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_sealing_key_from_the_environment_is_given_to_all_and_then_wraps() {
    // As the installation was before it, and goes on without being told.
    let forgotten = TestApp::without_workers().await;
    let app = TestApp::with(Setup {
        database_url: Some(forgotten.database_url()),
        sealing_keys: Some(format!("{NEW},{SECRET_KEY}")),
        ..Setup::default()
    })
    .await;
    let owner = app.owner().await;
    app.caught_up().await;
    let installation = Installation::new();
    let keys = |arguments: &[&str], given: &str| run(beside(&app, &installation, arguments, given));

    let complained = complaint(&keys(&["keys", "rotate"], "").await);
    assert!(complained.contains("set ANNALS_SEALING_KEYS for all of them"), "{complained}");
    let complained = complaint(&keys(&["keys"], &format!("{NEW},Z2FyYmFnZQ==")).await);
    assert!(complained.contains("ANNALS_SEALING_KEYS") && complained.contains("key 2"), "{complained}");
    assert!(!complained.contains("Z2FyYmFnZQ"), "{complained}");

    let rotated = said(&keys(&["keys", "rotate"], &format!("{NEW},{SECRET_KEY}")).await);
    assert!(rotated.contains("it can be taken out of ANNALS_SEALING_KEYS"), "{rotated}");
    let again = said(&keys(&["keys", "rotate"], NEW).await);
    assert!(again.contains("wraps all already"), "{again}");
    assert!(!installation.data_dir().join("sealing.keys").exists());

    register(&app.anonymous, "grace@example.com").await;
    let third = TestApp::with(Setup {
        database_url: Some(app.database_url()),
        sealing_keys: Some(NEW.to_owned()),
        workers: false,
        ..Setup::default()
    })
    .await;
    let token = third.login(&owner.email, PASSWORD).await.ok().text_of("access_token");
    let path = owner.path("/members");
    let there = third.anonymous.bearing(&token);
    assert_eq!(there.get(&path).await.ok().items()[0]["email"], owner.email.as_str());
    // A server that was forgotten says that it can't, and neither guesses nor writes.
    let there = forgotten.anonymous.bearing(&token);
    assert_eq!(there.get(&path).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"email": "mary@example.com", "password": PASSWORD, "name": "Mary"});
    let refused = forgotten.anonymous.post("/v1/auth/register", body.clone()).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    app.anonymous.post("/v1/auth/register", body).await.expect(StatusCode::CREATED);
}

/// Processes bring the database up to date when they begin.
#[tokio::test]
async fn commands_that_begin_at_once_do_not_get_in_each_others_way() {
    let mut installation = Installation::new();
    installation.serve().await;
    for _ in 0..4 {
        for output in join_all((0..6).map(|_| installation.run(&["keys"]))).await {
            said(&output);
        }
    }
}
