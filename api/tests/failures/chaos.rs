//! What goes wrong in a round.

use std::{fmt, time::Duration};

use crate::{dice::Dice, installation::Installation, node::Frozen, proxy::Fault};

/// How a round went: what was done to whom, in order.
pub(crate) struct Story {
    dice: Dice,
    steps: Vec<String>,
}

impl Story {
    pub(crate) fn new(seed: u64, round: u64) -> Self {
        Self { dice: Dice::new(seed, round, "chaos"), steps: Vec::new() }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if formatter.alternate() {
            return self.steps.iter().try_for_each(|step| writeln!(formatter, "    {step}"));
        }
        write!(formatter, "{}", self.steps.join(", "))
    }
}

/// One kind of trouble.
#[derive(Clone, Copy)]
enum Trouble {
    KillServer,
    FreezeServer,
    RestartPostgres,
    EndSessions,
    DropAllConnections,
    DropSomeConnections,
    StallConnections,
    CutMessages,
    LoseAnswers,
    LoseCommits,
}

/// Each kind of trouble once a round, in an order of the round's own, while the load goes on.
pub(crate) async fn rage(installation: &mut Installation, story: &mut Story) {
    use Trouble::*;
    let mut troubles = [
        KillServer,
        FreezeServer,
        RestartPostgres,
        EndSessions,
        DropAllConnections,
        DropSomeConnections,
        StallConnections,
        CutMessages,
        LoseAnswers,
        LoseCommits,
    ];
    story.dice.shuffle(&mut troubles);
    for trouble in troubles {
        pause(story, 50, 600).await;
        let step = make(trouble, installation, &mut story.dice).await;
        story.steps.push(step);
    }
    pause(story, 50, 600).await;
}

async fn make(trouble: Trouble, installation: &mut Installation, dice: &mut Dice) -> String {
    let server = dice.below(installation.nodes.len());
    match trouble {
        Trouble::KillServer => {
            installation.nodes[server].kill();
            let rest = Duration::from_millis(dice.between(0, 500));
            tokio::time::sleep(rest).await;
            // One that fails to start, because the database is away, is started again when all is calm.
            let _ = installation.nodes[server].revive();
            format!("killed server {server} for {rest:?}")
        }
        Trouble::FreezeServer => {
            installation.nodes[server].freeze(Frozen::Yes);
            let rest = Duration::from_millis(dice.between(200, 2_500));
            tokio::time::sleep(rest).await;
            installation.nodes[server].freeze(Frozen::No);
            format!("froze server {server} for {rest:?}")
        }
        Trouble::RestartPostgres => {
            installation.cluster.restart_immediately();
            "restarted PostgreSQL".to_owned()
        }
        Trouble::EndSessions => {
            let share = dice.between(20, 100);
            installation.end_sessions(share).await;
            format!("ended {share} % of the sessions")
        }
        Trouble::DropAllConnections => {
            format!("dropped all {} connections", installation.proxy.drop_connections(|| true))
        }
        Trouble::DropSomeConnections => {
            format!("dropped {} connections", installation.proxy.drop_connections(|| dice.percent(40)))
        }
        Trouble::StallConnections => {
            let rest = Duration::from_millis(dice.between(100, 1_500));
            installation.proxy.let_flow(false);
            tokio::time::sleep(rest).await;
            installation.proxy.let_flow(true);
            format!("stalled connections for {rest:?}")
        }
        Trouble::CutMessages => {
            let count = dice.between(2, 8);
            for _ in 0..count {
                // Most messages are short; some cuts wait for a long one.
                let length = dice.between(1, 400) as usize;
                let fault =
                    if dice.percent(50) { Fault::CutRequest(length) } else { Fault::CutAnswer(length) };
                installation.proxy.arm(fault);
            }
            format!("cut {count} messages")
        }
        Trouble::LoseAnswers => {
            let count = dice.between(2, 8);
            (0..count).for_each(|_| installation.proxy.arm(Fault::LoseAnswer));
            format!("lost {count} answers")
        }
        Trouble::LoseCommits => {
            let count = dice.between(2, 8);
            (0..count).for_each(|_| installation.proxy.arm(Fault::LoseCommit));
            format!("lost the answers to {count} commits")
        }
    }
}

async fn pause(story: &mut Story, from: u64, to: u64) {
    tokio::time::sleep(Duration::from_millis(story.dice.between(from, to))).await;
}
