//! The demo tenant that `annals serve --demo` comes with: made through the same use cases as any other.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use application::{
    api_keys,
    app::App,
    claim::ClaimKind,
    invitations::{self, Invite},
    passwords::Password,
    subscriptions, tenants,
    tokens::{InvitationToken, VerificationToken},
    tracked_events,
    users::{self, Registration},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ctx::Ctx,
    ids::{EventId, ProjectId, TenantId, UserId, WorkspaceId},
    permission::Role,
    plan::Plan,
    projects::ProjectCreated,
    raw_json::RawJson,
    text::{Email, Name},
    tracked_events::{EventTracked, TrackedKind},
    users::Account,
};
use serde::{Deserialize, Serialize};

/// The password of the demo's users.
pub(super) const PASSWORD: &str = "annals-demo";
/// The demo tenant's owner, who also administers the installation.
pub(super) const OWNER: &str = "ada@demo.example";
/// Its other member.
pub(super) const MEMBER: &str = "bob@demo.example";
/// Who is invited and has not answered.
const INVITED: &str = "carol@demo.example";
/// How many events are tracked.
const EVENTS: usize = 3_000;

/// What a visitor of the demo needs to know; kept in the data directory, because a key's secret is shown only once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Demo {
    /// The demo tenant.
    pub(super) tenant: TenantId,
    /// Its project.
    pub(super) project: ProjectId,
    /// A key of that project.
    pub(super) api_key: String,
}

/// The demo, made if it is not there yet. Every step can be repeated, so a start that was killed is completed by the
/// next.
pub(super) async fn prepare(app: &App, data_dir: &Path) -> anyhow::Result<Demo> {
    let file = data_dir.join("demo.json");
    if let Ok(text) = fs::read_to_string(&file) {
        let demo: Demo = serde_json::from_str(&text)?;
        if app.journal.head(demo.tenant).await? > 0 {
            return Ok(demo);
        }
    }
    let demo = make(app).await?;
    let unfinished = file.with_extension("new");
    let mut written =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    written.write_all(&serde_json::to_vec_pretty(&demo)?)?;
    fs::rename(unfinished, file)?;
    Ok(demo)
}

async fn make(app: &App) -> anyhow::Result<Demo> {
    let platform = Ctx::system(TenantId::PLATFORM, Utc::now());
    let ada = user(app, &platform, OWNER, "Ada Lovelace").await?;
    let bob = user(app, &platform, MEMBER, "Bob Babbage").await?;
    users::grant_administrator(&platform, app, &ada.email).await?;

    let tenant = match app.journal.holder(TenantId::PLATFORM, ClaimKind::Slug, "demo").await? {
        Some(tenant) => tenant.into(),
        None => {
            let (name, slug) = ("Demo Company".parse()?, Some("demo".parse()?));
            tenants::found(&platform, app, &ada, name, slug).await?.value.tenant
        }
    };
    let ctx = Ctx { actor: application::sessions::actor(&ada), ..Ctx::system(tenant, Utc::now()) };
    subscriptions::change_plan(&ctx, app, Plan::Pro).await?;
    join(app, &ctx, &bob).await?;
    invite(app, &ctx, INVITED.parse()?, Role::Auditor).await?;
    let (workspace, project) = first_project(app, tenant).await?;
    let api_key = api_keys::issue(&ctx, app, project, "Demo key".parse()?).await?.value.secret;
    let events = events(workspace, project, Utc::now());
    for batch in events.chunks(500) {
        tracked_events::track(&ctx, app, batch.into()).await?;
    }
    Ok(Demo { tenant, project, api_key })
}

/// The account with this address, registered and verified.
async fn user(app: &App, platform: &Ctx, email: &str, name: &str) -> anyhow::Result<Account> {
    let email: Email = email.parse()?;
    if app.journal.holder(TenantId::PLATFORM, ClaimKind::Email, email.as_str()).await?.is_none() {
        let (password, name): (_, Name) = (Password::chosen(PASSWORD.to_owned())?, name.parse()?);
        users::register(platform, app, Registration { email: email.clone(), password, name }).await?;
    }
    let user = app.journal.holder(TenantId::PLATFORM, ClaimKind::Email, email.as_str()).await?;
    let user: UserId = user.ok_or_else(|| anyhow::anyhow!("{email} was registered and is not there"))?.into();
    let token = app.tokens.verification(VerificationToken { user, generation: 1 });
    users::verify_email(platform, app, &token, None).await?;
    Ok(users::account(platform, app, user).await?)
}

/// Makes somebody a member, by an invitation that they accept.
async fn join(app: &App, ctx: &Ctx, account: &Account) -> anyhow::Result<()> {
    let Some(invitation) = invite(app, ctx, account.email.clone(), Role::Member).await? else {
        return Ok(());
    };
    let token = app.tokens.invitation(InvitationToken { tenant: ctx.tenant, invitation, generation: 1 });
    invitations::accept(ctx, app, account, &token).await?;
    Ok(())
}

/// Invites an address, or finds the invitation that it has; `None` if it belongs to a member.
async fn invite(
    app: &App,
    ctx: &Ctx,
    email: Email,
    role: Role,
) -> anyhow::Result<Option<domain::ids::InvitationId>> {
    if let Some(earlier) = app.journal.holder(ctx.tenant, ClaimKind::Invitation, email.as_str()).await? {
        return Ok(Some(earlier.into()));
    }
    let invite = Invite { email, role, valid_for: TimeDelta::days(30) };
    match invitations::invite(ctx, app, invite).await {
        Ok(written) => Ok(Some(written.value)),
        Err(application::error::Error::Refused { code: "already_member", .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn first_project(app: &App, tenant: TenantId) -> anyhow::Result<(WorkspaceId, ProjectId)> {
    // Every journal begins with what every tenant begins with.
    let beginning = app.journal.read(tenant, 0, 10).await?;
    let created = beginning.iter().find_map(|event| event.fact::<ProjectCreated>());
    let created = created.ok_or_else(|| anyhow::anyhow!("{tenant} has no project"))??;
    Ok((created.workspace_id, created.project_id))
}

/// A month of a small shop: the same events whenever it is made, but for the dates.
fn events(workspace_id: WorkspaceId, project_id: ProjectId, now: DateTime<Utc>) -> Vec<EventTracked> {
    const NAMES: [&str; 5] =
        ["Product Viewed", "Product Viewed", "Product Added", "Checkout Started", "Order Completed"];
    let event = |index: usize| {
        let message_id = format!("demo-{index:06}");
        let minutes = 30 * 24 * 60 * (EVENTS - index) / EVENTS;
        // Spread by a multiplicative hash, so that users and amounts look like a shop's and never change.
        let spread = index.wrapping_mul(2_654_435_761) % 9_973;
        let properties = format!(r#"{{"revenue":{}.{:02},"currency":"EUR"}}"#, spread % 90 + 5, spread % 100);
        EventTracked {
            event_id: EventId::of_message(project_id, &message_id),
            workspace_id,
            project_id,
            message_id,
            kind: TrackedKind::Track,
            event: Some(NAMES[spread % NAMES.len()].to_owned()),
            user_id: Some(format!("user-{}", spread % 200)),
            anonymous_id: None,
            group_id: None,
            previous_id: None,
            timestamp: now - TimeDelta::minutes(minutes as i64),
            properties: serde_json::value::RawValue::from_string(properties)
                .ok()
                .and_then(|raw| RawJson::parse(raw).ok()),
            traits: None,
            context: None,
        }
    };
    (0..EVENTS).map(event).collect()
}
