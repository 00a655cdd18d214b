//! Which types of events a service's log may hold, in which versions, and how each is read.
//!
//! A service registers its types once, in a table. What the table doesn't have, or has in older versions only, was
//! written by a later release, and stops the partition. An old version is read by raising it, step by step, to the one
//! of today:
//!
//! ```
//! use bytes::Bytes;
//! use runtime::{EventType, Upcasters, decode_event};
//!
//! #[derive(Clone, PartialEq, prost::Message)]
//! struct Waited {
//!     #[prost(uint64, tag = "1")]
//!     seconds: u64, // version 1
//!     #[prost(uint64, tag = "2")]
//!     millis: u64, // since version 2
//! }
//!
//! /// Version 1 counted seconds.
//! const WAITED: Upcasters<Waited> = Upcasters(&[|old| Ok(Waited { millis: old.seconds * 1000, ..old })]);
//!
//! /// The event is its milliseconds.
//! const EVENTS: &[EventType<u64>] =
//!     &[EventType::new("Waited", WAITED.version(), |stored| Ok(stored.upcast(&WAITED)?.millis))];
//!
//! assert_eq!(decode_event(EVENTS, "Waited", 1, &Bytes::from_static(&[8, 3])), Ok(3_000));
//! assert!(decode_event(EVENTS, "Waited", 3, &Bytes::new()).is_err());
//! ```

use bytes::Bytes;
use prost::Message;

/// Why a stored event of one's own can't be read: the partition stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// This build doesn't know the type.
    #[error("this release doesn't know the event's type")]
    UnknownType,
    /// This build knows the type, but not in this version.
    #[error("this release knows the event's versions 1 to {known}, and it is of version {found}")]
    UnknownVersion {
        /// The version of the event.
        found: u32,
        /// The latest that this build knows.
        known: u32,
    },
    /// The bytes are not that message, or hold what can't be.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// A text that is lent from a record.
pub fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// A type of event in a service's log. A service has one table of them, and no other type is in its log.
#[derive(Debug)]
pub struct EventType<E: 'static> {
    /// The name of its message in `switchyard.events.v1`.
    pub name: &'static str,
    /// The version that is written. All from 1 up to it are read, for ever: logs are never rewritten.
    pub version: u32,
    read: fn(Stored<'_>) -> Result<E, DecodeError>,
}

impl<E> EventType<E> {
    /// A type that is written in a version, and how a stored one is read.
    pub const fn new(
        name: &'static str,
        version: u32,
        read: fn(Stored<'_>) -> Result<E, DecodeError>,
    ) -> Self {
        Self { name, version, read }
    }
}

/// Reads a stored event by its service's table.
pub fn decode_event<E>(
    types: &[EventType<E>],
    name: &str,
    version: u32,
    data: &Bytes,
) -> Result<E, DecodeError> {
    let known = types.iter().find(|known| known.name == name).ok_or(DecodeError::UnknownType)?;
    if version == 0 || version > known.version {
        return Err(DecodeError::UnknownVersion { found: version, known: known.version });
    }
    (known.read)(Stored { version, data })
}

/// The version in which a type is written; 0 if the table doesn't have it. A leader that is to write an event of
/// version 0 halts instead: nobody could read it.
pub fn written_version<E>(types: &[EventType<E>], name: &str) -> u32 {
    types.iter().find(|known| known.name == name).map_or(0, |known| known.version)
}

/// A payload as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    version: u32,
    data: &'a Bytes,
}

impl<'a> Stored<'a> {
    pub(crate) const fn new(version: u32, data: &'a Bytes) -> Self {
        Self { version, data }
    }

    /// The message of a type that has only ever had one version.
    pub fn message<M: Message + Default + 'static>(self) -> Result<M, DecodeError> {
        self.upcast(&Upcasters(&[]))
    }

    /// The message of a type that has had several, in today's.
    pub fn upcast<M: Message + Default>(self, upcasters: &Upcasters<M>) -> Result<M, DecodeError> {
        let unknown =
            || DecodeError::UnknownVersion { found: self.version, known: upcasters.version() };
        let done = usize::try_from(self.version).ok().and_then(|version| version.checked_sub(1));
        let to_do = done.and_then(|done| upcasters.0.get(done..)).ok_or_else(unknown)?;
        let stored = M::decode(self.data.clone());
        let stored = stored.map_err(|error| DecodeError::Malformed(error.to_string()))?;
        to_do.iter().try_fold(stored, |message, upcast| upcast(message))
    }
}

/// One step: it makes a message what the next version would have stored.
pub type Upcaster<M> = fn(M) -> Result<M, DecodeError>;

/// The steps from version 1 of a message to today's, in order: the first makes version 2 of version 1. A message keeps
/// the fields of all its versions, so one type is enough for all.
#[derive(Debug)]
pub struct Upcasters<M: 'static>(pub &'static [Upcaster<M>]);

impl<M> Upcasters<M> {
    /// The version that they lead to.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "there are as many as were written by hand"
    )]
    pub const fn version(&self) -> u32 {
        self.0.len() as u32 + 1
    }
}

#[cfg(test)]
mod tests;
