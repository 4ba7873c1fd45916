//! A signed statement of how a journal was at some time.

use domain::ids::TenantId;
use signed_note::Note;
use tlog_tiles::Checkpoint as Text;

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

/// What a note says that it is about: whose journal, how many events, the root. Nobody has looked who signed it.
pub(crate) fn claimed(note: &str) -> Option<(TenantId, u64, [u8; 32])> {
    let note = Note::from_bytes(note.as_bytes()).ok()?;
    let text = Text::from_bytes(note.text()).ok()?;
    let (_, tenant) = text.origin().split_once('/')?;
    Some((tenant.parse().ok()?, text.size(), text.hash().0))
}
