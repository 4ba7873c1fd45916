//! The transfer: batches from the intake to the sender, several at a time, until all are through or it must end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::MissedTickBehavior,
};

use super::{
    batch::Batch,
    intake::Intake,
    progress::Progress,
    sender::{Delivery, Sender},
    summary::Unacknowledged,
    tally::Tally,
};

/// What came of all batches.
#[derive(Debug, Default)]
pub(super) struct Transferred {
    /// Events that were in a request at least once.
    pub(super) sent: u64,
    pub(super) tally: Tally,
    pub(super) unacknowledged: Vec<Unacknowledged>,
    /// Why it ended early.
    pub(super) stopped: Option<String>,
    pub(super) interrupted: bool,
}

/// Sends what `intake` reads. Each message in `interrupts` asks to end: the first waits for what has been read, the
/// second for nothing.
pub(super) async fn transfer(
    intake: &Intake,
    sender: Sender,
    in_flight: usize,
    progress: &Progress,
    mut interrupts: mpsc::Receiver<()>,
) -> Transferred {
    let mut flights = Flights { sender: Arc::new(sender), tasks: JoinSet::new(), aboard: BTreeMap::new() };
    let mut transferred = Transferred::default();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut drained = false;
    while !drained || !flights.tasks.is_empty() {
        let room = !drained && flights.tasks.len() < in_flight;
        tokio::select! {
            Some(landed) = flights.tasks.join_next() => {
                let delivery = flights.land(landed);
                progress.advance(delivery.tally.events(), delivery.source_bytes);
                if transferred.settle(delivery) {
                    intake.close();
                    flights.sender.end();
                }
            }
            batch = intake.next(), if room => match batch {
                Some(batch) => transferred.launch(batch, &mut flights),
                None => drained = true,
            },
            Some(()) = interrupts.recv() => {
                intake.close();
                flights.sender.end();
                if transferred.interrupted {
                    break;
                }
                transferred.interrupted = true;
                progress.note("ends when what was read has been sent; Ctrl-C again ends it now".to_owned());
            }
            _ = tick.tick() => {
                progress.tick();
                if room && let Some(batch) = intake.take_stale() {
                    transferred.launch(batch, &mut flights);
                }
            }
        }
    }
    transferred.unacknowledged.extend(flights.aboard.into_values());
    while !drained && let Some(batch) = intake.next().await {
        transferred.unacknowledged.push(Unacknowledged::new(&batch, "interrupted"));
    }
    transferred
}

/// The batches on their way. Dropping it ends them.
struct Flights {
    sender: Arc<Sender>,
    tasks: JoinSet<(u64, Delivery)>,
    /// By first line: what to report if they never land.
    aboard: BTreeMap<u64, Unacknowledged>,
}

impl Flights {
    fn land(&mut self, landed: Result<(u64, Delivery), JoinError>) -> Delivery {
        match landed {
            Ok((first, delivery)) => {
                self.aboard.remove(&first);
                delivery
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Transferred {
    /// Sends a batch, unless the others had to be given up.
    fn launch(&mut self, batch: Batch, flights: &mut Flights) {
        if let Some(reason) = &self.stopped {
            self.unacknowledged.push(Unacknowledged::new(&batch, reason));
            return;
        }
        self.sent += batch.len() as u64;
        let (first, _) = batch.lines();
        flights.aboard.insert(first, Unacknowledged::new(&batch, "interrupted"));
        let sender = Arc::clone(&flights.sender);
        flights.tasks.spawn(async move { (first, sender.deliver(batch).await) });
    }

    /// Counts a delivery; true if it has failed.
    fn settle(&mut self, delivery: Delivery) -> bool {
        self.tally.add(delivery.tally);
        let Some((parts, reason)) = delivery.failed else { return false };
        self.unacknowledged.extend(parts.iter().map(|part| Unacknowledged::new(part, &reason)));
        self.stopped.get_or_insert(reason);
        true
    }
}
