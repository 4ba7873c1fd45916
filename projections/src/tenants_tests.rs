use domain::{
    ids::{MemberId, SubscriptionId, UserId},
    memberships::{MemberJoined, MemberLeft},
    permission::Role,
    plan::Plan,
    subscriptions::{PlanChanged, SubscriptionCanceled, SubscriptionStarted},
    tenants::{TenantCreated, TenantFrozen, TenantRenamed, TenantUnfrozen},
};

use super::*;
use crate::story::{Story, name, rows, time};

fn founded() -> Story {
    let mut story = Story::new();
    let (tenant_id, created_by) = (story.tenant, UserId::random());
    let slug = "acme".parse().unwrap();
    story.tell("tenant", tenant_id, TenantCreated { tenant_id, name: name("Acme"), slug, created_by });
    story
}

fn row(story: &Story) -> TenantRow {
    rows::<Tenants>(story).remove(&()).unwrap()
}

fn join(story: &mut Story) -> MemberId {
    let user_id = UserId::random();
    let member_id = MemberId::of(story.tenant, user_id);
    let email = "ada@example.com".parse().unwrap();
    let (name, role, workspace_ids) = (name("Ada"), Role::Member, vec![]);
    story.tell(
        "membership",
        member_id,
        MemberJoined { member_id, user_id, email, name, role, workspace_ids },
    );
    member_id
}

#[test]
fn a_new_tenant_is_active_and_has_nobody_and_no_plan() {
    let row = row(&founded());
    assert_eq!((row.slug.as_str(), row.state.as_str(), row.members), ("acme", "active", 0));
    assert_eq!((row.plan, row.subscription_state, row.sequence), (None, None, 1));
}

#[test]
fn freezing_tells_why_and_unfreezing_forgets_it() {
    let mut story = founded();
    story.tell("tenant", story.tenant, TenantFrozen { reason: "unpaid".to_owned() });
    assert_eq!(row(&story).frozen_reason.as_deref(), Some("unpaid"));
    assert_eq!(row(&story).state, "frozen");
    story.tell("tenant", story.tenant, TenantUnfrozen {});
    assert_eq!((row(&story).state.as_str(), row(&story).frozen_reason), ("active", None));
}

#[test]
fn members_and_the_subscription_show_but_do_not_count_as_edits_of_the_tenant() {
    let mut story = founded();
    let leaver = join(&mut story);
    join(&mut story);
    story.tell("membership", leaver, MemberLeft {});
    let id = SubscriptionId::of(story.tenant);
    let started_at = time("2026-01-01T00:00:00Z");
    let started = SubscriptionStarted {
        subscription_id: id,
        terms: Plan::Free.terms(),
        started_at,
        trial_ends_at: None,
    };
    story.tell("subscription", id, started);
    story.tell("subscription", id, PlanChanged { terms: Plan::Pro.terms() });
    story.tell("subscription", id, SubscriptionCanceled {});
    let row = row(&story);
    assert_eq!((row.members, row.plan.as_deref()), (1, Some("pro")));
    assert_eq!((row.subscription_state.as_deref(), row.sequence), (Some("canceled"), 1));
}

#[test]
fn an_event_before_the_founding_is_refused() {
    let mut story = Story::new();
    story.tell("tenant", story.tenant, TenantRenamed { name: name("Acme") });
    assert!(matches!(Tenants::apply(None, &story.events()[0]), Err(FoldError::MissingRow { .. })));
}
