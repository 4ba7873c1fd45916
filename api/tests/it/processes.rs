//! The binary as its users meet it: started, interrupted, killed, and started again.

use std::{fmt::Write, fs, process::Command};

use domain::ids::TenantId;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    app::eventually,
    client::Client,
    process::{Installation, is_running},
};

/// How many events are sent while the server is killed.
const EVENTS: usize = 12_000;
/// How many the demo has tracked before.
const OF_THE_DEMO: u64 = 3_000;

async fn signed_in(installation: &Installation, email: &str) -> Client {
    let body = json!({"email": email, "password": "annals-demo"});
    let answer = installation.anonymous.post("/v1/auth/login", body).await.ok();
    installation.anonymous.bearing(&answer.text_of("access_token"))
}

#[tokio::test]
async fn a_demo_is_served_administered_and_interrupted() {
    let mut installation = Installation::new();
    installation.serve().await;
    let said = installation.said();
    let (tenant, key) = installation.demo();
    assert!(said.lines().count() <= 10, "{said}");
    for word in ["ada@demo.example", "annals-demo", "/docs", installation.anonymous.base(), &tenant, &key] {
        assert!(said.contains(word), "no {word} in: {said}");
    }
    let ada = signed_in(&installation, "ada@demo.example").await;
    // A user's memberships are of many journals, so there is no position to wait for.
    eventually("the owner's membership", async || {
        let me = ada.get("/v1/me").await.ok();
        (me.data()["memberships"][0]["tenant"]["id"] == tenant.as_str()).then_some(())
    })
    .await;
    let tenant = format!("/v1/tenants/{tenant}");
    let head = ada.get(&format!("{tenant}/journal?limit=1")).await.ok().position();
    let seen = async |path: &str| ada.get(&format!("{tenant}{path}?min_position={head}")).await.ok();
    assert_eq!(seen("/members").await.items().len(), 2);
    assert_eq!(seen("/invitations").await.all("state"), ["pending", "accepted"]);
    assert_eq!(seen("/subscription").await.text_of("plan"), "pro");
    assert_eq!(seen("/usage/current").await.data()["used"], OF_THE_DEMO);
    let audit = seen("/audit").await;

    let second = installation.run(&["serve"]).await;
    let complaint = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && complaint.contains("annals:"), "{complaint}");
    assert!(complaint.contains(&*installation.data_dir().to_string_lossy()), "{complaint}");

    let bob = signed_in(&installation, "bob@demo.example").await;
    bob.get("/v1/admin/tenants").await.problem(403, "not_an_administrator");
    let made = installation.run(&["admin", "create", "--email", "bob@demo.example"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    bob.get("/v1/admin/tenants").await.ok();
    let unknown = installation.run(&["admin", "create", "--email", "nobody@demo.example"]).await;
    assert!(!unknown.status.success());

    let rebuilt = installation.run(&["rebuild"]).await;
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    assert_eq!(seen("/audit").await.json, audit.json);
    assert_eq!(seen("/usage/current").await.data()["used"], OF_THE_DEMO);
    for arguments in [["rebuild", "--projection", "reactions"], ["rebuild", "--projection", "nothing"]] {
        assert!(!installation.run(&arguments).await.status.success());
    }

    let postgres = installation.postgres().unwrap();
    assert!(is_running(postgres));
    let status = installation.interrupt().await;
    assert!(status.success(), "{status}");
    assert!(!is_running(postgres) && installation.postgres().is_none(), "PostgreSQL is left behind");

    // It comes back as it was.
    installation.serve().await;
    assert_eq!(installation.said(), said);
    let ada = signed_in(&installation, "ada@demo.example").await;
    assert_eq!(ada.get(&format!("{tenant}/usage/current")).await.ok().data()["used"], OF_THE_DEMO);
}

#[tokio::test]
async fn a_server_that_is_killed_while_events_are_sent_loses_none_and_counts_none_twice() {
    let mut installation = Installation::new();
    installation.serve().await;
    let (tenant, key) = installation.demo();
    let current = format!("/v1/tenants/{tenant}/usage/current");
    let file = installation.file("events.ndjson");
    fs::write(&file, events()).unwrap();
    let track = |installation: &Installation| {
        let mut command = installation.command();
        command.args(["track", "--json", "--quiet", "--batch-size", "200", "--file"]).arg(&file);
        command.env("ANNALS_API_KEY", &key);
        command
    };
    let sending = track(&installation).spawn().unwrap();
    let used = async |client: &Client| client.get(&current).await.ok().data()["used"].as_u64().unwrap();
    let ada = signed_in(&installation, "ada@demo.example").await;
    eventually("some events", async || {
        let used = used(&ada).await;
        assert!(used < OF_THE_DEMO + EVENTS as u64, "all has arrived before the server could be killed");
        (used > OF_THE_DEMO + 1_000).then_some(())
    })
    .await;
    installation.kill();
    installation.serve().await;

    // The client has not given up.
    let output = tokio::task::spawn_blocking(|| sending.wait_with_output().unwrap()).await.unwrap();
    let summary = summary(&output);
    let (accepted, duplicates) = (count(&summary, "accepted"), count(&summary, "duplicates"));
    assert_eq!((accepted + duplicates, count(&summary, "unacknowledged")), (EVENTS as u64, 0), "{summary}");

    let mut again = track(&installation);
    let output = tokio::task::spawn_blocking(move || again.output().unwrap()).await.unwrap();
    let summary = self::summary(&output);
    assert_eq!((count(&summary, "accepted"), count(&summary, "duplicates")), (0, EVENTS as u64), "{summary}");

    let ada = signed_in(&installation, "ada@demo.example").await;
    let head =
        ada.get(&format!("/v1/tenants/{tenant}/journal?limit=1")).await.expect(StatusCode::OK).position();
    eventually("read models that have caught up", async || {
        let answer = ada.get(&format!("{current}?min_position={head}")).await;
        (answer.status == 200).then(|| assert_eq!(answer.data()["used"], OF_THE_DEMO + EVENTS as u64))
    })
    .await;
    let range = "from=1997-01-01T00:00:00Z&to=1998-01-01T00:00:00Z&interval=month";
    let usage = ada.get(&format!("/v1/tenants/{tenant}/usage?{range}&min_position={head}")).await.ok();
    let months: Vec<_> = usage.items().iter().map(|point| point["count"].as_u64().unwrap()).collect();
    assert_eq!(months, [EVENTS as u64 / 12; 12]);
}

/// The same number of events in each month of a year.
fn events() -> String {
    (0..EVENTS).fold(String::new(), |mut lines, index| {
        let month = index % 12 + 1;
        writeln!(
            lines,
            r#"{{"type":"track","event":"Sold","userId":"u{}","messageId":"m{index}","timestamp":"1997-{month:02}-01T00:00:00Z"}}"#,
            index % 100
        )
        .unwrap();
        lines
    })
}

fn summary(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(summary: &Value, field: &str) -> u64 {
    summary[field].as_u64().unwrap_or_else(|| panic!("no {field}: {summary}"))
}

#[tokio::test]
async fn a_journal_is_exported_and_verified_with_a_public_key() {
    let mut installation = Installation::new();
    installation.serve().await;
    let (tenant, _) = installation.demo();
    let key = installation.anonymous.get("/.well-known/annals-journal-key").await.ok().text;
    let key = key.trim();
    let ada = signed_in(&installation, "ada@demo.example").await;
    let checkpoint = ada.get(&format!("/v1/tenants/{tenant}/journal/checkpoint")).await.ok().text;
    let file = |name: &str| installation.file(name).to_str().unwrap().to_owned();
    let (journal, changed) = (file("journal.ndjson"), file("changed.ndjson"));
    let (key_file, since) = (file("journal.key"), file("checkpoint"));
    fs::write(&key_file, format!("{key}\n")).unwrap();
    fs::write(&since, checkpoint).unwrap();

    // Beside the server that has the data directory.
    let exported = installation.run(&["export", "--tenant", &tenant, "--output", &journal]).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let text = fs::read_to_string(&journal).unwrap();
    assert!(text.lines().count() as u64 > OF_THE_DEMO);
    let verify = async |arguments: &[&str]| {
        let output = installation.run(&[&["verify"], arguments].concat()).await;
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        (output.status.code().unwrap(), said)
    };
    let (status, said) = verify(&[&journal, "--key", key]).await;
    assert!(status == 0 && said.contains(&tenant) && said.contains("good"), "{said}");
    let (status, said) = verify(&[&journal, "--key", &key_file, "--since", &since]).await;
    assert_eq!(status, 0, "{said}");
    independently(&journal, key);

    let line = text.lines().nth(2_000).unwrap();
    fs::write(&changed, text.replace(line, &line.replacen("revenue", "Revenue", 1))).unwrap();
    let (status, said) = verify(&[&changed, "--key", key]).await;
    assert!(status == 1 && said.contains("position 2000: "), "{said}");
    let other = "annals-139e3940e64b5491+fda439a8+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    assert_eq!(verify(&[&journal, "--key", other]).await.0, 1);
    for arguments in [&[journal.as_str()][..], &[&journal, "--key", "x"], &[&file("none"), "--key", key]] {
        assert_eq!(verify(arguments).await.0, 2, "{arguments:?}");
    }

    let (status, said) = verify(&["--database"]).await;
    assert!(status == 0 && said.contains(&tenant), "{said}");
    let (status, said) = verify(&["--database", "--tenant", &tenant, "--since", &since]).await;
    assert!(status == 0 && said.lines().count() == 1, "{said}");
    let url = fs::read_to_string(installation.data_dir().join("postgres-url")).unwrap();
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let id = tenant.parse::<TenantId>().unwrap().uuid();
    let change = format!(
        "ALTER TABLE events DISABLE TRIGGER immutable;
         UPDATE events SET metadata = '{{}}' WHERE tenant_id = '{id}' AND position = 1234;
         ALTER TABLE events ENABLE ALWAYS TRIGGER immutable"
    );
    owner.execute(AssertSqlSafe(change)).await.unwrap();
    let (status, said) = verify(&["--database"]).await;
    assert!(status == 1 && said.contains("position 1234: "), "{said}");
}

/// By the program that stands for all that others may write after reading the documentation.
fn independently(journal: &str, key: &str) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verify.py");
    let Ok(verified) = Command::new("python3").args([program, journal, key]).output() else { return };
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && said.contains("good"), "{said}");
}
