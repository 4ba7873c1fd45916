//! The lines of a file of people's keys.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::ids::TenantId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a file of people's keys says that it is.
pub const FORMAT: &str = "annals-people";
/// The format's version.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleHeader {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Whose journal names them.
    pub tenant: TenantId,
    /// How many events the export has that it was written with.
    pub events: u64,
    /// The root of the tree over them, in hexadecimal.
    pub root: String,
}

/// A person's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonLine {
    /// Whom it is wrapped for.
    pub(super) subject: Uuid,
    /// Whose it is, if not theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) past_of: Option<Uuid>,
    /// The id that sealed texts name.
    pub(super) key: Uuid,
    /// What it is wrapped with.
    pub(super) wrapped_by: String,
    /// The key, in base64; none: it is destroyed.
    pub(super) wrapped: Option<String>,
}

/// A key as the table has it.
pub(super) struct PersonRow {
    pub(super) subject_id: Uuid,
    pub(super) past_of: Option<Uuid>,
    pub(super) key_id: Uuid,
    pub(super) wrapped_by: String,
    pub(super) wrapped: Option<Vec<u8>>,
}

impl From<PersonRow> for PersonLine {
    fn from(row: PersonRow) -> Self {
        Self {
            subject: row.subject_id,
            past_of: row.past_of,
            key: row.key_id,
            wrapped_by: row.wrapped_by,
            wrapped: row.wrapped.map(|wrapped| STANDARD.encode(wrapped)),
        }
    }
}
