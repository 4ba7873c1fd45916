//! A journal as a file: lines of JSON that hold all that it takes to verify it (docs/journal-format.md).

mod line;

use std::sync::Arc;

use application::error::Error;
use bytes::Bytes;
use domain::ids::TenantId;
use futures_util::{Stream, stream::try_unfold};
use serde::Serialize;

pub use self::line::{CheckpointLine, EventLine, FORMAT, Header, LineError, VERSION};
use crate::{
    database::Database,
    journal::stored::read_stored,
    notary::{
        PublicKey,
        signed::{Signed, kept},
    },
    tenant_tx::TenantTx,
    vault::Named,
};

/// How many events are read at a time: what an export has in memory.
const PAGE: u32 = 500;

/// What is to be exported: a tenant's journal as far as a signed tree covers it.
pub struct Export {
    /// The database that it is in.
    pub database: Database,
    /// The key that it is signed with.
    pub key: PublicKey,
    /// Whose.
    pub tenant: TenantId,
    /// The tree.
    pub tree: Signed,
}

/// Some lines of an export, and what is in them.
pub struct Lines {
    /// The lines.
    pub text: Bytes,
    /// How many events.
    pub events: u64,
    /// The people whom they name.
    pub named: Named,
}

/// How far an export is.
enum Place {
    Beginning,
    After(u64),
    End,
}

impl Export {
    /// The lines, read as they are asked for. A stream that fails has left out the last line, so that nobody takes what
    /// came for the whole.
    pub fn lines(self) -> impl Stream<Item = Result<Lines, Error>> + Send + 'static {
        let export = Arc::new(self);
        try_unfold(Place::Beginning, move |place| {
            let export = Arc::clone(&export);
            async move { export.next(place).await }
        })
    }

    async fn next(&self, place: Place) -> Result<Option<(Lines, Place)>, Error> {
        let mut text = Vec::new();
        match place {
            Place::Beginning => {
                let header = Header {
                    format: FORMAT.to_owned(),
                    version: VERSION,
                    tenant: self.tenant,
                    key: self.key.name().to_owned(),
                    events: self.tree.size,
                };
                write_line(&mut text, &header)?;
                Ok(Some((Lines { text: text.into(), events: 0, named: Named::default() }, Place::After(0))))
            }
            Place::After(position) if position < self.tree.size => {
                let mut named = Named::default();
                let last = self.page(position, &mut text, &mut named).await?;
                let events = last - position;
                Ok(Some((Lines { text: text.into(), events, named }, Place::After(last))))
            }
            Place::After(_) => {
                write_line(&mut text, &CheckpointLine { checkpoint: self.tree.checkpoint.clone() })?;
                Ok(Some((Lines { text: text.into(), events: 0, named: Named::default() }, Place::End)))
            }
            Place::End => Ok(None),
        }
    }

    /// Writes the next events, and the earlier checkpoints among them; tells the position of the last one.
    async fn page(&self, after: u64, text: &mut Vec<u8>, named: &mut Named) -> Result<u64, Error> {
        let mut tx = TenantTx::begin(&self.database, self.tenant).await?;
        let events = read_stored(&mut tx, after, self.tree.size, PAGE).await?;
        let Some(last) = events.last().map(|event| event.position) else {
            return Err(Error::internal(format!("the events of {} end at position {after}", self.tenant)));
        };
        let mut checkpoints =
            kept(&mut tx, after, last.min(self.tree.size - 1)).await?.into_iter().peekable();
        for event in events {
            let position = event.position;
            named.take(&event);
            write_line(text, &EventLine::from(event))?;
            while let Some((_, checkpoint)) = checkpoints.next_if(|(size, _)| *size <= position) {
                // One that an earlier key of the installation has signed is of no use to who has this one.
                if self.key.open(&checkpoint).is_ok() {
                    write_line(text, &CheckpointLine { checkpoint })?;
                }
            }
        }
        Ok(last)
    }
}

fn write_line(text: &mut Vec<u8>, line: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(&mut *text, line).map_err(Error::internal)?;
    text.push(b'\n');
    Ok(())
}
