//! A signed statement of how a journal was at some time.

use domain::ids::TenantId;

/// A checkpoint whose signature is known to be good (C2SP tlog-checkpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose journal.
    pub tenant: TenantId,
    /// How many events it had: the position of the last one.
    pub size: u64,
    /// The root of the tree over their leaf hashes.
    pub root: [u8; 32],
    /// The whole text, signature included.
    pub note: String,
}

/// Why a text is no good checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note of a checkpoint.
    #[error("it is not a signed checkpoint")]
    Malformed,
    /// Not signed with this key.
    #[error("it is not signed with this key")]
    OtherKey,
    /// It says that this key has signed it, which is not so.
    #[error("its signature is wrong")]
    Signature,
    /// Signed, but of something else.
    #[error("its first line does not name this key and a tenant")]
    Origin,
}
