//! How far projections are behind, as metrics tell it, against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use chrono::{TimeDelta, Utc};
use domain::ids::TenantId;
use projections::{
    ALL,
    lag::{self, ProjectionLag},
};

use self::fixture::Fixture;

#[tokio::test]
async fn the_lag_is_that_of_whoever_has_most_to_be_taken_in_and_of_whoever_waits_for_longest() {
    let fixture = Fixture::new().await;
    let lag = async |name: &str| -> ProjectionLag {
        let lags = lag::by_projection(&fixture.database, Utc::now()).await.unwrap();
        assert_eq!(lags.len(), ALL.len());
        lags.into_iter().find(|lag| lag.name == name).unwrap()
    };
    let counts = |lag: ProjectionLag| (lag.tenants_behind, lag.tenants_failing, lag.lag_events);
    assert_eq!(counts(lag("audit").await), (0, 0, 0));
    assert_eq!(lag("audit").await.lag_seconds, 0.0);

    let projector = fixture.projector(ALL);
    let (behind, failing, unbegun) = (fixture.tenant, TenantId::random(), TenantId::random());
    for tenant in [behind, failing] {
        fixture.append_to(tenant, 4).await;
        projector.catch_up(tenant).await.unwrap();
    }
    assert_eq!(counts(lag("audit").await), (0, 0, 0));
    fixture.append_many(2).await;
    assert_eq!(counts(lag("audit").await), (1, 0, 2));
    assert!(lag("audit").await.lag_seconds < 60.0);

    // One that stands apart, three events back.
    fixture
        .execute(&format!(
            "SELECT stand_apart('{0}', '{{audit}}');
             UPDATE projection_checkpoints SET position = 1, error = 'x'
             WHERE tenant_id = '{0}' AND projections = '{{audit}}'",
            failing.uuid()
        ))
        .await;
    assert_eq!(counts(lag("audit").await), (2, 1, 3));
    assert_eq!(counts(lag("members").await), (1, 0, 2));

    // Whom no projection has begun with.
    fixture.append_to(unbegun, 7).await;
    assert_eq!(counts(lag("audit").await), (3, 1, 7));
    assert_eq!(counts(lag("members").await), (2, 0, 7));
    let later = lag::by_projection(&fixture.database, Utc::now() + TimeDelta::hours(1)).await.unwrap();
    let hours = later[0].lag_seconds / 3_600.0;
    assert!((1.0..1.1).contains(&hours), "{hours}");

    // The one that waits for longest, though it has least to be taken in.
    fixture
        .execute(&format!(
            "ALTER TABLE events DISABLE TRIGGER immutable;
             UPDATE events SET recorded_at = recorded_at - interval '2 hours'
             WHERE tenant_id = '{}' AND position = 5;
             ALTER TABLE events ENABLE ALWAYS TRIGGER immutable",
            behind.uuid()
        ))
        .await;
    let hours = lag("members").await.lag_seconds / 3_600.0;
    assert!((2.0..2.1).contains(&hours), "{hours}");
}
