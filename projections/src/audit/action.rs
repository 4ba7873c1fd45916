//! What the audit log calls what happened.

/// What an auditor calls an event: the thing, a dot, what was done to it.
pub(super) fn action(event_type: &str) -> String {
    let action = match event_type {
        "UserRegistered" => "user.registered",
        "RegistrationRepeated" => "user.registration_repeated",
        "VerificationRequested" => "user.verification_requested",
        "EmailVerified" => "user.email_verified",
        "SignInRefused" => "user.sign_in_refused",
        "AdministratorGranted" => "user.administrator_granted",
        "ErasureRequested" => "user.erasure_requested",
        "SubjectErased" => "user.erased",
        "SessionStarted" => "session.started",
        "SessionRefreshed" => "session.refreshed",
        "SessionEnded" => "session.ended",
        "TenantCreated" => "tenant.created",
        "TenantRenamed" => "tenant.renamed",
        "TenantSlugChanged" => "tenant.slug_changed",
        "TenantFrozen" => "tenant.frozen",
        "TenantUnfrozen" => "tenant.unfrozen",
        "OwnershipGranted" => "tenant.ownership_granted",
        "OwnershipEnded" => "tenant.ownership_ended",
        "WorkspaceCreated" => "workspace.created",
        "WorkspaceRenamed" => "workspace.renamed",
        "ProjectCreated" => "project.created",
        "ProjectRenamed" => "project.renamed",
        "ApiKeyIssued" => "api_key.issued",
        "ApiKeyRotated" => "api_key.rotated",
        "ApiKeyRevoked" => "api_key.revoked",
        "MemberJoined" => "member.joined",
        "MemberRoleChanged" => "member.role_changed",
        "MemberRemoved" => "member.removed",
        "MemberLeft" => "member.left",
        "MemberErased" => "member.erased",
        "InvitationSent" => "invitation.sent",
        "InvitationResent" => "invitation.resent",
        "InvitationAccepted" => "invitation.accepted",
        "InvitationDeclined" => "invitation.declined",
        "InvitationRevoked" => "invitation.revoked",
        "InvitationExpired" => "invitation.expired",
        "SubscriptionStarted" => "subscription.started",
        "TrialEnded" => "subscription.trial_ended",
        "PlanChanged" => "subscription.plan_changed",
        "SubscriptionCanceled" => "subscription.canceled",
        "SubscriptionResumed" => "subscription.resumed",
        "SubscriptionPaused" => "subscription.paused",
        "PaymentFailed" => "subscription.payment_failed",
        "PaymentReceived" => "subscription.payment_received",
        "SeatTaken" => "subscription.seat_taken",
        "SeatReleased" => "subscription.seat_released",
        "ForeignEventImported" => "foreign_aggregate.event_imported",
        other => return snake_case(other),
    };
    action.to_owned()
}

/// The name of an event that nobody has given an action yet.
fn snake_case(event_type: &str) -> String {
    let mut name = String::with_capacity(event_type.len() + 4);
    for letter in event_type.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
