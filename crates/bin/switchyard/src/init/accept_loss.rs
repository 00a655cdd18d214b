//! An operator gives lost logs up, and new ones begin in their place.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use event_log::{EventLog, EventLogProvider, LeaseBoard, NOTICE_STANDS, Notices, OpenError};
use runtime::{
    ChainReader, Identity, LogId, PARTITIONS_MAX, ServiceId, genesis_superseding, identify,
    instances, last_read_of, open_record, supersedes_in,
};
use uuid::Uuid;
use wire::events::v1::Supersedes;

use super::Place;
use crate::cli::Init;
use crate::exit::{Refused, bad_configuration};
use crate::{logs, out};

const READ_BYTES: usize = 4 * 1024 * 1024;
/// How long a name may be, and how long a reason, in characters.
const BY_MAX: usize = 200;
const REASON_MAX: usize = 500;
/// Whoever runs has put a notice up within this time.
const ALL_HEARD_AFTER: Duration = NOTICE_STANDS.saturating_add(Duration::from_millis(500));

/// Which logs are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    /// None: those of all services.
    service: Option<ServiceId>,
    /// None: those of all partitions.
    partition: Option<u16>,
}

/// A text that names no logs.
#[derive(Debug, thiserror::Error)]
#[error(
    "takes `all`, a service (intake, routing, sla, notify), or a service's partition, as `intake/3`"
)]
pub(crate) struct NoLogs;

impl FromStr for Lost {
    type Err = NoLogs;

    fn from_str(text: &str) -> Result<Self, NoLogs> {
        if text == "all" {
            return Ok(Self { service: None, partition: None });
        }
        let (name, partition) = match text.split_once('/') {
            Some((name, partition)) => (name, Some(partition.parse().map_err(|_| NoLogs)?)),
            None => (text, None),
        };
        let service = Some(ServiceId::from_name(name).ok_or(NoLogs)?);
        Ok(Self { service, partition })
    }
}

impl Lost {
    fn names(self, service: ServiceId, partition: u16) -> bool {
        self.service.is_none_or(|of| of == service)
            && self.partition.is_none_or(|of| of == partition)
    }

    /// Whether it names one log alone.
    const fn is_one(self) -> bool {
        self.service.is_some() && self.partition.is_some()
    }
}

/// What the operator said.
#[derive(Debug)]
pub(super) struct Word {
    lost: Vec<Lost>,
    by: String,
    reason: String,
}

impl Word {
    /// What the settings say, if they give anything up.
    pub(super) fn of(settings: &Init) -> Result<Option<Self>> {
        let (Some(by), Some(reason)) = (&settings.by, &settings.reason) else { return Ok(None) };
        let fits = |text: &str, max: usize| {
            let length = text.chars().count();
            (1..=max).contains(&length)
                && !text.trim().is_empty()
                && !text.contains(char::is_control)
        };
        if !fits(by, BY_MAX) || !fits(reason, REASON_MAX) {
            let text =
                format!("--by takes 1 to {BY_MAX} characters and --reason 1 to {REASON_MAX}");
            return Err(bad_configuration(text));
        }
        let (lost, by, reason) = (settings.accept_loss.clone(), by.clone(), reason.clone());
        Ok(Some(Self { lost, by, reason }))
    }
}

/// How a named log stands.
enum Case {
    /// It isn't there, or is not what others know: it is begun anew.
    Lost { why: String, known: BTreeSet<LogId> },
    /// It began in a lost one's place already, and is whole.
    Done,
    /// Nothing is wrong with it.
    Whole,
}

/// Begins anew what was lost of the logs that the operator named. Nothing is changed before all of them were looked at.
pub(super) async fn run(
    place: &Place<'_>,
    partitions: u16,
    word: &Word,
    board: Option<&dyn LeaseBoard>,
) -> Result<()> {
    let provider = place.provider();
    must_agree(provider, partitions).await?;
    let notices = match board {
        Some(board) => heard(board).await,
        None => Notices::default(),
    };
    let mut lost = Vec::new();
    for service in ServiceId::ALL {
        for partition in 0..partitions {
            let named = word.lost.iter().filter(|lost| lost.names(service, partition));
            let Some(by_name) = named.map(|lost| lost.is_one()).max() else { continue };
            match look(provider, service, partition, &notices).await? {
                Case::Lost { why, known } => lost.push((service, partition, why, known)),
                Case::Done => out::note(&format!("{service}/{partition} has begun anew before")),
                Case::Whole if by_name => {
                    let text =
                        format!("{service}/{partition} is whole, and nobody knows more of it");
                    return Err(Refused(text).into());
                }
                Case::Whole => {
                    out::note(&format!("{service}/{partition} is whole, and left alone"));
                }
            }
        }
    }
    for one in word.lost.iter().filter_map(|lost| lost.partition) {
        if one >= partitions {
            return Err(bad_configuration(format!("there is no partition {one} of {partitions}")));
        }
    }
    for (service, partition, why, known) in lost {
        begin(place, partitions, (service, partition), &known, word).await?;
        out::note(&format!("{service}/{partition} begins anew: {why}"));
    }
    Ok(())
}

/// The logs that can be read must have as many partitions as the new ones are told that there are.
async fn must_agree(provider: &dyn EventLogProvider, partitions: u16) -> Result<()> {
    for service in ServiceId::ALL {
        for partition in 0..PARTITIONS_MAX {
            let Ok(log) = provider.open(&service.log(partition)).await else {
                if partition >= partitions {
                    break;
                }
                continue;
            };
            let Ok(identity) = identify(&*log, service, partition).await else { continue };
            let found = identity.partitions;
            if found != partitions {
                let text =
                    format!("{service}/{partition} has {found} partitions, not {partitions}");
                return Err(bad_configuration(text));
            }
        }
    }
    Ok(())
}

/// What stands on the board, once everybody who runs has had the time to put something up.
async fn heard(board: &dyn LeaseBoard) -> Notices {
    let shown = board.watch();
    tokio::time::sleep(ALL_HEARD_AFTER).await;
    shown.borrow().clone()
}

async fn look(
    provider: &dyn EventLogProvider,
    service: ServiceId,
    partition: u16,
    notices: &Notices,
) -> Result<Case> {
    let log = match provider.open(&service.log(partition)).await {
        Ok(log) => log,
        Err(error @ (OpenError::Unavailable(_) | OpenError::Denied(_))) => {
            return Err(logs::explain_open(error));
        }
        Err(error) => {
            let known = known_by_others(provider, service, partition, None, notices).await?.0;
            return Ok(Case::Lost { why: error.to_string(), known });
        }
    };
    let (mut known, more) =
        known_by_others(provider, service, partition, Some(&*log), notices).await?;
    let identity = identify(&*log, service, partition).await;
    if let Ok(identity) = &identity {
        known.extend([identity.born, identity.log_id]);
    }
    let read = read_through(&*log, service, partition).await;
    Ok(match (read, more) {
        (Ok(whole), None) if whole.supersedes => Case::Done,
        (Ok(whole), None) if whole.records == 1 => {
            Case::Lost { why: "it held nothing but its birth".to_owned(), known }
        }
        (Err(why), _) | (Ok(_), Some(why)) => Case::Lost { why, known },
        (Ok(_), None) => Case::Whole,
    })
}

/// A log whose every record was read.
struct WholeLog {
    records: u64,
    supersedes: bool,
}

/// Reads a log through, or says what is wrong with it.
async fn read_through(
    log: &dyn EventLog,
    service: ServiceId,
    partition: u16,
) -> Result<WholeLog, String> {
    let inspection = log.inspect().await.map_err(|error| error.to_string())?;
    if !inspection.faults.is_empty() {
        return Err(inspection.faults.join(", "));
    }
    let tail = inspection.tail;
    let identity = identify(log, service, partition).await.map_err(|error| {
        let error = anyhow::Error::new(error);
        format!("{error:#}")
    })?;
    let mut reader: Option<ChainReader> = None;
    let mut next = tail.first;
    while next <= tail.last {
        let records = log.read(next, READ_BYTES).await.map_err(|error| error.to_string())?;
        let Some(last) = records.last() else { return Err("it ends too early".to_owned()) };
        next = last.seq + 1;
        for record in &records {
            let taken = match &mut reader {
                Some(reader) => reader.take(record).map(drop),
                None => ChainReader::after(identity.born, record).map(|it| reader = Some(it)),
            };
            taken.map_err(|doubt| doubt.to_string())?;
        }
    }
    let records = (tail.last + 1).saturating_sub(tail.first);
    Ok(WholeLog { records, supersedes: identity.supersedes })
}

/// The identities of this log that the services that read it and the instances of its own know, and what they know more
/// than it holds.
async fn known_by_others(
    provider: &dyn EventLogProvider,
    service: ServiceId,
    partition: u16,
    log: Option<&dyn EventLog>,
    notices: &Notices,
) -> Result<(BTreeSet<LogId>, Option<String>)> {
    let (mut known, mut more) = (BTreeSet::new(), None);
    for reader in ServiceId::ALL.into_iter().filter(|reader| *reader != service) {
        // One that can't be read is looked at by itself.
        let Ok(its) = provider.open(&reader.log(partition)).await else { continue };
        let Ok(Some(said)) = last_read_of(&*its, service).await else { continue };
        let Ok(log_id) = LogId::try_from(said.log_id.as_slice()) else { continue };
        if said.seq == 0 {
            continue;
        }
        known.insert(log_id);
        let holds = match log {
            Some(log) => holds(log, log_id, said.seq, &said.chain).await,
            None => false,
        };
        if !holds {
            let id = hex::encode(log_id);
            more = Some(format!("{reader} has read record {} of log {id}", said.seq));
        }
    }
    let (tail, identity) = match log {
        Some(log) => (log.tail().await.ok(), identify(log, service, partition).await.ok()),
        None => (None, None),
    };
    for instance in instances(service, notices).map_err(|error| anyhow!(error))? {
        let Some(place) = instance.places.get(&partition) else { continue };
        if place.log_id == LogId::default() || place.applied == 0 {
            continue;
        }
        known.insert(place.log_id);
        let own = |it: &Identity| it.log_id == place.log_id || it.born == place.log_id;
        let within = tail.is_some_and(|tail| place.applied <= tail.last);
        let holds = match &identity {
            Some(it) if own(it) => within,
            // Whoever still runs on the log that was given up tells what is known; how long that one was says nothing
            // of this one.
            Some(it) => it.supersedes,
            None => false,
        };
        if !holds {
            let (address, id) = (&instance.address, hex::encode(place.log_id));
            more = Some(format!("{address} knows record {} of log {id}", place.applied));
        }
    }
    Ok((known, more))
}

/// Whether a log has at a place what somebody has read there, or doesn't go back so far.
async fn holds(log: &dyn EventLog, log_id: LogId, seq: u64, chain: &[u8]) -> bool {
    let Ok(tail) = log.tail().await else { return false };
    if seq < tail.first {
        return true;
    }
    let Ok(records) = log.read(seq, 1).await else { return false };
    let there = records.first().and_then(|record| ChainReader::after(log_id, record).ok());
    if there.is_some_and(|there| chain.is_empty() || there.chain().as_slice() == chain) {
        return true;
    }
    // Whoever read the lost log reads this one anew.
    let first = log.read(tail.first, 1).await.unwrap_or_default();
    let first = first.first().and_then(|record| open_record(record).ok());
    first.is_some_and(|first| {
        supersedes_in(&first).is_some() && first.log_id.as_slice() != log_id.as_slice()
    })
}

/// Puts a new log in the place of a lost one. Should it break off in between, the log is missing, and the next run
/// makes it.
async fn begin(
    place: &Place<'_>,
    partitions: u16,
    (service, partition): (ServiceId, u16),
    known: &BTreeSet<LogId>,
    word: &Word,
) -> Result<()> {
    let name = service.log(partition);
    let context = || format!("{service}/{partition}");
    place.remove(&name).await.map_err(logs::explain_open).with_context(context)?;
    let supersedes = Supersedes {
        log_ids: known.iter().map(|id| id.to_vec()).collect(),
        actor: word.by.clone(),
        reason: word.reason.clone(),
    };
    let log_id = *Uuid::new_v4().as_bytes();
    let first = genesis_superseding(service, partition, partitions, log_id, supersedes);
    let made = place.provider().create(&name, first.clone()).await;
    let made = made.map_err(logs::explain_open).with_context(context)?;
    let found = made.read(1, 1).await.with_context(context)?;
    if found.first().is_some_and(|record| record.bytes == first) {
        return Ok(());
    }
    Err(anyhow!("{service}/{partition}: somebody else made the log at the same time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_logs_are_named_one_by_one_or_together() {
        let lost = |text: &str| text.parse::<Lost>().ok();
        let one = lost("intake/3").unwrap();
        assert!(one.is_one() && one.names(ServiceId::Intake, 3));
        assert!(!one.names(ServiceId::Intake, 2) && !one.names(ServiceId::Sla, 3));
        let service = lost("sla").unwrap();
        assert!(!service.is_one() && service.names(ServiceId::Sla, 9));
        assert!(lost("all").unwrap().names(ServiceId::Notify, 0));
        for bad in ["", "All", "intake/", "intake/x", "intake/3/4", "nobody", "intake/-1"] {
            assert_eq!(lost(bad), None, "{bad}");
        }
    }
}
