//! What is asked of the installation while it fails.

mod customer;
mod reading;
mod writing;

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::customer::Customer;
use crate::{dice::Dice, people::World};

/// How many clients each tenant has.
const CLIENTS: usize = 3;
/// How much each client does in a round at most.
const MOST: usize = 150;

/// Puts clients to work for a round, until all is calm. Each finishes what it has under way.
pub(crate) fn start(world: &Arc<World>, seed: u64, round: u64, calm: &CancellationToken) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for tenant in 0..world.tenants.len() {
        for client in 0..CLIENTS {
            let name = format!("{round}-{tenant}-{client}");
            let dice = Dice::new(seed, round, &name);
            let mut customer = Customer::new(Arc::clone(world), tenant, name, dice);
            let calm = calm.clone();
            clients.spawn(async move {
                for _ in 0..MOST {
                    customer.act().await;
                    let rest = Duration::from_millis(customer.dice.between(0, 20));
                    if calm.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
                        return;
                    }
                }
            });
        }
    }
    clients
}

impl Customer {
    async fn act(&mut self) {
        match self.dice.between(0, 100) {
            0..32 => self.track().await,
            32..42 => self.create_workspace().await,
            42..52 => self.invite().await,
            52..64 => self.accept().await,
            64..68 => self.revoke_invitation().await,
            68..73 => self.change_role().await,
            73..79 => self.remove_member().await,
            79..84 => self.agree_on_plan().await,
            84..85 => self.cancel().await,
            85..89 => self.resume().await,
            89..92 => self.take_slug().await,
            92..94 => self.sign_in().await,
            _ => self.read().await,
        }
    }
}
