use std::sync::Mutex;

use application::{
    claim::ClaimKind,
    journal::{Command, Committed, PastEvent, StreamRequest},
    loaded::Loaded,
    mail::MailError,
    once::{Identity, KeptAnswer},
    tokens::{InvitationToken, VerificationToken},
};
use chrono::{TimeDelta, Utc};
use domain::{
    ids::{InvitationId, ProjectId, UserId},
    invitations::{InvitationAccepted, InvitationResent, InvitationSent},
    permission::Role,
    tenants::TenantCreated,
    text::Email,
    users::{EmailVerified, RegistrationRepeated, UserRegistered, VerificationRequested},
};
use secrecy::SecretSlice;
use serde_json::json;

use super::*;
use crate::{
    story::{Story, name},
    tracked_events::tests::track,
};

/// A story to look things up in.
struct Told(Story);

#[async_trait]
impl Journal for Told {
    async fn load(&self, _tenant: TenantId, streams: &[StreamRequest]) -> Result<Vec<History>, Error> {
        let history = |StreamRequest { stream, .. }: &StreamRequest| {
            let events = self.0.events().iter().filter(|event| event.stream == *stream);
            let past = |event: &RecordedEvent| PastEvent {
                event_type: event.event_type.clone(),
                event_version: event.event_version,
                payload: event.payload.clone(),
            };
            let events: Vec<_> = events.map(past).collect();
            History { stream: stream.clone(), sequence: events.len() as u64, snapshot: None, events }
        };
        Ok(streams.iter().map(history).collect())
    }

    async fn transact(&self, _: Command) -> Result<Committed, Error> {
        unreachable!("a mail changes nothing")
    }

    async fn recall(&self, _: TenantId, _: &[StreamRequest]) -> Result<Vec<Loaded>, Error> {
        unreachable!("a mail goes by what is there now")
    }

    async fn holder(&self, _: TenantId, _: ClaimKind, _: &str) -> Result<Option<Uuid>, Error> {
        unreachable!("a mail looks up streams only")
    }

    async fn holders(&self, _: ClaimKind, _: &str) -> Result<Vec<(TenantId, Uuid)>, Error> {
        unreachable!("a mail looks up streams only")
    }

    async fn secret(&self, _: TenantId, _: Uuid, _: &str) -> Result<Option<SecretSlice<u8>>, Error> {
        unreachable!("a mail tells no secret")
    }

    async fn kept_answer(&self, _: &Identity) -> Result<Option<KeptAnswer>, Error> {
        unreachable!("a mail answers nobody")
    }

    async fn read(&self, _: TenantId, _: u64, _: u32) -> Result<Vec<RecordedEvent>, Error> {
        unreachable!("a mail looks up streams only")
    }

    async fn head(&self, _: TenantId) -> Result<u64, Error> {
        unreachable!("a mail looks up streams only")
    }
}

#[derive(Default)]
struct Outbox(Mutex<Vec<Mail>>);

#[async_trait]
impl Mailer for Outbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.lock().unwrap().push(mail.clone());
        Ok(())
    }

    async fn forget(&self, _: &Email) -> Result<(), MailError> {
        unreachable!("what is sent is sent")
    }
}

/// The jobs that a story asks for.
fn jobs(story: &Story) -> Vec<(&'static str, serde_json::Value)> {
    let kinds = |event| JOBS.iter().filter_map(move |kind| (kind.when)(event).unwrap());
    story.events().iter().flat_map(kinds).map(|job| (job.task, job.payload)).collect()
}

/// The mails that all the jobs of a story send.
async fn mails(story: Story) -> Vec<Mail> {
    let outbox = Arc::new(Outbox::default());
    let events = story.events().to_vec();
    let office = MailOffice {
        journal: Arc::new(Told(story)),
        mailer: outbox.clone(),
        tokens: Arc::new(Tokens::new([7; 32])),
        public_url: "https://annals.test/".to_owned(),
    };
    for event in &events {
        carry_out::<VerificationMail>(event, &office).await;
        carry_out::<RepeatedRegistrationMail>(event, &office).await;
        carry_out::<WelcomeMail>(event, &office).await;
        carry_out::<InvitationMail>(event, &office).await;
    }
    outbox.0.lock().unwrap().clone()
}

async fn carry_out<J: Job>(event: &RecordedEvent, office: &MailOffice) {
    if let Some(job) = J::when(event).unwrap() {
        job.run(office).await.unwrap();
    }
}

fn register(story: &mut Story) -> UserId {
    let user_id = UserId::random();
    let email = "ada@example.com".parse().unwrap();
    story.tell("user", user_id, UserRegistered { user_id, email, name: name("Ada") });
    user_id
}

fn invite(story: &mut Story) -> InvitationId {
    let (tenant_id, created_by) = (story.tenant, UserId::random());
    let slug = "acme".parse().unwrap();
    story.tell("tenant", tenant_id, TenantCreated { tenant_id, name: name("Acme"), slug, created_by });
    let invitation_id = InvitationId::random();
    let sent = InvitationSent {
        invitation_id,
        email: "grace@example.com".parse().unwrap(),
        role: Role::Member,
        workspace_ids: vec![],
        invited_by: "Ada".to_owned(),
        expires_at: Utc::now() + TimeDelta::days(7),
    };
    story.tell("invitation", invitation_id, sent);
    invitation_id
}

#[test]
fn each_event_asks_for_its_job_and_names_ids_only() {
    let mut story = Story::new();
    let user = register(&mut story);
    story.tell("user", user, VerificationRequested { generation: 2 });
    story.tell("user", user, RegistrationRepeated {});
    story.tell("user", user, EmailVerified {});
    let invitation = invite(&mut story);
    let expires_at = Utc::now();
    story.tell("invitation", invitation, InvitationResent { generation: 2, expires_at });
    track(&mut story, ProjectId::random(), "Order Completed", "1997-02-01T10:00:00Z");
    let invited = |generation| json!({"tenant_id": story.tenant, "invitation_id": invitation, "generation": generation});
    let expected = [
        ("verification_mail", json!({"user_id": user, "generation": 1})),
        ("verification_mail", json!({"user_id": user, "generation": 2})),
        ("repeated_registration_mail", json!({"user_id": user, "sequence": 3})),
        ("welcome_mail", json!({"user_id": user})),
        ("invitation_mail", invited(1)),
        ("invitation_mail", invited(2)),
    ];
    assert_eq!(jobs(&story), expected);
}

#[tokio::test]
async fn only_the_newest_verification_link_is_mailed() {
    let mut story = Story::new();
    let user = register(&mut story);
    story.tell("user", user, VerificationRequested { generation: 2 });
    let mails = mails(story).await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    let token = Tokens::new([7; 32]).verification(VerificationToken { user, generation: 2 });
    assert!(
        mail.text.contains(&format!("\nhttps://annals.test/verify-email?token={token}\n")),
        "{}",
        mail.text
    );
    assert_eq!((mail.to.as_str(), mail.to_name.as_deref()), ("ada@example.com", Some("Ada")));
    assert_eq!(mail.message_id, format!("verification_mail-{user}-2"));
}

#[tokio::test]
async fn who_is_verified_is_welcomed_and_not_asked_again() {
    let mut story = Story::new();
    let user = register(&mut story);
    story.tell("user", user, EmailVerified {});
    story.tell("user", user, RegistrationRepeated {});
    let mails = mails(story).await;
    let subjects: Vec<_> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(subjects, ["Welcome", "You have an account already"]);
    assert!(!mails[1].text.contains("token="), "{}", mails[1].text);
}

#[tokio::test]
async fn who_registers_twice_before_verifying_gets_the_link_again() {
    let mut story = Story::new();
    let user = register(&mut story);
    story.tell("user", user, RegistrationRepeated {});
    let mails = mails(story).await;
    let token = Tokens::new([7; 32]).verification(VerificationToken { user, generation: 1 });
    assert_eq!(mails.len(), 2);
    assert!(mails[1].text.contains(&token));
}

#[tokio::test]
async fn an_invitation_brings_its_newest_link() {
    let mut story = Story::new();
    let (tenant, invitation) = (story.tenant, invite(&mut story));
    let expires_at = Utc::now() + TimeDelta::days(7);
    story.tell("invitation", invitation, InvitationResent { generation: 2, expires_at });
    let mails = mails(story).await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    let token = Tokens::new([7; 32]).invitation(InvitationToken { tenant, invitation, generation: 2 });
    assert!(
        mail.text.contains(&format!("\nhttps://annals.test/invitations?token={token}\n")),
        "{}",
        mail.text
    );
    assert_eq!(
        (mail.to.as_str(), mail.subject.as_str()),
        ("grace@example.com", "Ada invites you to join Acme")
    );
}

#[tokio::test]
async fn an_invitation_that_is_answered_or_over_is_not_mailed() {
    let mut answered = Story::new();
    let invitation = invite(&mut answered);
    answered.tell("invitation", invitation, InvitationAccepted { user_id: UserId::random() });
    assert_eq!(mails(answered).await, []);
    let mut over = Story::new();
    let invitation = invite(&mut over);
    over.tell("invitation", invitation, InvitationResent { generation: 2, expires_at: Utc::now() });
    assert_eq!(mails(over).await, []);
}
