//! What an instance says of itself on the board: the only place that knows keys and forms.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_log::Seq;
use prost::Message;

use crate::ServiceId;

/// What an instance is to a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// It can't lead it: it has halted, or is of a release that says what this one doesn't know.
    #[default]
    Out,
    /// It is still reading the log, or is behind.
    Cold,
    /// It follows closely, and could lead at once.
    Warm,
    /// It leads.
    Leads,
    /// It leads, but hasn't reached the log for a while.
    Stalled,
}

impl Role {
    const fn number(self) -> u32 {
        match self {
            Self::Out => 0,
            Self::Cold => 1,
            Self::Warm => 2,
            Self::Leads => 3,
            Self::Stalled => 4,
        }
    }

    const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Cold,
            2 => Self::Warm,
            3 => Self::Leads,
            4 => Self::Stalled,
            _ => Self::Out,
        }
    }
}

/// Where an instance stands with a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    /// The epoch that it leads in, or last heard of.
    pub(crate) epoch: u64,
    /// The last record that it has applied.
    pub(crate) head: Seq,
    /// The records of its two snapshots, the older one first; 0: it has none.
    pub(crate) snapshots: [Seq; 2],
}

/// All that an instance says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Where the others reach it: `host:port`.
    pub(crate) address: String,
    /// It is about to stop: it gives away what it leads, and takes nothing over.
    pub(crate) draining: bool,
    /// Counts its renewals, so that a sign of life can be told from a leftover.
    pub(crate) renewal: u64,
    pub(crate) standings: BTreeMap<u16, Standing>,
}

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(string, tag = "1")]
    address: String,
    #[prost(bool, tag = "2")]
    draining: bool,
    #[prost(uint64, tag = "3")]
    renewal: u64,
    #[prost(message, repeated, tag = "4")]
    standings: Vec<StoredStanding>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredStanding {
    #[prost(uint32, tag = "1")]
    partition: u32,
    #[prost(uint32, tag = "2")]
    role: u32,
    #[prost(uint64, tag = "3")]
    epoch: u64,
    #[prost(uint64, tag = "4")]
    head: u64,
    #[prost(uint64, tag = "5")]
    older_snapshot: u64,
    #[prost(uint64, tag = "6")]
    snapshot: u64,
}

impl Notice {
    /// The key of an instance's notice.
    pub(crate) fn key(service: ServiceId, instance: &str) -> String {
        format!("member.{service}.{instance}")
    }

    /// The instance of a key; `None`: it is no notice of this service's.
    pub(crate) fn instance(service: ServiceId, key: &str) -> Option<&str> {
        key.strip_prefix("member.")?.strip_prefix(service.name())?.strip_prefix('.')
    }

    pub(crate) fn encode(&self) -> Bytes {
        let standing = |(partition, standing): (&u16, &Standing)| StoredStanding {
            partition: (*partition).into(),
            role: standing.role.number(),
            epoch: standing.epoch,
            head: standing.head,
            older_snapshot: standing.snapshots[0],
            snapshot: standing.snapshots[1],
        };
        let stored = Stored {
            address: self.address.clone(),
            draining: self.draining,
            renewal: self.renewal,
            standings: self.standings.iter().map(standing).collect(),
        };
        stored.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, prost::DecodeError> {
        let stored = Stored::decode(bytes.clone())?;
        let standing = |stored: StoredStanding| {
            let role = Role::from_number(stored.role);
            let snapshots = [stored.older_snapshot, stored.snapshot];
            let standing = Standing { role, epoch: stored.epoch, head: stored.head, snapshots };
            Some((u16::try_from(stored.partition).ok()?, standing))
        };
        Ok(Self {
            address: stored.address,
            draining: stored.draining,
            renewal: stored.renewal,
            standings: stored.standings.into_iter().filter_map(standing).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_survives_its_form() {
        let roles = [Role::Out, Role::Cold, Role::Warm, Role::Leads, Role::Stalled];
        let standing = |role| Standing { role, epoch: 3, head: 70, snapshots: [40, 60] };
        let notice = Notice {
            address: "10.0.0.7:7401".into(),
            draining: true,
            renewal: 9,
            standings: (0..).zip(roles.map(standing)).collect(),
        };
        assert_eq!(Notice::decode(&notice.encode()), Ok(notice));
    }

    #[test]
    fn a_key_is_of_one_service() {
        let key = Notice::key(ServiceId::Sla, "a1");
        assert_eq!(Notice::instance(ServiceId::Sla, &key), Some("a1"));
        assert_eq!(Notice::instance(ServiceId::Intake, &key), None);
        assert_eq!(Notice::instance(ServiceId::Sla, "leader.sla.1"), None);
    }
}
