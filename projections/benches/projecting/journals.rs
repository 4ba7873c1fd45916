//! Journals to be projected.

use std::sync::Arc;

use application::{
    error::Error,
    journal::{Command, Journal},
    work::{Work, stream},
};
use chrono::{TimeDelta, Utc};
use domain::{
    api_keys::{ApiKey, ApiKeyCommand, ApiKeyIssued},
    ctx::{Actor, Ctx},
    ids::{ApiKeyId, EventId, MeterId, ProjectId, TenantId, WorkspaceId},
    meters::{Meter, MeterCommand},
    permission::Permissions,
    plan::Period,
    raw_json::RawJson,
    subscriptions::EventLimit,
    tracked_events::{EventTracked, TrackedEvent, TrackedEventCommand, TrackedKind},
    workspaces::{Workspace, WorkspaceCommand, WorkspaceCreated},
};
use serde_json::value::RawValue;
use uuid::Uuid;

/// How many tracked events come at once.
const BATCH: u64 = 500;
/// Names of deeds.
const DEEDS: [&str; 5] =
    ["Product Viewed", "Product Added", "Checkout Started", "Order Completed", "Signed In"];

/// Appends `count` events, each in a stream of its own, in one commit; returns the last one's position.
pub(crate) async fn create_workspaces(
    journal: &dyn Journal,
    tenant: TenantId,
    count: usize,
) -> Result<u64, Error> {
    let ids: Arc<[Uuid]> = (0..count).map(|_| WorkspaceId::random().uuid()).collect();
    let begun = Arc::clone(&ids);
    let decide = move |work: &mut Work| {
        for id in begun.iter() {
            let name = "Laboratory".parse().map_err(Error::internal)?;
            let created = WorkspaceCreated { workspace_id: (*id).into(), name };
            work.begin::<Workspace>(*id, WorkspaceCommand::Create(created))?;
        }
        Ok(())
    };
    let command = Command::new(&Ctx::system(tenant, Utc::now()), vec![], decide).beginning(ids);
    Ok(journal.transact(command).await?.recording.position())
}

/// Appends at least `count` events that an API key tracks, as they come over HTTP: in batches that a meter counts.
pub(crate) async fn track(journal: &dyn Journal, tenant: TenantId, count: u64) -> Result<(), Error> {
    let (api_key_id, project_id) = (ApiKeyId::random(), ProjectId::random());
    let issue = ApiKeyCommand::Issue(ApiKeyIssued {
        api_key_id,
        workspace_id: WorkspaceId::random(),
        project_id,
        name: "Shop".parse().map_err(Error::internal)?,
        scopes: Permissions::default(),
        secret_hash: "0".repeat(64),
        secret_hint: "0000".to_owned(),
    });
    let mut ctx = Ctx::system(tenant, Utc::now());
    let decide = move |work: &mut Work| work.execute::<ApiKey>(api_key_id, issue.clone()).map(drop);
    journal.transact(Command::new(&ctx, vec![stream::<ApiKey>(api_key_id)], decide)).await?;
    ctx.actor = Actor::ApiKey { id: api_key_id };
    let (meter, period) = (MeterId::of(tenant), Period::containing(ctx.now, ctx.now));
    for first in (0..count).step_by(BATCH as usize) {
        let events = (first..first + BATCH).map(|index| tracked(project_id, index));
        let events = events.collect::<Result<Vec<_>, Error>>()?;
        let firsts = events.iter().map(|event| event.event_id.uuid()).collect();
        let decide = move |work: &mut Work| {
            let limit = EventLimit::Unlimited;
            work.execute::<Meter>(meter, MeterCommand::Admit { requested: BATCH, period, limit })?;
            for event in &events {
                work.begin::<TrackedEvent>(event.event_id, TrackedEventCommand::Track(event.clone()))?;
            }
            Ok(())
        };
        journal.transact(Command::new(&ctx, vec![stream::<Meter>(meter)], decide).beginning(firsts)).await?;
    }
    Ok(())
}

fn tracked(project_id: ProjectId, index: u64) -> Result<EventTracked, Error> {
    let spread = index * 7_919;
    let message_id = format!("ajs-next-{project_id}-{index:012}");
    let properties = format!(
        r#"{{"product_id":"sku-{product}","revenue":{euros}.95,"currency":"EUR","quantity":2,"coupon":null}}"#,
        product = spread % 700,
        euros = spread % 90,
    );
    let context = concat!(
        r#"{"library":{"name":"analytics.js","version":"next-1.62.0"},"locale":"en-GB","page":{"path":"#,
        r#""/products/sku","title":"A product","url":"https://shop.example/products/sku"},"userAgent":"Mozilla/5.0 "#,
        r#"(X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"}"#,
    );
    Ok(EventTracked {
        event_id: EventId::of_message(project_id, &message_id),
        workspace_id: WorkspaceId::random(),
        project_id,
        message_id,
        kind: TrackedKind::Track,
        event: Some(DEEDS[(spread % 5) as usize].to_owned()),
        user_id: Some(format!("customer-{}", spread % 5_000)),
        anonymous_id: None,
        group_id: None,
        previous_id: None,
        timestamp: Utc::now() - TimeDelta::milliseconds((spread % 60_000) as i64),
        properties: Some(json(properties)?),
        traits: None,
        context: Some(json(context.to_owned())?),
    })
}

fn json(text: String) -> Result<RawJson, Error> {
    RawValue::from_string(text).and_then(RawJson::parse).map_err(Error::internal)
}
