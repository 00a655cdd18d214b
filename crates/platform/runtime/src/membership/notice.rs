//! What an instance says of itself on the board: the only place that knows keys and forms.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_log::Seq;
use prost::Message;

use crate::{LogId, ServiceId};

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
    /// Who the log is that it knows; zeros: it knows none.
    pub(crate) log_id: LogId,
    /// The last record of it that it has applied, or has proof of.
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
    #[prost(bytes = "vec", tag = "7")]
    log_id: Vec<u8>,
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
            log_id: standing.log_id.to_vec(),
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
            // One of a release that doesn't say, or says what can't be, knows nothing.
            let log_id = LogId::try_from(stored.log_id.as_slice()).unwrap_or_default();
            let (epoch, head) = (stored.epoch, stored.head);
            let standing = Standing { role, epoch, log_id, head, snapshots };
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
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    const ROLES: [Role; 5] = [Role::Out, Role::Cold, Role::Warm, Role::Leads, Role::Stalled];

    fn standing() -> impl Strategy<Value = Standing> {
        (select(&ROLES[..]), any::<u64>(), any::<u64>(), any::<[u64; 2]>(), any::<[u8; 16]>())
            .prop_map(|(role, epoch, head, snapshots, log_id)| Standing {
                role,
                epoch,
                log_id,
                head,
                snapshots,
            })
    }

    prop_compose! {
        fn notice()(
            address in ".{0,40}", draining in any::<bool>(), renewal in any::<u64>(),
            standings in btree_map(any::<u16>(), standing(), 0..20),
        ) -> Notice {
            Notice { address, draining, renewal, standings }
        }
    }

    /// Whatever is taken for a notice is one: put down again, it says the same. It holds no more than its bytes have
    /// room for.
    fn read(bytes: Vec<u8>) -> Result<(), TestCaseError> {
        let length = bytes.len();
        if let Ok(notice) = Notice::decode(&bytes.into()) {
            prop_assert!(notice.address.len() <= length && notice.standings.len() <= length / 2);
            prop_assert_eq!(Notice::decode(&notice.encode()), Ok(notice));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_notice_survives_its_form(notice in notice()) {
            prop_assert_eq!(Notice::decode(&notice.encode()), Ok(notice));
        }

        #[test]
        fn bytes_of_anybody_are_a_notice_or_refused(bytes in vec(any::<u8>(), 0..400)) {
            read(bytes)?;
        }

        #[test]
        fn a_harmed_notice_is_a_notice_or_refused(
            notice in notice(), other in notice(), flips in vec((any::<Index>(), 0..8_u8), 0..4), cut in any::<Index>(),
        ) {
            let mut bytes = notice.encode().to_vec();
            bytes.truncate(cut.index(bytes.len() + 1));
            bytes.extend(other.encode());
            for (at, bit) in flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                }
            }
            read(bytes)?;
        }

        #[test]
        fn a_key_names_its_instance_or_nothing(key in ".{0,60}", instance in "[a-z0-9-]{1,40}") {
            for service in ServiceId::ALL {
                let named = Notice::instance(service, &key).map(|of| Notice::key(service, of));
                prop_assert!(named.is_none_or(|named| named == key));
                let own = Notice::key(service, &instance);
                prop_assert_eq!(Notice::instance(service, &own), Some(&*instance));
            }
        }
    }

    #[test]
    fn a_notice_survives_its_form() {
        let roles = [Role::Out, Role::Cold, Role::Warm, Role::Leads, Role::Stalled];
        let standing =
            |role| Standing { role, epoch: 3, log_id: [9; 16], head: 70, snapshots: [40, 60] };
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
