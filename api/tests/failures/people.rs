//! Those who use the installation: four tenants' owners, people whom they invite, and an administrator.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use application::tokens::{Tokens, VerificationToken};
use domain::ids::{MemberId, ProjectId, TenantId, UserId};
use infrastructure::keys::MasterKey;
use serde_json::{Value, json};

use crate::{
    http::{Answer, Call, Manner, send},
    ledger::Ledger,
    node::{Node, SECRET_KEY},
};

/// How many tenants there are.
const TENANTS: usize = 4;
/// How many people there are to invite; more than there are seats.
const PEOPLE: usize = 6;
/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Everybody, and what they remember.
pub(crate) struct World {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) people: Vec<Person>,
    pub(crate) administrator: Person,
    pub(crate) tokens: Tokens,
    pub(crate) ledger: Ledger,
}

/// A tenant, as its owner knows it.
pub(crate) struct Tenant {
    /// What is in the names that only it uses.
    pub(crate) tag: String,
    pub(crate) id: TenantId,
    pub(crate) project: ProjectId,
    pub(crate) owner: Person,
    pub(crate) key: String,
    /// How many events a month were last agreed on; raised a little now and then, so that batches are often near it.
    pub(crate) events_per_month: AtomicU64,
}

/// Somebody who can sign in.
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) email: String,
    token: Mutex<String>,
}

impl World {
    /// Brings everybody together, while all is well.
    pub(crate) async fn found(nodes: &[Node]) -> Self {
        let founding = Founding {
            server: nodes[0].address,
            tokens: Tokens::new(MasterKey::parse(SECRET_KEY).unwrap().derive("tokens")),
        };
        let administrator = founding.person("Administrator").await;
        let granting = nodes[0].command(&["admin", "create", "--email", &administrator.email]).status();
        assert!(granting.unwrap().success(), "{}", nodes[0].log().display());
        let mut tenants = Vec::new();
        for index in 0..TENANTS {
            tenants.push(founding.tenant(index, &administrator).await);
        }
        let mut people = Vec::new();
        for index in 0..PEOPLE {
            people.push(founding.person(&format!("Person {index}")).await);
        }
        let servers = nodes.iter().map(|node| node.address).collect();
        World { servers, tenants, people, administrator, tokens: founding.tokens, ledger: Ledger::default() }
    }

    /// Lets everybody sign in again, because a long run outlives their tokens.
    pub(crate) async fn sign_in_again(&self) {
        let owners = self.tenants.iter().map(|tenant| &tenant.owner);
        for person in owners.chain(&self.people).chain([&self.administrator]) {
            let answer = sign_in(self.servers[0], &person.email).await;
            *person.token.lock().unwrap() = answer.text_of("access_token");
        }
    }
}

impl Tenant {
    /// A path below the tenant.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}{rest}", self.id)
    }

    /// The name of somebody's membership.
    pub(crate) fn member(&self, person: &Person) -> MemberId {
        MemberId::of(self.id, person.id)
    }

    /// A number of events a month that is a little more than the last one.
    pub(crate) fn more_events(&self, by: u64) -> u64 {
        self.events_per_month.fetch_add(by, Ordering::Relaxed) + by
    }
}

impl Person {
    pub(crate) fn token(&self) -> String {
        self.token.lock().unwrap().clone()
    }
}

struct Founding {
    server: SocketAddr,
    tokens: Tokens,
}

impl Founding {
    async fn person(&self, name: &str) -> Person {
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "-"));
        let body = json!({"email": email, "password": PASSWORD, "name": name});
        let registered = post(self.server, "/v1/auth/register", None, body).await;
        let id: UserId = registered.json["data"]["user"]["id"].as_str().unwrap().parse().unwrap();
        let token = self.tokens.verification(VerificationToken { user: id, generation: 1 });
        post(self.server, "/v1/auth/verify-email", None, json!({"token": token})).await;
        let token = sign_in(self.server, &email).await.text_of("access_token");
        Person { id, email, token: Mutex::new(token) }
    }

    async fn tenant(&self, index: usize, administrator: &Person) -> Tenant {
        let tag = format!("tenant-{index}");
        let owner = self.person(&format!("Owner {index}")).await;
        let answer = post(self.server, "/v1/tenants", Some(owner.token()), json!({"name": tag})).await;
        let (id, project) = (answer.text_of("id"), answer.text_of("project_id"));
        let keys = format!("/v1/tenants/{id}/projects/{project}/api-keys");
        let key =
            post(self.server, &keys, Some(owner.token()), json!({"name": "Server"})).await.text_of("secret");
        let events_per_month = 50;
        let plan = json!({"plan": "free", "events_per_month": events_per_month, "seats": 3});
        let path = format!("/v1/admin/tenants/{id}/plan");
        post(self.server, &path, Some(administrator.token()), plan).await;
        let (id, project) = (id.parse().unwrap(), project.parse().unwrap());
        Tenant { tag, id, project, owner, key, events_per_month: events_per_month.into() }
    }
}

async fn sign_in(server: SocketAddr, email: &str) -> Answer {
    post(server, "/v1/auth/login", None, json!({"email": email, "password": PASSWORD})).await
}

async fn post(server: SocketAddr, path: &str, token: Option<String>, body: Value) -> Answer {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("founding-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let call = Call { method: "POST", path: path.to_owned(), token, body, id };
    let answer = send(server, &call, Manner::Waits).await.unwrap_or_else(|| panic!("no answer to {call:?}"));
    assert!(answer.is_success(), "{path}: {answer:?}");
    answer
}
