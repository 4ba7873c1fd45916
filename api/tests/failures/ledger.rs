//! What clients remember: each request that could have changed something, and what they were told of it.

use std::{collections::BTreeMap, sync::Mutex};

use domain::ids::TenantId;

use crate::http::Answer;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Take in events of these message ids, in order.
    Track(Vec<String>),
    CreateWorkspace,
    Invite,
    Accept,
    RevokeInvitation,
    ChangeRole,
    RemoveMember,
    AgreeOnPlan,
    Cancel,
    Resume,
    TakeSlug,
    SignIn,
}

impl Deed {
    /// The events that it consists of, sorted; nothing for a batch, whose events depend on what came before.
    pub(crate) fn effect(&self) -> &'static [&'static str] {
        match self {
            Self::Track(_) => &[],
            Self::CreateWorkspace => &["WorkspaceCreated"],
            Self::Invite => &["InvitationSent"],
            Self::Accept => &["InvitationAccepted", "MemberJoined", "SeatTaken"],
            Self::RevokeInvitation => &["InvitationRevoked"],
            Self::ChangeRole => &["MemberRoleChanged"],
            Self::RemoveMember => &["MemberRemoved", "SeatReleased"],
            Self::AgreeOnPlan => &["PlanChanged"],
            Self::Cancel => &["SubscriptionCanceled"],
            Self::Resume => &["SubscriptionResumed"],
            Self::TakeSlug => &["TenantSlugChanged"],
            Self::SignIn => &["SessionStarted"],
        }
    }

    /// Whether it may succeed without changing anything, because all is as it asks for.
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Track(_) | Self::CreateWorkspace | Self::Invite | Self::Accept | Self::SignIn)
    }

    /// Whether such a refusal is part of the load: limits, taken names, and others who were faster.
    fn may_be_refused_with(&self, code: &str) -> bool {
        const EXPECTED: &[&str] = &[
            "quota_exceeded",
            "already_member",
            "invitation_pending",
            "invitation_accepted",
            "invitation_revoked",
            "seat_limit_reached",
            "seats_in_use",
            "subscription_inactive",
            "slug_taken",
            "version_conflict",
            "account_locked",
        ];
        let of_who_is_no_member =
            matches!(self, Self::ChangeRole | Self::RemoveMember) && code == "not_found";
        EXPECTED.contains(&code) || of_who_is_no_member
    }
}

/// What became of it, as far as its client knows.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It was told that it is done.
    Acknowledged(Answer),
    /// It was told that it is not, and why.
    Refused(Answer),
    /// It was told nothing that it could rely on.
    Unknown,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its `X-Request-Id`.
    pub(crate) id: String,
    pub(crate) tenant: TenantId,
    pub(crate) deed: Deed,
    pub(crate) fate: Fate,
}

/// All requests, and what clients found wrong at once.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: Mutex<Vec<Entry>>,
    complaints: Mutex<Vec<String>>,
    answers: Mutex<BTreeMap<String, u64>>,
}

impl Ledger {
    /// Writes down what became of a request.
    pub(crate) fn enter(&self, id: String, tenant: TenantId, deed: Deed, answer: Option<Answer>) {
        let fate = match answer {
            Some(answer) if answer.is_success() => Fate::Acknowledged(answer),
            Some(answer) if answer.status < 500 => {
                if !deed.may_be_refused_with(answer.code()) {
                    self.complain(format!("{id}: {deed:?} was refused: {answer:?}"));
                }
                Fate::Refused(answer)
            }
            Some(_) | None => Fate::Unknown,
        };
        self.entries.lock().unwrap().push(Entry { id, tenant, deed, fate });
    }

    /// Counts an answer. That the database is away may be said; that something is broken may not.
    pub(crate) fn count(&self, what: &str, answer: Option<&Answer>) {
        let told = match answer {
            None => "unknown".to_owned(),
            Some(answer) if answer.is_success() => answer.status.to_string(),
            Some(answer) => format!("{} {}", answer.status, answer.code()),
        };
        if let Some(answer) = answer
            && !matches!(answer.status, ..500 | 503 | 504)
        {
            self.complain(format!("{what} was answered {answer:?}"));
        }
        *self.answers.lock().unwrap().entry(told).or_default() += 1;
    }

    /// Writes down something that no client may ever see.
    pub(crate) fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }

    /// All requests so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// What clients found wrong.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// How often what was answered.
    pub(crate) fn summary(&self) -> String {
        let answers = self.answers.lock().unwrap();
        answers.iter().map(|(told, count)| format!("{told}: {count}")).collect::<Vec<_>>().join(", ")
    }
}
