//! The board, as an operator's command reads it: which instances are there, and what each of them still needs of the
//! logs.

use std::collections::BTreeMap;

use event_log::{Notices, Seq};

use super::notice::{Notice, Role};
use crate::{LogId, ServiceId};

/// A running instance of a service, as its notice has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Where the others reach it: `host:port`.
    pub address: String,
    /// Where it stands with each partition.
    pub places: BTreeMap<u16, InstancePlace>,
}

/// Where an instance stands with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstancePlace {
    /// Whether it leads it.
    pub leads: bool,
    /// Who the log is that it knows; zeros: it knows none.
    pub log_id: LogId,
    /// The last record of it that it has applied, or has proof of.
    pub applied: Seq,
    /// The records of its two snapshots, the older one first; 0: it has none.
    pub snapshots: [Seq; 2],
}

/// The instances of a service whose notices stand. A notice that can't be read is an error, with its key: who doesn't
/// know what it says doesn't know who is there.
pub fn instances(service: ServiceId, notices: &Notices) -> Result<Vec<Instance>, String> {
    let mut all = Vec::new();
    for (key, notice) in notices.iter() {
        let Some(name) = Notice::instance(service, key) else { continue };
        let notice = Notice::decode(notice).map_err(|error| format!("{key}: {error}"))?;
        let place = |(partition, standing): (&u16, &super::notice::Standing)| {
            let place = InstancePlace {
                leads: standing.role == Role::Leads,
                log_id: standing.log_id,
                applied: standing.head,
                snapshots: standing.snapshots,
            };
            (*partition, place)
        };
        all.push(Instance {
            name: name.to_owned(),
            address: notice.address,
            places: notice.standings.iter().map(place).collect(),
        });
    }
    Ok(all)
}
