//! What holds when things fail: two servers of the real binary and a PostgreSQL of their own, all of which are killed,
//! stopped and cut off from each other while several tenants are at work, and then everything is counted.
//!
//! `make failures ROUNDS=50 SEED=7` runs it for long; without `ROUNDS`, as CI does, it takes half a minute. A seed
//! decides what is sent and what goes wrong, though not what falls together with what: the same seed again is the same
//! kind of trouble, not the same interleaving. What fails names its seed and round, and keeps its directory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

// What is tested, and what stands between its parts.
mod cluster;
mod http;
mod node;
mod proxy;

// Who uses it, and what goes wrong meanwhile.
mod chaos;
mod dice;
mod ledger;
mod load;
mod people;

// What must be true afterwards.
mod checks;
mod journals;

// All of it together.
mod installation;

use std::{
    env,
    time::{Duration, Instant},
};

use installation::Installation;
use tokio_util::sync::CancellationToken;

/// How many rounds there are when nothing else is said.
const ROUNDS: u64 = 3;
/// The seed when nothing else is said: fixed, so that CI repeats itself.
const SEED: u64 = 1;
/// After so many rounds a new installation takes over: each check reads everything that was ever recorded.
const ROUNDS_OF_AN_INSTALLATION: u64 = 20;
/// How long everything may take to be well again after a round's chaos.
const RECOVERY: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_nothing_is_done_by_halves_and_no_limit_is_passed() {
    let (rounds, seed) = (number("FAILURES_ROUNDS", ROUNDS), number("FAILURES_SEED", SEED));
    say(format_args!("seed {seed}, {rounds} rounds"));
    let mut installation = start(seed).await;
    for round in 1..=rounds {
        if round % ROUNDS_OF_AN_INSTALLATION == 0 {
            installation = start(seed).await;
        }
        let begun = Instant::now();
        let mut story = chaos::Story::new(seed, round);
        let calm = CancellationToken::new();
        let load = load::start(&installation.world, seed, round, &calm);
        chaos::rage(&mut installation, &mut story).await;
        calm.cancel();
        load.join_all().await;
        let problems = match tokio::time::timeout(RECOVERY, installation.recover()).await {
            Ok(Ok(())) => checks::all(&installation).await,
            Ok(Err(problem)) => vec![problem],
            Err(_) => vec![format!("not well again within {RECOVERY:?}")],
        };
        let summary = installation.world.ledger.summary();
        say(format_args!("round {round}: {:.1?}, {story}\n    {summary}", begun.elapsed()));
        if !problems.is_empty() {
            let directory = installation.directory();
            let told = problems.join("\n");
            panic!("seed {seed}, round {round}; all is kept in {}\n{story:#}{told}", directory.display());
        }
    }
}

async fn start(seed: u64) -> Installation {
    tokio::time::timeout(RECOVERY, Installation::start(seed)).await.expect("an installation starts in time")
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => text.parse().unwrap_or_else(|_| panic!("{variable}: not a number")),
        _ => otherwise,
    }
}

#[expect(clippy::print_stderr, reason = "a long run shows where it is")]
fn say(what: std::fmt::Arguments<'_>) {
    eprintln!("{what}");
}
