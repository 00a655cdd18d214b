//! Who writes a log, and places in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use event_log::{LogName, Seq};
use wire::common::v1 as common;

/// A log's identity: 16 random bytes set by its genesis. A restored log has another one.
pub type LogId = [u8; 16];

/// The four services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// Tickets and their conversation.
    Intake,
    /// Agents, queues, offers and assignments.
    Routing,
    /// Policies and clocks.
    Sla,
    /// Rules, endpoints and deliveries.
    Notify,
}

impl ServiceId {
    /// All four, in the order in which work flows.
    pub const ALL: [Self; 4] = [Self::Intake, Self::Routing, Self::Sla, Self::Notify];

    /// The name in logs, tokens and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Routing => "routing",
            Self::Sla => "sla",
            Self::Notify => "notify",
        }
    }

    /// The number in records.
    pub const fn number(self) -> u32 {
        match self {
            Self::Intake => 1,
            Self::Routing => 2,
            Self::Sla => 3,
            Self::Notify => 4,
        }
    }

    /// The service of a number in a record.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.number() == number)
    }

    /// The service of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// The contract's word for it.
    pub const fn to_wire(self) -> common::Service {
        match self {
            Self::Intake => common::Service::Intake,
            Self::Routing => common::Service::Routing,
            Self::Sla => common::Service::Sla,
            Self::Notify => common::Service::Notify,
        }
    }

    /// The service of the contract's word; `None` for the unset one.
    pub const fn from_wire(service: common::Service) -> Option<Self> {
        match service {
            common::Service::Unspecified => None,
            common::Service::Intake => Some(Self::Intake),
            common::Service::Routing => Some(Self::Routing),
            common::Service::Sla => Some(Self::Sla),
            common::Service::Notify => Some(Self::Notify),
        }
    }

    /// The name of its log for a partition.
    pub fn log(self, partition: u16) -> LogName {
        LogName::new(self.name(), partition)
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything up to and including record `seq` of one log.
///
/// Its text is the token that mutating replies carry: `intake.3.<32 hex digits>.57`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Whose log.
    pub service: ServiceId,
    /// The partition.
    pub partition: u16,
    /// The log's identity.
    pub log_id: LogId,
    /// The record.
    pub seq: Seq,
}

impl Position {
    /// The contract's message.
    pub fn to_wire(self) -> common::Position {
        common::Position {
            service: self.service.to_wire().into(),
            partition: self.partition.into(),
            log_id: self.log_id.to_vec(),
            seq: self.seq,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.service, self.partition, hex::encode(self.log_id), self.seq)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(InvalidPosition);
        let service = ServiceId::from_name(next()?).ok_or(InvalidPosition)?;
        let partition = next()?.parse().map_err(|_| InvalidPosition)?;
        let mut log_id = LogId::default();
        hex::decode_to_slice(next()?, &mut log_id).map_err(|_| InvalidPosition)?;
        let seq = next()?.parse().map_err(|_| InvalidPosition)?;
        match parts.next() {
            None => Ok(Self { service, partition, log_id, seq }),
            Some(_) => Err(InvalidPosition),
        }
    }
}

/// Places in several logs, one a log; its text joins theirs by commas. At most 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<(ServiceId, u16), Position>);

impl Positions {
    /// The most positions that a token may hold.
    pub const MAX: usize = 64;

    /// Adds a place. Of two places in one log the later one stays.
    pub fn merge(&mut self, position: Position) {
        let held = self.0.entry((position.service, position.partition)).or_insert(position);
        if held.seq < position.seq || held.log_id != position.log_id {
            *held = position;
        }
    }

    /// The places.
    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.values().copied()
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, position) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Positions {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut positions = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            positions.merge(part.trim().parse()?);
            if positions.0.len() > Self::MAX {
                return Err(InvalidPosition);
            }
        }
        Ok(positions)
    }
}

/// The partition of a workspace: FNV-1a (32 bits) of its id modulo the number of partitions.
pub fn partition_of(workspace: &str, partitions: u16) -> u16 {
    let hash = workspace
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    u16::try_from(hash % u32::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        (0..4_usize, any::<u16>(), any::<LogId>(), any::<Seq>()).prop_map(
            |(service, partition, log_id, seq)| Position {
                service: ServiceId::ALL[service],
                partition,
                log_id,
                seq,
            },
        )
    }

    proptest! {
        #[test]
        fn positions_survive_their_text(all in vec(position(), 0..Positions::MAX)) {
            let mut positions = Positions::default();
            for position in all {
                positions.merge(position);
            }
            prop_assert_eq!(positions.to_string().parse(), Ok(positions));
        }

        #[test]
        fn more_than_the_most_are_refused(start in any::<u16>(), log_id in any::<LogId>()) {
            let at = |number| Position {
                service: ServiceId::Sla, partition: start.wrapping_add(number), log_id, seq: 1,
            };
            let many = (0..65).map(|number| at(number).to_string()).collect::<Vec<_>>();
            prop_assert!(many[1..].join(",").parse::<Positions>().is_ok());
            prop_assert_eq!(many.join(",").parse::<Positions>(), Err(InvalidPosition));
        }

        /// Whatever is taken for positions means what its own text means.
        #[test]
        fn any_text_is_positions_or_refused(
            text in prop_oneof![
                ".*",
                "((intake|sla|x|)[.,]?[0-9+ -]{0,6}[.,]?[0-9a-fA-F]{30,34}[.,]?[0-9+-]{0,22},?){0,3}",
            ],
        ) {
            if let Ok(positions) = text.parse::<Positions>() {
                prop_assert_eq!(positions.to_string().parse(), Ok(positions));
            }
        }

        #[test]
        fn a_harmed_position_is_refused_or_another_one(
            position in position(), at in any::<prop::sample::Index>(), put in any::<char>(),
        ) {
            let mut text: Vec<char> = position.to_string().chars().collect();
            let at = at.index(text.len());
            text[at] = put;
            let text: String = text.into_iter().collect();
            if let Ok(read) = text.parse::<Position>() {
                // A digit's other case, or a sign before a number, means the same.
                prop_assert!(read != position || read.to_string().len() + 1 >= text.len());
                prop_assert_eq!(read.to_string().parse(), Ok(read));
            }
        }
    }

    #[test]
    fn a_position_survives_its_text() {
        let position = Position { service: ServiceId::Sla, partition: 3, log_id: [7; 16], seq: 57 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "sla", "sla.3.07.57", "x.3.00.1", &format!("{position}.9")] {
            assert_eq!(bad.parse::<Position>(), Err(InvalidPosition), "{bad}");
        }
    }

    #[test]
    fn positions_keep_the_later_place_of_a_log() {
        let at = |seq| Position { service: ServiceId::Intake, partition: 0, log_id: [1; 16], seq };
        let mut positions = Positions::default();
        positions.merge(at(5));
        positions.merge(at(3));
        assert_eq!(positions.iter().collect::<Vec<_>>(), [at(5)]);
        assert_eq!(positions.to_string().parse(), Ok(positions));
    }

    #[test]
    fn fnv_1a_is_the_published_one() {
        // The vectors of the FNV reference: "" and "foobar".
        assert_eq!(partition_of("", u16::MAX), u16::try_from(0x811c_9dc5_u32 % 65535).unwrap());
        assert_eq!(
            partition_of("foobar", u16::MAX),
            u16::try_from(0xbf9c_f968_u32 % 65535).unwrap()
        );
    }
}
