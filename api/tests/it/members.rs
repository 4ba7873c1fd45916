//! Roles, removals, and the owner that a tenant always has.

use application::{error::Error, workspaces};
use chrono::Utc;
use domain::{
    ctx::{Admission, Ctx},
    permission::Role,
};
use futures_util::future::join;
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    actors::{Member, Owner, Person},
    app::TestApp,
    client::Answer,
};

async fn own_id(owner: &Owner) -> String {
    let members = owner.get(&owner.path("/members?min_position=7")).await.ok();
    members.items().iter().find(|member| member["user_id"] == owner.id).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn set_role(person: &Person, owner: &Owner, member: &str, role: &str) -> Answer {
    person.patch(&owner.path(&format!("/members/{member}")), json!({"role": role})).await
}

#[tokio::test]
async fn the_last_owner_stays() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let admin = app.member_of(&owner, "admin").await;
    let own = own_id(&owner).await;
    let head = owner.head().await;
    owner.act(&owner.path("/members/leave")).await.problem(409, "last_owner");
    owner.delete(&owner.path(&format!("/members/{own}"))).await.problem(409, "last_owner");
    set_role(&owner, &owner, &own, "admin").await.problem(409, "last_owner");
    assert_eq!(owner.head().await, head);
    set_role(&owner, &owner, &admin.id, "owner").await.ok();
    owner.act(&owner.path("/members/leave")).await.expect(StatusCode::NO_CONTENT);
    owner.get(&owner.path("")).await.problem(404, "not_found");
    admin.act(&owner.path("/members/leave")).await.problem(409, "last_owner");
}

#[tokio::test]
async fn two_owners_who_demote_each_other_leave_one() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let other = app.member_of(&owner, "owner").await;
    let own = own_id(&owner).await;
    for _ in 0..6 {
        let demotions =
            join(set_role(&owner, &owner, &other.id, "admin"), set_role(&other, &owner, &own, "admin"));
        let (of_other, of_own) = demotions.await;
        let (survivor, demoted): (&Person, &str) = match (of_other.status, of_own.status) {
            (200, 403 | 409) => (&owner, &other.id),
            (403 | 409, 200) => (&other, &own),
            _ => panic!("{of_other:?}, {of_own:?}"),
        };
        set_role(survivor, &owner, demoted, "owner").await.ok();
    }
}

#[tokio::test]
async fn nobody_gives_or_takes_more_than_they_have() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let admin = app.member_of(&owner, "admin").await;
    let member = app.member_of(&owner, "member").await;
    let own = own_id(&owner).await;
    let forbidden = "missing_permission";
    set_role(&admin, &owner, &member.id, "owner").await.problem(403, forbidden);
    set_role(&admin, &owner, &admin.id, "owner").await.problem(403, forbidden);
    set_role(&admin, &owner, &own, "member").await.problem(403, forbidden);
    admin.delete(&owner.path(&format!("/members/{own}"))).await.problem(403, forbidden);
    set_role(&member, &owner, &member.id, "admin").await.problem(403, forbidden);
    member.delete(&owner.path(&format!("/members/{}", admin.id))).await.problem(403, forbidden);
    set_role(&admin, &owner, &member.id, "auditor").await.ok();
    set_role(&admin, &owner, "mem_01h455vb4pex5vsknk084sn02q", "auditor").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_role_and_a_removal_take_effect_with_the_next_request() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let member = app.member_of(&owner, "member").await;
    let create =
        async |person: &Member| person.post(&owner.path("/workspaces"), json!({"name": "Lab"})).await;
    create(&member).await.problem(403, "missing_permission");
    let changed = set_role(&owner, &owner, &member.id, "admin").await.ok();
    create(&member).await.ok();
    let path = owner.path(&format!("/members/{}", member.id));
    let read = owner.get(&format!("{path}?min_position={}", changed.position())).await.ok();
    assert_eq!((read.text_of("role"), read.etag()), ("admin".to_owned(), changed.etag()));
    let gone = owner.delete(&path).await.expect(StatusCode::NO_CONTENT);
    create(&member).await.problem(404, "not_found");
    owner.get(&format!("{path}?min_position={}", gone.position())).await.problem(404, "not_found");
    let me = member.get("/v1/me").await.ok();
    assert_eq!(me.data()["memberships"], json!([]));
}

#[tokio::test]
async fn a_seat_is_given_back_by_who_goes() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let taken = async |position: u64| {
        let path = owner.path(&format!("/subscription?min_position={position}"));
        owner.get(&path).await.ok().data()["seats_taken"].clone()
    };
    let leaver = app.member_of(&owner, "member").await;
    let removed = app.member_of(&owner, "member").await;
    assert_eq!(taken(owner.head().await).await, 3);
    leaver.act(&owner.path("/members/leave")).await.expect(StatusCode::NO_CONTENT);
    owner.delete(&owner.path(&format!("/members/{}", removed.id))).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(taken(owner.head().await).await, 1);
    // Who left can be invited again, and is the same member.
    let (_, token) = app.invited(&owner, &leaver.email, "auditor").await;
    let back = leaver.post("/v1/invitations/accept", json!({"token": token})).await.ok();
    assert_eq!(back.text_of("member_id"), leaver.id);
    let path = owner.path(&format!("/members/{}?min_position={}", leaver.id, back.position()));
    assert_eq!(owner.get(&path).await.ok().text_of("role"), "auditor");
}

/// A request is let in when its head arrives, and carried out when its body has: the commit looks again.
#[tokio::test]
async fn who_is_let_in_no_more_changes_nothing_by_a_request_under_way() {
    let app = TestApp::spawn().await;
    let owner = app.owner().await;
    let admin = app.member_of(&owner, "admin").await;
    let ctx = Ctx {
        permissions: Role::Admin.permissions(),
        admission: Admission::Member(admin.id.parse().unwrap()),
        ..Ctx::system(owner.tenant.parse().unwrap(), Utc::now())
    };
    let create = async || workspaces::create(&ctx, &app.annals.app, "Lab".parse().unwrap()).await;
    create().await.unwrap();
    set_role(&owner, &owner, &admin.id, "auditor").await.ok();
    assert!(matches!(create().await, Err(Error::VersionConflict)));
    owner.delete(&owner.path(&format!("/members/{}", admin.id))).await.expect(StatusCode::NO_CONTENT);
    assert!(matches!(create().await, Err(Error::Refused { code: "not_found", .. })));
}
