//! Another system's event store, as the crate postgres-es makes it (its `db/init.sql`): one table, `events`.
//!
//! It has no global order. What it has is the order within each aggregate; the aggregates are read by type and id, as
//! their primary key has them, so that an import comes past them in the same order each time. Nothing is ever written
//! there: its connections are read-only.

use std::time::Duration;

use domain::{foreign_aggregates::ForeignEventImported, raw_json::RawJson};
use serde_json::value::RawValue;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;

/// How long to try to connect.
const PATIENCE: Duration = Duration::from_secs(15);

/// The columns of the table, as far as they are read: all of them.
const COLUMNS: [&str; 7] =
    ["aggregate_id", "aggregate_type", "event_type", "event_version", "metadata", "payload", "sequence"];

/// A postgres-es database.
pub struct PostgresEs {
    connection: PgConnection,
    /// The only types of aggregates that are read; none given: all.
    types: Option<Vec<String>>,
}

/// A postgres-es database can't be read. Never tells the password.
#[derive(Debug, thiserror::Error)]
pub enum PostgresEsError {
    /// The URL is none.
    #[error("that is not a PostgreSQL URL (postgres://user@host/database)")]
    Url,
    /// It can't be reached, or refuses.
    #[error("can't connect to {place}: {source}")]
    Connect {
        /// User, host, port and database.
        place: String,
        /// What went wrong.
        source: sqlx::Error,
    },
    /// It is another kind of database.
    #[error("{place} is not a postgres-es database: {lack}")]
    Schema {
        /// User, host, port and database.
        place: String,
        /// What is not there.
        lack: String,
    },
    /// An aggregate lacks events.
    #[error(
        "{aggregate_type} {aggregate_id} has {events} events, and the last is number {sequence}: some are missing"
    )]
    Gap {
        /// The aggregate's type.
        aggregate_type: String,
        /// The aggregate.
        aggregate_id: String,
        /// The newest event's place.
        sequence: i64,
        /// How many there are.
        events: i64,
    },
    /// An event is not what cqrs-es writes.
    #[error("event {sequence} of {aggregate_type} {aggregate_id} is not valid: {source}")]
    Event {
        /// The aggregate's type.
        aggregate_type: String,
        /// The aggregate.
        aggregate_id: String,
        /// The event's place.
        sequence: i64,
        /// Why.
        source: serde_json::Error,
    },
    /// It went away, or refuses.
    #[error("can't read the events: {0}")]
    Read(#[from] sqlx::Error),
}

/// How much there is of one type of aggregate.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TypeCount {
    /// The type.
    pub aggregate_type: String,
    /// How many aggregates.
    pub aggregates: i64,
    /// How many events.
    pub events: i64,
}

/// An aggregate, and where it ends.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AggregateEnd {
    /// Its type.
    pub aggregate_type: String,
    /// Its id.
    pub aggregate_id: String,
    /// The sequence of its newest event.
    pub sequence: i64,
    /// How many events it has.
    pub events: i64,
}

/// Some events of one aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The aggregate's type.
    pub aggregate_type: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// The first sequence.
    pub from: i64,
    /// The last sequence.
    pub to: i64,
}

#[derive(sqlx::FromRow)]
struct Stored {
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    event_type: String,
    event_version: String,
    payload: String,
    metadata: String,
}

impl PostgresEs {
    /// The database at `url`, of which only aggregates of `types` are read; none given: all.
    pub async fn connect(url: &str, types: &[String]) -> Result<Self, PostgresEsError> {
        // The parser's error would repeat the URL, and with it the password.
        let options: PgConnectOptions = url.parse().map_err(|_| PostgresEsError::Url)?;
        let place = place(&options);
        let options = options.options([("default_transaction_read_only", "on")]).disable_statement_logging();
        let mut connection = timeout(PATIENCE, PgConnection::connect_with(&options))
            .await
            .unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())))
            .map_err(|source| PostgresEsError::Connect { place: place.clone(), source })?;
        let lack = lack(&mut connection).await?;
        let types = (!types.is_empty()).then(|| types.to_vec());
        match lack {
            Some(lack) => Err(PostgresEsError::Schema { place, lack }),
            None => Ok(Self { connection, types }),
        }
    }

    /// What there is, by type.
    pub async fn counts(&mut self) -> Result<Vec<TypeCount>, PostgresEsError> {
        let counts = sqlx::query_as(
            "SELECT aggregate_type, count(*) AS aggregates, sum(events)::bigint AS events
             FROM (
                 SELECT aggregate_type, aggregate_id, count(*) AS events FROM events
                 WHERE $1::text[] IS NULL OR aggregate_type = ANY($1)
                 GROUP BY aggregate_type, aggregate_id
             ) AS aggregate
             GROUP BY aggregate_type ORDER BY aggregate_type",
        );
        Ok(counts.bind(&self.types).fetch_all(&mut self.connection).await?)
    }

    /// At most `limit` aggregates after one, in order.
    pub async fn aggregates(
        &mut self,
        after: Option<&AggregateEnd>,
        limit: i64,
    ) -> Result<Vec<AggregateEnd>, PostgresEsError> {
        let (after_type, after_id) = after.map(|after| (&after.aggregate_type, &after.aggregate_id)).unzip();
        let aggregates = sqlx::query_as(
            "SELECT aggregate_type, aggregate_id, max(sequence) AS sequence, count(*) AS events FROM events
             WHERE ($1::text IS NULL OR (aggregate_type, aggregate_id) > ($1, $2))
               AND ($3::text[] IS NULL OR aggregate_type = ANY($3))
             GROUP BY aggregate_type, aggregate_id ORDER BY aggregate_type, aggregate_id LIMIT $4",
        );
        // Planned for these very values: a plan for any would read the table from its beginning each time.
        let aggregates = aggregates.persistent(false);
        let aggregates = aggregates.bind(after_type).bind(after_id).bind(&self.types).bind(limit);
        let aggregates: Vec<AggregateEnd> = aggregates.fetch_all(&mut self.connection).await?;
        match aggregates.iter().find(|end| end.events != end.sequence) {
            Some(AggregateEnd { aggregate_type, aggregate_id, sequence, events }) => {
                Err(PostgresEsError::Gap {
                    aggregate_type: aggregate_type.clone(),
                    aggregate_id: aggregate_id.clone(),
                    sequence: *sequence,
                    events: *events,
                })
            }
            None => Ok(aggregates),
        }
    }

    /// The events of these sections, in order.
    pub async fn events(
        &mut self,
        sections: &[Section],
    ) -> Result<Vec<ForeignEventImported>, PostgresEsError> {
        let types: Vec<&str> = sections.iter().map(|section| section.aggregate_type.as_str()).collect();
        let ids: Vec<&str> = sections.iter().map(|section| section.aggregate_id.as_str()).collect();
        let (from, to): (Vec<i64>, Vec<i64>) =
            sections.iter().map(|section| (section.from, section.to)).unzip();
        let events = sqlx::query_as::<_, Stored>(
            "SELECT event.aggregate_type, event.aggregate_id, event.sequence, event.event_type, event.event_version,
                    event.payload::text AS payload, event.metadata::text AS metadata
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
                  WITH ORDINALITY AS section (aggregate_type, aggregate_id, first, last, place)
             CROSS JOIN LATERAL (
                 SELECT * FROM events
                 WHERE aggregate_type = section.aggregate_type AND aggregate_id = section.aggregate_id
                   AND sequence BETWEEN section.first AND section.last
                 -- A fence: each section is a range of the primary key.
                 OFFSET 0
             ) AS event
             ORDER BY section.place, event.sequence",
        );
        let rows = events.bind(types).bind(ids).bind(from).bind(to).fetch_all(&mut self.connection).await?;
        rows.into_iter().map(Stored::event).collect()
    }

    /// Closes the connection.
    pub async fn close(self) -> Result<(), PostgresEsError> {
        Ok(self.connection.close().await?)
    }
}

impl Stored {
    fn event(self) -> Result<ForeignEventImported, PostgresEsError> {
        let Self { aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata } =
            self;
        let json = |text| RawValue::from_string(text).map(RawJson::verbatim);
        let (payload, metadata) = match (json(payload), json(metadata)) {
            (Ok(payload), Ok(metadata)) => (payload, metadata),
            (Err(source), _) | (_, Err(source)) => {
                return Err(PostgresEsError::Event { aggregate_type, aggregate_id, sequence, source });
            }
        };
        // Its table refuses what is less than 0.
        let sequence = sequence.unsigned_abs();
        Ok(ForeignEventImported {
            aggregate_type,
            aggregate_id,
            sequence,
            event_type,
            event_version,
            payload,
            metadata,
        })
    }
}

/// What there is not, that a postgres-es database has.
async fn lack(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute
         WHERE attrelid = to_regclass('events') AND attnum > 0 AND NOT attisdropped",
    )
    .fetch_all(connection)
    .await?;
    if columns.is_empty() {
        return Ok(Some("it has no table events".to_owned()));
    }
    let missing: Vec<_> =
        COLUMNS.iter().filter(|column| columns.iter().all(|there| there != *column)).copied().collect();
    Ok((!missing.is_empty()).then(|| format!("its table events has no {}", missing.join(", "))))
}

fn place(options: &PgConnectOptions) -> String {
    let (user, port) = (options.get_username(), options.get_port());
    let database = options.get_database().unwrap_or(user);
    match options.get_socket() {
        Some(socket) => format!("postgres://{user}@{}:{port}/{database}", socket.display()),
        None => format!("postgres://{user}@{}:{port}/{database}", options.get_host()),
    }
}
