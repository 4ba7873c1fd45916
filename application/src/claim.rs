//! Values that only one stream may hold.

use domain::ids::TenantId;
use uuid::Uuid;

use crate::error::Error;

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

impl ClaimKind {
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
