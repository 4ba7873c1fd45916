//! What comes in beside a restored journal.

use std::collections::HashMap;

use application::error::Error;
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{aggregate::Fact, ids::TenantId, users::SubjectErased};
use uuid::Uuid;

use super::{
    TransferError,
    line::{PersonLine, PersonRow},
};
use crate::{
    database::{Database, database_error},
    tenant_tx::TenantTx,
    vault::{
        Keyring, Named, Source,
        addresses::{ADDRESSES, is_address},
        cipher::Key,
        subject_key::Row,
    },
};

/// What became of people's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Keys that were not here.
    pub new: u64,
    /// Keys that were here already.
    pub known: u64,
    /// Keys of people who are erased, there or here.
    pub erased: u64,
}

/// Takes in the keys of people whom the journal of `tenant` names, all of them or none.
///
/// A key that is destroyed stays so, here and there. Of somebody who has another key here both open what they have sealed,
/// and the one here goes on to seal. An address has the id that this installation derives for it, whatever the other did.
pub async fn take_in(
    database: &Database,
    tenant: TenantId,
    people: &[PersonLine],
    named: &Named,
) -> Result<TakenIn, TransferError> {
    let vault = database.vault();
    let addresses = vault.addresses(Source::Pool(database)).await?;
    let mut keys = Vec::new();
    for person in people {
        keys.extend(Incoming::open(person, vault.keyring()?, |id, key| {
            named.first_text(id, key, tenant).map(|address| addresses.id(&address))
        })?);
    }
    let mut tx = TenantTx::begin(database, TenantId::PLATFORM).await?;
    let mut here = Here::look(&mut tx, vault.keyring()?, &keys).await?;
    let (mut taken, mut rows, mut destroyed) = (TakenIn::default(), Vec::new(), Vec::new());
    for key in keys {
        match (here.keys.get(&key.id), &key.key) {
            (Some(State::Whole), Some(_)) => taken.known += 1,
            (Some(State::Whole), None) => {
                destroyed.push(key.id);
                taken.erased += 1;
            }
            (Some(State::Destroyed), _) => taken.erased += 1,
            (None, _) => {
                let row = here.add(key, vault.keyring()?)?;
                *(if row.wrapped.is_some() { &mut taken.new } else { &mut taken.erased }) += 1;
                rows.push(row);
            }
        }
    }
    write(&mut tx, rows, &destroyed).await?;
    tx.commit().await?;
    vault.forget();
    Ok(taken)
}

/// A key that comes in.
struct Incoming {
    /// Whose.
    subject: Uuid,
    id: Uuid,
    /// None: destroyed.
    key: Option<Key>,
}

impl Incoming {
    /// Unwraps a key; `None`: an address has it that the journal does not tell, so that it opens nothing there.
    fn open(
        person: &PersonLine,
        keyring: &Keyring,
        address: impl FnOnce(Uuid, &Key) -> Option<Uuid>,
    ) -> Result<Option<Self>, TransferError> {
        let (id, subject) = (person.key, person.past_of.unwrap_or(person.subject));
        let Some(wrapped) = &person.wrapped else { return Ok(Some(Self { subject, id, key: None })) };
        keyring.find(&person.wrapped_by).map_err(|_| TransferError::OtherSecret)?;
        let wrapped = STANDARD.decode(wrapped).map_err(|_| TransferError::Damaged(id))?;
        let row = Row {
            subject_id: person.subject,
            key_id: id,
            wrapped_by: person.wrapped_by.clone(),
            wrapped: Some(wrapped),
        };
        let key = row.unwrap(keyring).ok().flatten().ok_or(TransferError::Damaged(id))?;
        let subject = if is_address(subject) { address(id, &key) } else { Some(subject) };
        Ok(subject.map(|subject| Self { subject, id, key: Some(key) }))
    }
}

/// What a key is.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Whole,
    Destroyed,
}

/// What is here already of the keys that come in, and of whose they are.
struct Here {
    keys: HashMap<Uuid, State>,
    subjects: HashMap<Uuid, State>,
}

impl Here {
    async fn look(
        tx: &mut TenantTx,
        keyring: &Keyring,
        incoming: &[Incoming],
    ) -> Result<Self, TransferError> {
        let platform = TenantId::PLATFORM.uuid();
        let keys: Vec<Uuid> = incoming.iter().map(|key| key.id).collect();
        let subjects: Vec<Uuid> = incoming.iter().map(|key| key.subject).collect();
        // Held until the end, so that the key that wraps is not replaced meanwhile.
        let wraps = sqlx::query_scalar!(
            "SELECT wrapped_by FROM subject_keys WHERE tenant_id = $1 AND subject_id = $2 FOR SHARE",
            platform,
            ADDRESSES
        );
        let wraps = wraps.fetch_one(&mut **tx).await.map_err(database_error)?;
        keyring.wraps(&wraps);
        let rows = sqlx::query_as!(
            PersonRow,
            "SELECT subject_id, past_of, key_id, wrapped_by, wrapped FROM subject_keys
             WHERE tenant_id = $1 AND (key_id = ANY($2) OR subject_id = ANY($3))
             ORDER BY subject_id FOR UPDATE",
            platform,
            &keys,
            &subjects
        );
        let rows = rows.fetch_all(&mut **tx).await.map_err(database_error)?;
        let erased = sqlx::query_scalar!(
            "SELECT stream_id FROM events WHERE tenant_id = $1 AND stream_id = ANY($2) AND event_type = $3",
            platform,
            &subjects,
            SubjectErased::TYPE
        );
        let erased = erased.fetch_all(&mut **tx).await.map_err(database_error)?;
        let state = |row: &PersonRow| if row.wrapped.is_some() { State::Whole } else { State::Destroyed };
        let mut here = Self {
            keys: rows.iter().map(|row| (row.key_id, state(row))).collect(),
            subjects: rows.iter().map(|row| (row.subject_id, state(row))).collect(),
        };
        here.subjects.extend(erased.into_iter().map(|user| (user, State::Destroyed)));
        Ok(here)
    }

    /// The row of a key that is not here. Who is erased here is erased: their key leaves nothing but its id.
    fn add(
        &mut self,
        Incoming { subject, id, key }: Incoming,
        keyring: &Keyring,
    ) -> Result<PersonRow, Error> {
        let before = self.subjects.get(&subject).copied();
        let key = key.filter(|_| before != Some(State::Destroyed));
        self.subjects.entry(subject).or_insert(if key.is_some() { State::Whole } else { State::Destroyed });
        let (subject_id, past_of) = match before {
            None => (subject, None),
            Some(_) => (id, Some(subject)),
        };
        let (wrapped_by, wrapped) = match key {
            None => (String::new(), None),
            Some(key) => {
                let wrapping = keyring.wrapping();
                (wrapping.name().to_owned(), Some(wrapping.wrap(&key, subject_id, id)))
            }
        };
        Ok(PersonRow { subject_id, past_of, key_id: id, wrapped_by, wrapped })
    }
}

async fn write(tx: &mut TenantTx, rows: Vec<PersonRow>, destroyed: &[Uuid]) -> Result<(), TransferError> {
    let (mut subjects, mut past_of, mut ids, mut wrapped_by, mut wrapped) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        subjects.push(row.subject_id);
        past_of.push(row.past_of);
        ids.push(row.key_id);
        wrapped_by.push(row.wrapped_by);
        wrapped.push(row.wrapped);
    }
    let written = sqlx::query!(
        "WITH destroyed AS (
             UPDATE subject_keys SET wrapped_by = '', wrapped = NULL WHERE tenant_id = $1 AND key_id = ANY($7)
         )
         INSERT INTO subject_keys (tenant_id, subject_id, past_of, key_id, wrapped_by, wrapped)
         SELECT $1, subject, past_of, id, by, key
         FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[])
              AS new (subject, past_of, id, by, key)
         ORDER BY subject
         ON CONFLICT DO NOTHING",
        TenantId::PLATFORM.uuid(),
        &subjects,
        &past_of as &[Option<Uuid>],
        &ids,
        &wrapped_by,
        &wrapped as &[Option<Vec<u8>>],
        destroyed
    )
    .execute(&mut **tx)
    .await
    .map_err(database_error)?;
    if written.rows_affected() == ids.len() as u64 { Ok(()) } else { Err(TransferError::Changed) }
}
