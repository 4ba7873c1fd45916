//! People's keys on their way to another installation with the same secret key, so that what a journal says about them can
//! be read where it is restored. Keys never travel unwrapped, and who is erased on either side stays erased.
//!
//! A file of them is lines of JSON: a header, which says which export it belongs to, a line for each key, and a line for
//! each private value that a stream of the journal keeps.

mod line;
mod secrets;
mod taking_in;
mod taking_out;

use application::error::Error;
use uuid::Uuid;

pub use self::{
    line::{FORMAT, PeopleHeader, PersonLine, VERSION},
    secrets::{SecretLine, secrets, take_in_secrets},
    taking_in::{TakenIn, take_in},
    taking_out::{people, unknown},
};

/// Why people's keys are not taken in.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// They can't be unwrapped.
    #[error(
        "the keys are wrapped with a key that this installation does not have; give it those of the installation that \
         exported them (ANNALS_SECRET_KEY and ANNALS_SEALING_KEYS, or secret.key and sealing.keys in its data directory)"
    )]
    OtherSecret,
    /// They are not what they were.
    #[error("the key or the private value of {0} is damaged")]
    Damaged(Uuid),
    /// Somebody was given a key at the same moment.
    #[error("people's keys have changed meanwhile; run it again")]
    Changed,
    /// The database.
    #[error(transparent)]
    Failed(#[from] Error),
}
