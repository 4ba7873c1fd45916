//! Requests that change something.

use application::tokens::InvitationToken;
use domain::ids::{InvitationId, TenantId};
use serde_json::{Value, json};

use super::customer::Customer;
use crate::{ledger::Deed, people::PASSWORD};

/// Slugs that all tenants would like to have.
const SLUGS: &[&str] = &["acme", "globex", "initech", "umbrella", "hooli"];
const ROLES: &[&str] = &["admin", "member", "auditor"];

impl Customer {
    pub(super) async fn track(&mut self) {
        let mut messages = Vec::new();
        for index in 0..self.dice.between(1, 16) {
            // A quarter has been sent before, acknowledged or not; some of it a moment ago.
            let again = !self.messages.is_empty() && self.dice.percent(25);
            let message = if again {
                self.dice.pick(&self.messages).clone()
            } else {
                format!("{}-{index}", self.next_name())
            };
            self.messages.push(message.clone());
            messages.push(message);
        }
        let user = &self.tenant().tag;
        let event = |id: &String| json!({"type": "track", "event": "Sold", "userId": user, "messageId": id});
        let body = json!({"batch": messages.iter().map(event).collect::<Vec<_>>()});
        let key = self.tenant().key.clone();
        self.ask(Deed::Track(messages), "POST", "/v1/batch".to_owned(), key, body).await;
    }

    pub(super) async fn create_workspace(&mut self) {
        let name = format!("{} {}", self.tenant().tag, self.next_name());
        let body = json!({"name": name});
        let answer = self.as_owner(Deed::CreateWorkspace, "POST", "/workspaces", body).await;
        if let Some(position) = answer.and_then(|answer| answer.position())
            && self.dice.percent(50)
        {
            self.read_back(&name, position).await;
        }
    }

    pub(super) async fn invite(&mut self) {
        let person = self.dice.below(self.world.people.len());
        let role = *self.dice.pick(ROLES);
        let body = json!({"email": self.world.people[person].email, "role": role});
        self.as_owner(Deed::Invite, "POST", "/invitations", body).await;
    }

    pub(super) async fn accept(&mut self) {
        let Some((invitation, email)) = self.pending().await else { return };
        let tenant = self.tenant().id;
        let token = self.world.tokens.invitation(InvitationToken { tenant, invitation, generation: 1 });
        let invited = self.world.people.iter().find(|person| person.email == email).unwrap().token();
        let body = json!({"token": token});
        self.ask(Deed::Accept, "POST", "/v1/invitations/accept".to_owned(), invited, body).await;
    }

    pub(super) async fn revoke_invitation(&mut self) {
        let Some((invitation, _)) = self.pending().await else { return };
        let path = format!("/invitations/{invitation}/revoke");
        self.as_owner(Deed::RevokeInvitation, "POST", &path, Value::Null).await;
    }

    /// An invitation that was pending a moment ago; others may be faster.
    async fn pending(&mut self) -> Option<(InvitationId, String)> {
        let answer = self.look(self.tenant().path("/invitations?state=pending")).await?;
        let pending = answer.json["data"].as_array().filter(|pending| !pending.is_empty())?;
        let invitation = self.dice.pick(pending);
        let text = |field: &str| invitation[field].as_str().unwrap().to_owned();
        Some((text("id").parse().unwrap(), text("email")))
    }

    pub(super) async fn change_role(&mut self) {
        let path = self.some_member();
        let body = json!({"role": self.dice.pick(ROLES)});
        self.as_owner(Deed::ChangeRole, "PATCH", &path, body).await;
    }

    pub(super) async fn remove_member(&mut self) {
        let path = self.some_member();
        self.as_owner(Deed::RemoveMember, "DELETE", &path, Value::Null).await;
    }

    fn some_member(&mut self) -> String {
        let person = self.dice.below(self.world.people.len());
        format!("/members/{}", self.tenant().member(&self.world.people[person]))
    }

    pub(super) async fn agree_on_plan(&mut self) {
        let events = self.dice.between(0, 80);
        let events = self.tenant().more_events(events);
        let body = json!({"plan": "free", "events_per_month": events, "seats": self.dice.between(2, 5)});
        let path = format!("/v1/admin/tenants/{}/plan", self.tenant().id);
        let administrator = self.world.administrator.token();
        self.ask(Deed::AgreeOnPlan, "POST", path, administrator, body).await;
    }

    pub(super) async fn cancel(&mut self) {
        self.as_owner(Deed::Cancel, "POST", "/subscription/cancel", Value::Null).await;
    }

    pub(super) async fn resume(&mut self) {
        self.as_owner(Deed::Resume, "POST", "/subscription/resume", Value::Null).await;
    }

    pub(super) async fn take_slug(&mut self) {
        let body = json!({"slug": self.dice.pick(SLUGS)});
        self.as_owner(Deed::TakeSlug, "PATCH", "", body).await;
    }

    pub(super) async fn sign_in(&mut self) {
        let person = self.dice.below(self.world.people.len());
        let body = json!({"email": self.world.people[person].email, "password": PASSWORD});
        let path = "/v1/auth/login".to_owned();
        self.ask_in(TenantId::PLATFORM, Deed::SignIn, "POST", path, None, body).await;
    }

    async fn as_owner(
        &mut self,
        deed: Deed,
        method: &'static str,
        path: &str,
        body: Value,
    ) -> Option<crate::http::Answer> {
        let (path, owner) = (self.tenant().path(path), self.tenant().owner.token());
        self.ask(deed, method, path, owner, body).await
    }
}
