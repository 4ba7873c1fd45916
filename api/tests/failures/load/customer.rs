//! A client at work.

use std::{sync::Arc, time::Duration};

use domain::ids::TenantId;
use serde_json::Value;

use crate::{
    dice::Dice,
    http::{Answer, Call, Manner, send},
    ledger::Deed,
    people::{Tenant, World},
};

/// A client of one tenant, that sends one request after the other.
pub(super) struct Customer {
    pub(super) world: Arc<World>,
    pub(super) dice: Dice,
    /// Message ids that it has sent before; some come again.
    pub(super) messages: Vec<String>,
    tenant: usize,
    name: String,
    sent: u64,
}

impl Customer {
    pub(super) fn new(world: Arc<World>, tenant: usize, name: String, dice: Dice) -> Self {
        Self { world, dice, messages: Vec::new(), tenant, name, sent: 0 }
    }

    pub(super) fn tenant(&self) -> &Tenant {
        &self.world.tenants[self.tenant]
    }

    /// A tenant that is none of its business.
    pub(super) fn other_tenant(&self) -> &Tenant {
        &self.world.tenants[(self.tenant + 1) % self.world.tenants.len()]
    }

    /// A name that nothing else has: that of the next request.
    pub(super) fn next_name(&self) -> String {
        format!("{}-{}", self.name, self.sent)
    }

    /// Asks for something in the tenant, and writes down what became of it.
    pub(super) async fn ask(
        &mut self,
        deed: Deed,
        method: &'static str,
        path: String,
        token: String,
        body: Value,
    ) -> Option<Answer> {
        let tenant = self.tenant().id;
        self.ask_in(tenant, deed, method, path, Some(token), body).await
    }

    /// Asks for something in some journal. Some clients are rude.
    pub(super) async fn ask_in(
        &mut self,
        journal: TenantId,
        deed: Deed,
        method: &'static str,
        path: String,
        token: Option<String>,
        body: Value,
    ) -> Option<Answer> {
        let manner = match self.dice.between(0, 100) {
            0..5 => Manner::LeavesMidway,
            5..13 => Manner::LeavesAfter(Duration::from_millis(self.dice.between(0, 25))),
            _ => Manner::Waits,
        };
        let id = self.next_name();
        let answer = self.send(Call { method, path, token, body, id: id.clone() }, manner).await;
        self.world.ledger.enter(id, journal, deed, answer.clone());
        answer
    }

    /// Looks at something of the tenant, as its owner.
    pub(super) async fn look(&mut self, path: String) -> Option<Answer> {
        let token = Some(self.tenant().owner.token());
        let id = self.next_name();
        let call = Call { method: "GET", path, token, body: Value::Null, id };
        self.send(call, Manner::Waits).await
    }

    async fn send(&mut self, call: Call, manner: Manner) -> Option<Answer> {
        self.sent += 1;
        let server = *self.dice.pick(&self.world.servers);
        let answer = send(server, &call, manner).await;
        self.world.ledger.count(&format!("{} {}", call.method, call.path), answer.as_ref());
        answer
    }
}
