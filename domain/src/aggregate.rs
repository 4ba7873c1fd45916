//! How an aggregate is written: a state, a pure decision, and the cqrs-es aggregate made of both.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use crate::{
    ids::UserId,
    personal::Personal,
    upcast::{self, Upcaster},
};

/// The moment that a decision is made at. Aggregates get it from outside: nothing in this crate reads a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now(pub DateTime<Utc>);

/// An aggregate whose logic is a pure function of its state, a command and the time.
///
/// Invariants: a repeated command that changes nothing yields no event and succeeds; the same state, command and time
/// always yield the same events.
pub trait Decide:
    Clone + cqrs_es::Aggregate<Command: Clone + Send + Sync, Event: Facts, Error: Refusal, Services = Now>
{
    /// How many events may follow a snapshot before the journal writes a new one; 0: short streams, never.
    const SNAPSHOT_EVERY: u64 = 0;

    /// The version of the state's shape and of what `evolve` makes of events. With either changed it is a new one, and
    /// snapshots of all others are passed over: the stream is read from its beginning.
    const SNAPSHOT_VERSION: u16 = 1;

    /// Whether the state is about the person whose id its stream has: then its snapshots are sealed as events are.
    const IS_PERSON: bool = false;

    /// Whether the state needs what its events say about people. If not, it is given that sealed, as it is stored.
    const READS_PERSONAL: bool = false;

    /// The user whom the state is about, if it is about one.
    fn user(&self) -> Option<UserId> {
        None
    }

    /// What happens if `command` arrives in this state at `now`, or why nothing does.
    fn decide(&self, command: Self::Command, now: DateTime<Utc>) -> Result<Vec<Self::Event>, Self::Error>;
}

/// One event type: a fact in the past tense. Its payload is this struct as JSON.
pub trait Fact: serde::Serialize + serde::de::DeserializeOwned {
    /// The name in the journal; never changes once written.
    const TYPE: &'static str;
    /// The version of the payload's shape; a change of shape is a new version.
    const VERSION: u16;
    /// What brings older versions up to date: the first makes version 1 version 2, the next that version 3, and so on.
    const UPCASTERS: &'static [Upcaster];

    /// The fact that was stored as `payload` in `version`.
    fn decode(version: u16, payload: &RawValue) -> Result<Self, DecodeError> {
        upcast::decode(version, payload)
    }
}

/// An event type, as this build writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// The name in the journal.
    pub name: &'static str,
    /// The newest version, which is the one that is written.
    pub version: u16,
    /// The payload's fields with their types, as they are written in the source.
    pub fields: &'static [(&'static str, &'static str)],
    /// Those of them that say something about a person.
    pub personal: &'static [Personal],
}

/// The events of one aggregate: an enum over its [`Fact`]s.
pub trait Facts: cqrs_es::DomainEvent {
    /// All of them.
    const CATALOGUE: &'static [EventType];

    /// The journal's name of this event.
    fn type_name(&self) -> &'static str;
    /// The payload's version.
    fn version(&self) -> u16;
    /// The fields that say something about a person.
    fn personal(&self) -> &'static [Personal];
    /// The payload as the bytes that the journal keeps.
    fn encode(&self) -> serde_json::Result<Box<RawValue>>;
    /// The event with this name whose payload was stored as `payload` in `version`.
    fn decode(type_name: &str, version: u16, payload: &RawValue) -> Result<Self, DecodeError>;
}

/// A stored event that this build can't read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No event of the aggregate has this name.
    #[error("unknown event type {0}")]
    UnknownType(String),
    /// The type has no such version here: a newer build has written it.
    #[error("{event_type} has version {version}, of which this build knows 1 to {newest}")]
    UnknownVersion {
        /// The event's type.
        event_type: &'static str,
        /// The version that was stored.
        version: u16,
        /// The newest version that this build knows.
        newest: u16,
    },
    /// The payload does not have the type's shape.
    #[error("payload of {event_type}: {source}")]
    Payload {
        /// The event's type.
        event_type: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// What kind of no a refusal is; the edge maps each to one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// There is no such thing (404).
    NotFound,
    /// The state does not allow it (409).
    Conflict,
    /// It was there and is over for good (410).
    Gone,
    /// The caller has not shown who they are, or no longer (401).
    Unauthenticated,
    /// The caller may not (403).
    Forbidden,
    /// The plan does not cover it (402).
    PlanLimit,
    /// It breaks a rule that no state would change (422).
    Invalid,
    /// It is locked until somebody else unlocks it (423).
    Locked,
}

/// A reason that a command was refused for.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// The kind of no.
    fn kind(&self) -> RefusalKind;
    /// Stable, snake_case, documented.
    fn code(&self) -> &'static str;
}

/// Makes the events of an aggregate: a struct for each fact, the enum over them, names and versions. Attributes of a
/// field, such as `#[serde(…)]`, go to the struct's field.
///
/// A fact with a second and third version says how the older ones are read (see [`upcast`]); it does not build without:
/// `MemberJoined = 3 from [add_role, split_name] { … }`.
///
/// A field that says something about a person says about whom: `email: Email [About::Address]` (see [`crate::personal`]).
macro_rules! events {
    (
        $(#[$doc:meta])* $events:ident {
            $($(#[$fact_doc:meta])* $fact:ident = $version:literal $(from [$($upcaster:path),+ $(,)?])? {
                $($(#[$field_attribute:meta])* $field:ident: $type:ty $([$about:expr])?),* $(,)?
            })*
        }
    ) => {
        $(
            $(#[$fact_doc])*
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            pub struct $fact { $($(#[$field_attribute])* pub $field: $type,)* }

            impl $crate::aggregate::Fact for $fact {
                const TYPE: &'static str = stringify!($fact);
                const VERSION: u16 = $version;
                const UPCASTERS: &'static [$crate::upcast::Upcaster] = &[$($($upcaster),+)?];
            }

            const _: () = assert!(
                <$fact as $crate::aggregate::Fact>::UPCASTERS.len() + 1 == $version,
                concat!(stringify!($fact), " wants an upcaster from each older version"),
            );

            impl From<$fact> for $events {
                fn from(fact: $fact) -> Self {
                    Self::$fact(fact)
                }
            }
        )*

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub enum $events { $(#[doc = concat!("See [`", stringify!($fact), "`].")] $fact($fact),)* }

        impl $crate::aggregate::Facts for $events {
            const CATALOGUE: &'static [$crate::aggregate::EventType] =
                &[$($crate::aggregate::EventType {
                    name: stringify!($fact),
                    version: $version,
                    fields: &[$((stringify!($field), stringify!($type)),)*],
                    personal: &[$($($crate::personal::Personal { field: stringify!($field), about: $about },)?)*],
                },)*];

            fn type_name(&self) -> &'static str {
                match self { $(Self::$fact(_) => stringify!($fact),)* }
            }

            fn version(&self) -> u16 {
                match self { $(Self::$fact(_) => $version,)* }
            }

            fn personal(&self) -> &'static [$crate::personal::Personal] {
                match self {
                    $(Self::$fact(_) => {
                        &[$($($crate::personal::Personal { field: stringify!($field), about: $about },)?)*]
                    })*
                }
            }

            fn encode(&self) -> serde_json::Result<Box<serde_json::value::RawValue>> {
                match self { $(Self::$fact(fact) => serde_json::value::to_raw_value(fact),)* }
            }

            fn decode(
                type_name: &str,
                version: u16,
                payload: &serde_json::value::RawValue,
            ) -> Result<Self, $crate::aggregate::DecodeError> {
                match type_name {
                    $(stringify!($fact) => {
                        <$fact as $crate::aggregate::Fact>::decode(version, payload).map(Self::$fact)
                    })*
                    unknown => Err($crate::aggregate::DecodeError::UnknownType(unknown.to_owned())),
                }
            }
        }

        impl cqrs_es::DomainEvent for $events {
            fn event_type(&self) -> String {
                $crate::aggregate::Facts::type_name(self).to_owned()
            }

            fn event_version(&self) -> String {
                $crate::aggregate::Facts::version(self).to_string()
            }
        }
    };
}

/// Makes a cqrs-es aggregate of a state with `decide` (from [`Decide`]) and an inherent `evolve(&mut self, event)`.
macro_rules! aggregate {
    ($state:ident = $kind:literal, $command:ident -> $events:ident or $reason:ident) => {
        impl cqrs_es::Aggregate for $state {
            const TYPE: &'static str = $kind;
            type Command = $command;
            type Event = $events;
            type Error = $reason;
            type Services = $crate::aggregate::Now;

            async fn handle(
                &mut self,
                command: Self::Command,
                now: &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::aggregate::Decide::decide(self, command, now.0)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                self.evolve(event);
            }
        }
    };
}

pub(crate) use {aggregate, events};
