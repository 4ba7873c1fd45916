//! Signing up, signing in, staying signed in, signing out.

use infrastructure::test_redis;
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    actors::{PASSWORD, refresh_token},
    app::{Setup, TestApp},
    client::Answer,
};

impl TestApp {
    /// Continues a session.
    async fn refresh(&self, token: &str) -> Answer {
        let cookie = format!("refresh_token={token}");
        let request = self.anonymous.request(reqwest::Method::POST, "/v1/auth/refresh");
        request.header("cookie", &cookie).send().await
    }
}

#[tokio::test]
async fn from_registering_to_being_somebody() {
    let app = TestApp::spawn().await;
    let answer = app.register(" Ada@Example.COM ", PASSWORD).await.expect(StatusCode::CREATED);
    let user = answer.data()["user"].clone();
    assert_eq!((&user["email"], &user["email_verified"]), (&json!("ada@example.com"), &json!(false)));
    let token = app.token_mailed("ada@example.com", "verify-email", 1).await;
    let verified = app.verify(&token).await.ok();
    assert_eq!(verified.data()["user_id"], user["id"]);
    app.verify(&token).await.ok();

    let login = app.login("ADA@example.com", PASSWORD).await.ok();
    assert_eq!((&login.data()["token_type"], &login.data()["expires_in"]), (&json!("Bearer"), &json!(900)));
    let cookie = login.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/v1/auth", "Max-Age="] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let me = app.anonymous.bearing(&login.text_of("access_token")).get("/v1/me").await.ok();
    assert_eq!(me.data()["user"]["id"], user["id"]);
    assert_eq!((&me.data()["user"]["email_verified"], &me.data()["memberships"]), (&json!(true), &json!([])));
    let welcome = app.await_mails("ada@example.com", 2).await;
    assert!(welcome.iter().any(|mail| !mail.contains("?token=")), "{welcome:?}");
}

#[tokio::test]
async fn a_refresh_token_is_spent_once_and_its_theft_ends_the_session() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    let first = person.refresh_token.clone();
    let second = refresh_token(&app.refresh(&first).await.ok());
    assert_ne!(second, first);
    // Two tabs of one browser: within seconds the parent gets the same successor.
    assert_eq!(refresh_token(&app.refresh(&first).await.ok()), second);
    let answer = app.refresh(&second).await.ok();
    let (third, access) = (refresh_token(&answer), app.anonymous.bearing(&answer.text_of("access_token")));
    access.get("/v1/me").await.ok();
    // The grandparent is in two hands.
    app.refresh(&first).await.problem(401, "session_ended");
    app.refresh(&third).await.problem(401, "session_ended");
    access.get("/v1/me").await.problem(401, "session_ended");
    person.get("/v1/me").await.problem(401, "session_ended");
    // The user's other sessions go on.
    app.signed_in(&person.id, &person.email).await.get("/v1/me").await.ok();
}

#[tokio::test]
async fn signing_out_is_at_once_and_of_one_session() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    let elsewhere = app.signed_in(&person.id, &person.email).await;
    person.act("/v1/auth/logout").await.expect(StatusCode::NO_CONTENT);
    person.get("/v1/me").await.problem(401, "session_ended");
    app.refresh(&person.refresh_token).await.problem(401, "session_ended");
    elsewhere.get("/v1/me").await.ok();
}

#[tokio::test]
async fn what_is_no_token_signs_nobody_in() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    for token in ["", "x", "a.b.c", &person.refresh_token] {
        app.anonymous.bearing(token).get("/v1/me").await.problem(401, "unauthenticated");
        app.refresh(&format!("{token}x")).await.problem(401, "session_not_found");
        app.verify(token).await.problem(410, "verification_link_outdated");
    }
    let answer = app.anonymous.act("/v1/auth/refresh").await.problem(401, "session_not_found");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_refused_sign_in_tells_nothing_but_to_who_knows_the_password() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    let (unverified, _) = app.registered().await;
    let wrong = app.login(&person.email, "wrong password").await.problem(401, "invalid_credentials");
    let unknown = app.login("nobody@example.com", PASSWORD).await.problem(401, "invalid_credentials");
    let both = app.login(&unverified, "wrong password").await.problem(401, "invalid_credentials");
    assert_eq!(wrong.anonymized(), unknown.anonymized());
    assert_eq!(wrong.anonymized(), both.anonymized());
    app.login(&unverified, PASSWORD).await.problem(403, "email_not_verified");
}

#[tokio::test]
async fn ten_failures_lock_an_address_known_or_not() {
    locks(TestApp::spawn().await).await;
}

#[tokio::test]
async fn ten_failures_lock_an_address_for_all_nodes_of_a_redis() {
    let setup = || Setup { redis_url: Some(test_redis::url()), ..Setup::default() };
    let app = TestApp::with(setup()).await;
    let ready = app.anonymous.get("/health/ready").await.ok();
    assert_eq!(ready.json["redis"], "ok");
    let address = locks(app).await;
    // Another node knows of it.
    let other = TestApp::with(setup()).await;
    other.login(&address, PASSWORD).await.problem(423, "account_locked");
}

/// Locks a known and an unknown address; gives one of them.
async fn locks(app: TestApp) -> String {
    // The Redis is shared by the run's tests, so the addresses are nobody else's.
    let unique = domain::ids::UserId::random().to_string();
    let (known, unknown) = (format!("{unique}@example.com"), format!("not-{unique}@example.com"));
    app.register(&known, PASSWORD).await.ok();
    for address in [&known, &unknown] {
        for _ in 0..10 {
            app.login(address, "wrong password").await.problem(401, "invalid_credentials");
        }
    }
    let locked = app.login(&known, PASSWORD).await.problem(423, "account_locked");
    let other = app.login(&unknown, PASSWORD).await.problem(423, "account_locked");
    assert_eq!(locked.anonymized(), other.anonymized());
    known
}

#[tokio::test]
async fn failures_before_a_success_are_forgotten() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    for _ in 0..2 {
        for _ in 0..9 {
            app.login(&person.email, "wrong password").await.problem(401, "invalid_credentials");
        }
        app.login(&person.email, PASSWORD).await.ok();
    }
}

#[tokio::test]
async fn registering_again_tells_the_owner_and_nobody_else() {
    let app = TestApp::spawn().await;
    let person = app.person().await;
    let first = app.registered().await.1;
    let again = app.register(&person.email, "another password").await.expect(StatusCode::CREATED);
    let fields =
        |answer: &Answer| answer.data()["user"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&again), fields(&first));
    assert_ne!(again.data()["user"]["id"], person.id, "which would be known to be another's");
    assert_eq!(again.data()["user"]["administrator"], false);
    // The verification, the welcome, and this.
    let mails = app.await_mails(&person.email, 3).await;
    assert!(mails.iter().any(|mail| mail.contains("You have an account already")), "{mails:?}");
    app.login(&person.email, "another password").await.problem(401, "invalid_credentials");
    app.login(&person.email, PASSWORD).await.ok();
}

#[tokio::test]
async fn simultaneous_registrations_of_an_address_make_one_account() {
    let app = TestApp::spawn().await;
    let passwords: Vec<String> = (0..4).map(|index| format!("password number {index}")).collect();
    let registrations = passwords.iter().map(|password| app.register("ada@example.com", password));
    let answers = futures_util::future::join_all(registrations).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    let token = app.token_mailed("ada@example.com", "verify-email", 1).await;
    app.verify(&token).await.problem(422, "password_needed");
    let verify = async |password: &str| {
        let body = json!({"token": token, "password": password});
        app.anonymous.post("/v1/auth/verify-email", body).await
    };
    verify("short").await.problem(422, "validation_failed");
    verify(&passwords[2]).await.ok();
    // The token has served its purpose: it sets no other password.
    verify("another password").await.ok();
    assert_eq!(app.login("ada@example.com", "another password").await.status, 401);
    for (index, password) in passwords.iter().enumerate() {
        assert_eq!(app.login("ada@example.com", password).await.status, if index == 2 { 200 } else { 401 });
    }
}

#[tokio::test]
async fn nobody_prepares_an_account_for_somebody_else() {
    let app = TestApp::spawn().await;
    app.register("ada@example.com", "the stranger's password").await.ok();
    app.register("ada@example.com", "ada's own password").await.ok();
    // Ada opens the link of whichever mail, and chooses the password.
    let token = app.token_mailed("ada@example.com", "verify-email", 2).await;
    app.verify(&token).await.problem(422, "password_needed");
    let body = json!({"token": token, "password": "ada's own password"});
    app.anonymous.post("/v1/auth/verify-email", body).await.ok();
    let stranger = app.login("ada@example.com", "the stranger's password").await;
    stranger.problem(401, "invalid_credentials");
    app.login("ada@example.com", "ada's own password").await.ok();
}

#[tokio::test]
async fn another_verification_mail_makes_the_earlier_link_worthless() {
    let app = TestApp::spawn().await;
    let (email, _) = app.registered().await;
    let first = app.token_mailed(&email, "verify-email", 1).await;
    let resend = async |email: &str| {
        let answer = app.anonymous.post("/v1/auth/verify-email/resend", json!({"email": email})).await;
        answer.expect(StatusCode::ACCEPTED)
    };
    let known = resend(&email).await;
    assert_eq!(known.json, resend("nobody@example.com").await.json);
    let second = app.token_mailed(&email, "verify-email", 2).await;
    app.verify(&first).await.problem(410, "verification_link_outdated");
    app.verify(&second).await.ok();
    // Nobody needs one any more; a mail that follows shows that none was sent in between.
    resend(&email).await;
    app.register(&email, PASSWORD).await.ok();
    let mails = app.await_mails(&email, 4).await;
    let confirmations = mails.iter().filter(|mail| mail.contains("/verify-email?token="));
    assert_eq!(confirmations.count(), 2, "{mails:?}");
    assert!(app.mails("nobody@example.com").is_empty());
}

#[tokio::test]
async fn an_address_of_the_network_may_not_try_without_end() {
    let app = TestApp::spawn().await;
    for left in (0..60).rev() {
        let answer = app.refresh("x").await;
        assert_eq!(answer.status, 401, "{left}: {answer:?}");
    }
    let answer = app.refresh("x").await.problem(429, "rate_limited");
    assert!((1..=60).contains(&answer.header("retry-after").unwrap().parse::<u32>().unwrap()));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"sign-in\";q=60;w=60"));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"sign-in\";r=0;t="), "{answer:?}");
    // Other kinds of requests have limits of their own.
    let registered = app.registered().await.1;
    assert_eq!(registered.header("ratelimit-policy"), Some("\"sign-up\";q=100;w=3600"));
}
