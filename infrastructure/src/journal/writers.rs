//! The writers of a process: one for each tenant that has commands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use application::{error::Error, journal::Committed};
use domain::ids::TenantId;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    memory::{Budget, Memory},
    queued::Queued,
    writer::{Desk, Writer},
};

/// How many commands of one tenant may wait; the next one is told to come back.
const WAITING: usize = 512;

/// Writers by tenant. An idle one goes away, and with it what it remembers.
pub(super) struct Writers {
    desk: Arc<Desk>,
    budget: Arc<Budget>,
    writers: Mutex<HashMap<TenantId, Entrance>>,
}

/// The way to a writer.
struct Entrance {
    /// Boxed, because a queue has room for many from the beginning, and there are many queues.
    queue: mpsc::UnboundedSender<Box<Queued>>,
    /// As many as commands may wait.
    places: Arc<Semaphore>,
    memory: Arc<Mutex<Memory>>,
}

impl Writers {
    pub(super) fn new(desk: Desk) -> Arc<Self> {
        Arc::new(Self { desk: Arc::new(desk), budget: Arc::default(), writers: Mutex::default() })
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Hands a command to its tenant's writer and waits for what becomes of it. A command that nobody waits for any more
    /// is not begun.
    pub(super) async fn write(
        self: &Arc<Self>,
        command: application::journal::Command,
    ) -> Result<Committed, Error> {
        let (reply, answer) = oneshot::channel();
        let tenant = command.ctx.tenant;
        self.with_entrance(tenant, |entrance| {
            let place = Arc::clone(&entrance.places).try_acquire_owned().map_err(|_| Error::Overloaded)?;
            let queued = Box::new(Queued { command, reply, _place: place });
            entrance.queue.send(queued).map_err(|_| Error::internal("the tenant's writer has failed"))
        })?;
        answer.await.map_err(|_| Error::internal("the tenant's writer has failed"))?
    }

    /// What the process remembers of a tenant.
    pub(super) fn memory(self: &Arc<Self>, tenant: TenantId) -> Arc<Mutex<Memory>> {
        self.with_entrance(tenant, |entrance| Arc::clone(&entrance.memory))
    }

    /// Shows a tenant's entrance, whose writer is begun if there is none.
    fn with_entrance<T>(self: &Arc<Self>, tenant: TenantId, show: impl FnOnce(&Entrance) -> T) -> T {
        let mut writers = self.writers();
        let entrance = writers.entry(tenant).or_insert_with(|| self.begin(tenant));
        // One that has panicked is replaced.
        if entrance.queue.is_closed() {
            *entrance = self.begin(tenant);
        }
        show(entrance)
    }

    fn begin(self: &Arc<Self>, tenant: TenantId) -> Entrance {
        let (queue, commands) = mpsc::unbounded_channel();
        let memory = Arc::new(Mutex::new(Memory::new(Arc::clone(&self.budget))));
        let writer = Writer::new(tenant, commands, Arc::clone(&memory), Arc::clone(&self.desk));
        self.desk.runtime.spawn(writer.run(Arc::downgrade(self)));
        Entrance { queue, places: Arc::new(Semaphore::new(WAITING)), memory }
    }

    /// Lets an idle writer go; not if a command has come meanwhile.
    pub(super) fn dismiss(&self, tenant: TenantId, commands: &mpsc::UnboundedReceiver<Box<Queued>>) -> bool {
        let mut writers = self.writers();
        let idle = commands.is_empty();
        if idle {
            writers.remove(&tenant);
        }
        idle
    }

    fn writers(&self) -> MutexGuard<'_, HashMap<TenantId, Entrance>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
