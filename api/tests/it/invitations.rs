//! Inviting people, and every answer to an invitation.

use application::{
    invitations::{self, Invite},
    tokens::InvitationToken,
};
use chrono::{TimeDelta, Utc};
use domain::{ctx::Ctx, permission::Role};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    actors::{Owner, Person, types},
    app::{TestApp, eventually},
    client::Answer,
};

async fn accept(person: &Person, token: &str) -> Answer {
    person.post("/v1/invitations/accept", json!({"token": token})).await
}

async fn state(owner: &Owner, id: &str) -> Value {
    let path = owner.path(&format!("/invitations/{id}?min_position={}", owner.head().await));
    owner.get(&path).await.ok().data()["state"].clone()
}

#[tokio::test]
async fn accepting_joins_takes_a_seat_and_closes_in_one_commit() {
    let app = TestApp::spawn().await;
    let (owner, person) = (app.owner().await, app.person().await);
    let (id, token) = app.invited(&owner, &person.email, "member").await;
    let head = owner.head().await;
    let preview = person.post("/v1/invitations/preview", json!({"token": token})).await.ok();
    let offer = ["invitation_id", "tenant_id", "tenant_name", "role"].map(|field| preview.text_of(field));
    assert_eq!(offer, [id.as_str(), &owner.tenant, "Acme", "member"]);
    let accepted = accept(&person, &token).await.ok();
    assert_eq!(accepted.text_of("tenant_id"), owner.tenant);
    let commit = owner.journal_after(head).await;
    assert_eq!(types(&commit), ["InvitationAccepted", "MemberJoined", "SeatTaken"]);
    assert_eq!(accepted.position(), head + 3);
    for event in &commit {
        assert_eq!(event["metadata"]["request_id"], accepted.header("x-request-id").unwrap());
        assert_eq!(event["metadata"]["actor"]["id"], person.id);
    }
    assert_eq!(state(&owner, &id).await, "accepted");
    person.get(&owner.path("")).await.ok();
    accept(&person, &token).await.problem(409, "invitation_accepted");
    owner.invite(&person.email, "member").await.problem(409, "already_member");
    assert_eq!(owner.head().await, head + 3);
}

#[tokio::test]
async fn an_address_has_one_pending_invitation() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let (id, _) = app.invited(&owner, "bob@example.com", "member").await;
    owner.invite(" BOB@example.com", "auditor").await.problem(409, "invitation_pending");
    let other = app.owner().await;
    other.invite("bob@example.com", "member").await.expect(StatusCode::CREATED);
    owner.act(&owner.path(&format!("/invitations/{id}/revoke"))).await.ok();
    owner.invite("bob@example.com", "member").await.expect(StatusCode::CREATED);
    let invitations = (0..6).map(|_| owner.invite("carol@example.com", "member"));
    let answers = futures_util::future::join_all(invitations).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.code() == "invitation_pending").count(), 5);
}

#[tokio::test]
async fn sending_it_again_makes_the_earlier_link_worthless() {
    let app = TestApp::spawn().await;
    let (owner, person) = (app.owner().await, app.person().await);
    let (id, first) = app.invited(&owner, &person.email, "member").await;
    let resent = owner.act(&owner.path(&format!("/invitations/{id}/resend"))).await.ok();
    assert_eq!(resent.text_of("id"), id);
    let second = app.invitation_mailed(&person.email, &id, 2).await;
    assert_ne!(first, second);
    accept(&person, &first).await.problem(404, "not_found");
    person.post("/v1/invitations/decline", json!({"token": first})).await.problem(404, "not_found");
    assert_eq!(state(&owner, &id).await, "pending");
    accept(&person, &second).await.ok();
    owner.act(&owner.path(&format!("/invitations/{id}/resend"))).await.problem(409, "invitation_accepted");
}

#[tokio::test]
async fn only_the_invited_address_may_answer() {
    let app = TestApp::spawn().await;
    let (owner, person, other) = (app.owner().await, app.person().await, app.person().await);
    let (id, token) = app.invited(&owner, &person.email, "member").await;
    for action in ["preview", "accept", "decline"] {
        let path = format!("/v1/invitations/{action}");
        other.post(&path, json!({"token": token})).await.problem(403, "invitation_for_other_address");
        app.anonymous.post(&path, json!({"token": token})).await.problem(401, "unauthenticated");
        let mut forged = token.clone().into_bytes();
        forged[10] = if forged[10] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        person.post(&path, json!({"token": forged})).await.problem(404, "not_found");
    }
    assert_eq!(state(&owner, &id).await, "pending");
    accept(&person, &token).await.ok();
}

#[tokio::test]
async fn a_full_plan_leaves_the_invitation_pending() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    app.member_of(&owner, "member").await;
    let (one, other) = (app.person().await, app.person().await);
    let (of_one, token_of_one) = app.invited(&owner, &one.email, "member").await;
    let (of_other, token_of_other) = app.invited(&owner, &other.email, "member").await;
    // One seat, and two who want it at the same time.
    let (answer_of_one, answer_of_other) =
        futures_util::future::join(accept(&one, &token_of_one), accept(&other, &token_of_other)).await;
    let (refused, person, id, token) = match (answer_of_one.status, answer_of_other.status) {
        (200, _) => (answer_of_other, other, of_other, token_of_other),
        _ => (answer_of_one, one, of_one, token_of_one),
    };
    refused.problem(409, "seat_limit_reached");
    assert_eq!(state(&owner, &id).await, "pending");
    person.get(&owner.path("")).await.problem(404, "not_found");
    owner.post(&owner.path("/subscription/change"), json!({"plan": "pro"})).await.ok();
    accept(&person, &token).await.ok();
    owner
        .post(&owner.path("/subscription/change"), json!({"plan": "free"}))
        .await
        .problem(409, "seats_in_use");
}

#[tokio::test]
async fn a_link_is_good_for_its_time() {
    let app = TestApp::spawn().await;
    let (owner, person) = (app.owner().await, app.person().await);
    for days in [0, 31] {
        let body = json!({"email": person.email, "role": "member", "expires_in_days": days});
        let answer = owner.post(&owner.path("/invitations"), body).await.problem(422, "validation_failed");
        assert_eq!(answer.faults(), ["/expires_in_days=out_of_range"]);
    }
    // Nothing less than a day can be asked for over HTTP.
    let tenant = owner.tenant.parse().unwrap();
    let ctx = Ctx::system(tenant, Utc::now());
    let (email, valid_for) = (person.email.parse().unwrap(), TimeDelta::milliseconds(1));
    let invite = Invite { email, role: Role::Member, valid_for };
    let invitation = invitations::invite(&ctx, &app.annals.app, invite).await.unwrap().value;
    let token = InvitationToken { tenant, invitation, generation: 1 };
    let token = app.annals.app.tokens.invitation(token);
    eventually("it expires", async || {
        let preview = person.post("/v1/invitations/preview", json!({"token": token})).await;
        (preview.status != 200).then(|| preview.problem(409, "invitation_expired"))
    })
    .await;
    accept(&person, &token).await.problem(409, "invitation_expired");
    // A new one closes it for good.
    let head = owner.head().await;
    let (_, token) = app.invited(&owner, &person.email, "auditor").await;
    assert_eq!(types(&owner.journal_after(head).await), ["InvitationExpired", "InvitationSent"]);
    assert_eq!(state(&owner, &invitation.to_string()).await, "expired");
    accept(&person, &token).await.ok();
}

#[tokio::test]
async fn what_is_declined_or_revoked_is_over() {
    let app = TestApp::spawn().await;
    let (owner, person) = (app.owner().await, app.person().await);
    let (declined, token) = app.invited(&owner, &person.email, "member").await;
    let answer = person.post("/v1/invitations/decline", json!({"token": token})).await.ok();
    assert_eq!(
        (answer.text_of("tenant_id"), answer.text_of("state")),
        (owner.tenant.clone(), "declined".to_owned())
    );
    accept(&person, &token).await.problem(409, "invitation_declined");
    let (revoked, token) = app.invited(&owner, &person.email, "member").await;
    let revoke = owner.path(&format!("/invitations/{revoked}/revoke"));
    assert_eq!(owner.act(&revoke).await.ok().text_of("state"), "revoked");
    accept(&person, &token).await.problem(409, "invitation_revoked");
    let position = owner.head().await;
    for (filter, ids) in [
        ("?state=declined", vec![&declined]),
        ("?state=revoked", vec![&revoked]),
        ("?state=pending", vec![]),
        ("?", vec![&revoked, &declined]),
    ] {
        let list =
            owner.get(&owner.path(&format!("/invitations{filter}&min_position={position}"))).await.ok();
        assert_eq!(list.all("id").iter().collect::<Vec<_>>(), ids, "{filter}");
    }
    owner.get(&owner.path("/invitations?state=lost")).await.problem(422, "validation_failed");
}

#[tokio::test]
async fn nobody_invites_to_more_than_they_have() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let admin = app.member_of(&owner, "admin").await;
    let member = app.member_of(&owner, "member").await;
    let invite = async |person: &Person, role: &str| {
        person.post(&owner.path("/invitations"), json!({"email": "bob@example.com", "role": role})).await
    };
    for role in ["owner", "admin", "member", "auditor"] {
        invite(&member, role).await.problem(403, "missing_permission");
    }
    invite(&admin, "owner").await.problem(403, "missing_permission");
    let id = invite(&admin, "admin").await.expect(StatusCode::CREATED).text_of("id");
    for action in ["resend", "revoke"] {
        let path = owner.path(&format!("/invitations/{id}/{action}"));
        member.act(&path).await.problem(403, "missing_permission");
    }
}
