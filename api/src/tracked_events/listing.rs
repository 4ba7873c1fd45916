//! Listing tracked events.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use domain::ids::{ProjectId, TenantId};
use projections::tracked_events::{TrackedEventFilter, TrackedEventItem};

use crate::{
    annals::Annals,
    caller::Member,
    http::{
        answer::List,
        listing::Listing,
        path::Ids,
        problem::Problem,
        query::{Query, query},
    },
};

query! {
    /// Which events.
    pub struct EventQuery {
        /// Only those with this name.
        pub event: Option<String>,
        /// Only those of this user.
        pub user_id: Option<String>,
        /// Only those that happened then or later.
        pub from: Option<DateTime<Utc>>,
        /// Only those that happened earlier.
        pub to: Option<DateTime<Utc>>,
    }
}

/// The project's events, the last recorded first.
#[utoipa::path(tag = "tracking", params(Listing<EventQuery, u64>), responses((status = 200, body = List<TrackedEventItem>)))]
#[get("/v1/tenants/{tenant}/projects/{project}/events")]
pub(super) async fn list(
    annals: web::Data<Annals>,
    member: Member,
    ids: Ids<(TenantId, ProjectId)>,
    listing: Query<Listing<EventQuery, u64>>,
) -> Result<List<TrackedEventItem>, Problem> {
    let (Ids((_, project)), Query(listing)) = (ids, listing);
    let EventQuery { event, user_id, from, to } = &listing.filter;
    let filter = TrackedEventFilter { event: event.clone(), user_id: user_id.clone(), from: *from, to: *to };
    let (database, page) = (&annals.database, listing.page());
    let page = projections::tracked_events::list(
        &member.ctx,
        database,
        project,
        &filter,
        page,
        listing.min_position,
    )
    .await?;
    Ok(listing.answer(page))
}
