//! Requests that look: whatever fails, nobody sees what is another's, and everybody what is their own.

use serde_json::Value;

use super::customer::Customer;
use crate::http::Answer;

impl Customer {
    pub(super) async fn read(&mut self) {
        let tag = self.tenant().tag.clone();
        match self.dice.between(0, 4) {
            0 => {
                let path = self.tenant().path("/workspaces?limit=500");
                self.look_for_strangers(path, "name", |name| name == "Default" || name.starts_with(&tag))
                    .await;
            }
            1 => {
                let path =
                    self.tenant().path(&format!("/projects/{}/events?limit=100", self.tenant().project));
                self.look_for_strangers(path, "user_id", |user| user == tag).await;
            }
            2 => {
                let owner = tag.replace("tenant-", "Owner ");
                let path = self.tenant().path("/invitations?limit=100");
                self.look_for_strangers(path, "invited_by", |inviter| inviter == owner).await;
            }
            _ => {
                let path = self.other_tenant().path("/workspaces");
                let answer = self.look(path.clone()).await;
                if let Some(answer) = answer.filter(|answer| !matches!(answer.status, 404 | 500..)) {
                    self.complain(format!("{tag} looks at {path}: {answer:?}"));
                }
            }
        }
    }

    /// What was acknowledged is seen by who asks for its position, or they are told that it is not there yet.
    pub(super) async fn read_back(&mut self, name: &str, position: u64) {
        let path = self.tenant().path(&format!("/workspaces?limit=500&min_position={position}"));
        let Some(answer) = self.look(path.clone()).await.filter(Answer::is_success) else { return };
        if answer.position().is_none_or(|seen| seen < position) {
            self.complain(format!("{path} has seen less: {answer:?}"));
        }
        let is_complete = answer.json["meta"]["has_more"] == false;
        if is_complete && !items(&answer).any(|item| item["name"] == name) {
            self.complain(format!("{path} lacks {name}: {answer:?}"));
        }
    }

    async fn look_for_strangers(&mut self, path: String, field: &str, is_own: impl Fn(&str) -> bool) {
        let Some(answer) = self.look(path.clone()).await.filter(Answer::is_success) else { return };
        if let Some(stranger) = items(&answer).find(|item| !item[field].as_str().is_some_and(&is_own)) {
            self.complain(format!("{path} shows what is another tenant's: {stranger}"));
        }
    }

    fn complain(&self, complaint: String) {
        self.world.ledger.complain(complaint);
    }
}

fn items(answer: &Answer) -> impl Iterator<Item = &Value> {
    answer.json["data"].as_array().into_iter().flatten()
}
