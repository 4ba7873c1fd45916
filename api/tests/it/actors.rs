//! People and programs, as they come about: through the API and the mails that it sends.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU32, Ordering},
};

use application::{
    tokens::{InvitationToken, VerificationToken},
    users,
};
use chrono::Utc;
use domain::{
    ctx::Ctx,
    ids::{TenantId, UserId},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    client::{Answer, Client},
};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Somebody who has signed in.
#[derive(Clone)]
pub(crate) struct Person {
    client: Client,
    pub(crate) id: String,
    pub(crate) email: String,
    /// What continues the session.
    pub(crate) refresh_token: String,
}

/// The owner of a tenant, with what the tenant began with.
pub(crate) struct Owner {
    person: Person,
    pub(crate) tenant: String,
    pub(crate) workspace: String,
    pub(crate) project: String,
}

/// A member of a tenant.
pub(crate) struct Member {
    person: Person,
    pub(crate) id: String,
}

/// A program with an API key.
pub(crate) struct Key {
    client: Client,
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Deref for Person {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Deref for Owner {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl Deref for Member {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl Deref for Key {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl TestApp {
    /// Somebody who has registered, with the answer to that; the address is not verified.
    pub(crate) async fn registered(&self) -> (String, Answer) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let email = format!("person{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed));
        let answer = self.register(&email, PASSWORD).await;
        (email, answer.expect(StatusCode::CREATED))
    }

    /// Registers an address.
    pub(crate) async fn register(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password, "name": "Ada Lovelace"});
        self.anonymous.post("/v1/auth/register", body).await
    }

    /// Takes a verification token to the API.
    pub(crate) async fn verify(&self, token: &str) -> Answer {
        self.anonymous.post("/v1/auth/verify-email", json!({"token": token})).await
    }

    /// Tries to sign in.
    pub(crate) async fn login(&self, email: &str, password: &str) -> Answer {
        self.anonymous.post("/v1/auth/login", json!({"email": email, "password": password})).await
    }

    /// Somebody who has registered, opened the mail's link and signed in.
    pub(crate) async fn person(&self) -> Person {
        let (email, answer) = self.registered().await;
        let id = answer.data()["user"]["id"].as_str().unwrap().to_owned();
        let token = match self.has_workers {
            true => self.token_mailed(&email, "verify-email", 1).await,
            // Nobody sends mails, so the link is made as the mail's would have been.
            false => {
                let user: UserId = id.parse().unwrap();
                self.annals.app.tokens.verification(VerificationToken { user, generation: 1 })
            }
        };
        self.verify(&token).await.ok();
        self.signed_in(&id, &email).await
    }

    /// A new session of somebody who is known.
    pub(crate) async fn signed_in(&self, id: &str, email: &str) -> Person {
        let answer = self.login(email, PASSWORD).await.ok();
        let client = self.anonymous.bearing(&answer.text_of("access_token"));
        Person { client, id: id.to_owned(), email: email.to_owned(), refresh_token: refresh_token(&answer) }
    }

    /// The owner of a new tenant.
    pub(crate) async fn owner(&self) -> Owner {
        let person = self.person().await;
        let answer = person.post("/v1/tenants", json!({"name": "Acme"})).await.expect(StatusCode::CREATED);
        let (tenant, workspace) = (answer.text_of("id"), answer.text_of("workspace_id"));
        Owner { person, tenant, workspace, project: answer.text_of("project_id") }
    }

    /// Somebody whom the owner has invited and who has accepted.
    pub(crate) async fn member_of(&self, owner: &Owner, role: &str) -> Member {
        let person = self.person().await;
        let token = self.invited(owner, &person.email, role).await.1;
        let answer = person.post("/v1/invitations/accept", json!({"token": token})).await.ok();
        Member { person, id: answer.text_of("member_id") }
    }

    /// An invitation that the owner has sent: its id and its mail's token.
    pub(crate) async fn invited(&self, owner: &Owner, email: &str, role: &str) -> (String, String) {
        let answer = owner.invite(email, role).await.expect(StatusCode::CREATED);
        let id = answer.text_of("id");
        let token = match self.has_workers {
            true => self.invitation_mailed(email, &id, 1).await,
            false => self.annals.app.tokens.invitation(InvitationToken {
                tenant: owner.tenant.parse().unwrap(),
                invitation: id.parse().unwrap(),
                generation: 1,
            }),
        };
        (id, token)
    }

    /// An administrator of the installation.
    pub(crate) async fn administrator(&self) -> Person {
        let person = self.person().await;
        let ctx = Ctx::system(TenantId::PLATFORM, Utc::now());
        users::grant_administrator(&ctx, &self.annals.app, &person.email.parse().unwrap()).await.unwrap();
        person
    }
}

impl Owner {
    /// A path below the tenant.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}{rest}", self.tenant)
    }

    /// A path below the tenant's first project.
    pub(crate) fn project_path(&self, rest: &str) -> String {
        self.path(&format!("/projects/{}{rest}", self.project))
    }

    pub(crate) async fn invite(&self, email: &str, role: &str) -> Answer {
        self.post(&self.path("/invitations"), json!({"email": email, "role": role})).await
    }

    /// A program with a new key of the tenant's first project.
    pub(crate) async fn key(&self) -> Key {
        self.key_of(&self.project).await
    }

    /// A program with a new key of a project.
    pub(crate) async fn key_of(&self, project: &str) -> Key {
        let path = self.path(&format!("/projects/{project}/api-keys"));
        let answer = self.post(&path, json!({"name": "Server"})).await.expect(StatusCode::CREATED);
        let secret = answer.text_of("secret");
        Key { client: self.bearing(&secret), id: answer.text_of("id"), secret }
    }

    /// The tenant's journal so far.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        self.journal_after(0).await
    }

    /// The tenant's journal after a position.
    pub(crate) async fn journal_after(&self, position: u64) -> Vec<Value> {
        let mut journal = Vec::new();
        loop {
            let after = position + journal.len() as u64;
            let answer = self.get(&self.path(&format!("/journal?limit=500&after={after}"))).await;
            match answer.items() {
                [] => return journal,
                events => journal.extend_from_slice(events),
            }
        }
    }

    /// The end of the tenant's journal.
    pub(crate) async fn head(&self) -> u64 {
        self.get(&self.path("/journal?limit=1")).await.ok().position()
    }
}

impl Key {
    /// Sends a batch.
    pub(crate) async fn batch(&self, events: &[Value]) -> Answer {
        self.post("/v1/batch", json!({"batch": events})).await
    }
}

/// A tracked event with an id of its own.
pub(crate) fn event(message_id: &str) -> Value {
    json!({"type": "track", "event": "Order Completed", "userId": "u1", "messageId": message_id})
}

/// The types of recorded events, in order.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// What the answer's cookie continues the session with.
pub(crate) fn refresh_token(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    let value = cookie.strip_prefix("refresh_token=").unwrap();
    value.split(';').next().unwrap().to_owned()
}
