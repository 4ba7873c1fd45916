//! Values that only one stream may hold.

use domain::{aggregate::Decide, ids::TenantId, invitations::Invitation, tenants::Tenant, users::User};
use uuid::Uuid;

use crate::{
    error::Error,
    journal::{History, StreamRequest},
    loaded::replay,
    work::stream,
};

/// What kind of value is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    /// A user's e-mail address, on the platform.
    Email,
    /// A tenant's slug, on the platform.
    Slug,
    /// The address of a pending invitation, in its tenant.
    Invitation,
}

/// What tells from a stream's history alone which value it holds, so that claims can be counted anew.
pub struct Rule {
    /// The kind of the streams that hold such values.
    pub stream_kind: &'static str,
    request: fn(Uuid) -> StreamRequest,
    held: Box<Held>,
}

type Held = dyn Fn(&History) -> Result<Option<String>, Error> + Send + Sync;

impl ClaimKind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Email, Self::Slug, Self::Invitation];

    /// Which streams hold such values, and which value each: what use cases claim and give back agrees with it.
    pub fn rule(self) -> Rule {
        match self {
            Self::Email => Rule::of(|user: &User| {
                user.account().or_else(|| user.erasing()).map(|account| account.email.as_str())
            }),
            Self::Slug => Rule::of(|tenant: &Tenant| tenant.profile().map(|profile| profile.slug.as_str())),
            Self::Invitation => Rule::of(|invitation: &Invitation| match invitation {
                Invitation::Pending(offer) => Some(offer.email.as_str()),
                _ => None,
            }),
        }
    }

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Slug => "slug",
            Self::Invitation => "invitation",
        }
    }

    /// Whether the value is somebody's address, which nobody must read where claims are kept.
    pub fn is_address(self) -> bool {
        matches!(self, Self::Email | Self::Invitation)
    }

    /// Whether the value is unique in the whole installation, or else within its tenant.
    pub fn is_platform_wide(self) -> bool {
        matches!(self, Self::Email | Self::Slug)
    }

    /// Whose claims the value is unique among, when `tenant` claims it.
    pub fn scope(self, tenant: TenantId) -> TenantId {
        if self.is_platform_wide() { TenantId::PLATFORM } else { tenant }
    }
}

impl Rule {
    fn of<A: Decide + 'static>(held: fn(&A) -> Option<&str>) -> Self {
        Self {
            stream_kind: A::TYPE,
            request: stream::<A>,
            held: Box::new(move |history| Ok(held(&replay(history)?).map(str::to_owned))),
        }
    }

    /// The stream with this id.
    pub fn stream(&self, id: Uuid) -> StreamRequest {
        (self.request)(id)
    }

    /// The value that a stream of the kind holds, if it holds one.
    pub fn held(&self, history: &History) -> Result<Option<String>, Error> {
        (self.held)(history)
    }
}

/// A value that a commit claims for a stream. Claiming what the stream holds already changes nothing.
#[derive(Debug)]
pub struct Claim {
    /// What kind of value.
    pub kind: ClaimKind,
    /// The value, normalized.
    pub value: String,
    /// The stream that is to hold it.
    pub holder: Uuid,
    /// What the caller is told when another stream holds it.
    pub taken: Error,
}

/// A value that a commit gives back, if the stream holds it.
#[derive(Debug)]
pub struct Release {
    /// What kind of value.
    pub kind: ClaimKind,
    /// The value, normalized.
    pub value: String,
    /// The stream that holds it.
    pub holder: Uuid,
}
