//! What the logs themselves show.

use std::collections::BTreeMap;

use event_log::{EventLog, EventLogProvider, LogError, OpenError, Seq, Tail};
use runtime::{ChainReader, ServiceId, first_record, open_record, supersedes_in};
use wire::events::v1::Consumed;

use super::{Page, advice, orphans};

/// Where each log ends.
pub(super) type Tails = BTreeMap<(ServiceId, u16), Tail>;

/// How many of the last records are looked at unless all are asked for.
const RECENT: Seq = 1_000;
const READ_BYTES: usize = 4 * 1024 * 1024;

/// How far an input of a log was handled, by the last record that says so.
type Places = BTreeMap<(ServiceId, u16, u32), Consumed>;

/// Looks at every log of a place; returns where they end.
pub(super) async fn look(provider: &dyn EventLogProvider, deep: bool, page: &mut Page) -> Tails {
    let mut tails = Tails::new();
    let names = match provider.list().await {
        Ok(names) => names,
        Err(error) => {
            page.wrong("the logs", "listed", error, advice::UNREACHABLE);
            return tails;
        }
    };
    let mut places = Places::new();
    let mut split: BTreeMap<u16, ServiceId> = BTreeMap::new();
    for service in ServiceId::ALL {
        // Where none can say how many there must be, all that are there are looked at.
        let there = names.iter().filter(|name| name.service == service.name());
        let mut wanted = there.map(|name| name.partition.saturating_add(1)).max().unwrap_or(1);
        let mut partition = 0;
        while partition < wanted {
            let name = service.log(partition);
            if names.contains(&name) {
                let found = one(provider, service, partition, deep, &mut places, page).await;
                if let Some((tail, partitions)) = found {
                    tails.insert((service, partition), tail);
                    wanted = wanted.max(partitions);
                    if partitions > 0 {
                        split.entry(partitions).or_insert(service);
                    }
                }
            } else {
                let subject = format!("{service}/{partition}");
                page.wrong(subject, "exists", "there is no such log", advice::SET_UP);
            }
            partition += 1;
        }
    }
    if let (Some((few, one)), Some((many, other))) =
        (split.first_key_value(), split.last_key_value())
        && few != many
    {
        let finding = format!("{one} has {few} and {other} has {many}");
        page.wrong("the logs", "partitions", finding, advice::HISTORY);
    }
    compare(provider, &places, &tails, page).await;
    orphans::look(provider, &tails, page).await;
    tails
}

/// Looks at one log: its set-up, its birth, its chain. Returns where it ends and how many partitions it says there are:
/// none that it could say is 0.
async fn one(
    provider: &dyn EventLogProvider,
    service: ServiceId,
    partition: u16,
    deep: bool,
    places: &mut Places,
    page: &mut Page,
) -> Option<(Tail, u16)> {
    let subject = format!("{service}/{partition}");
    let log = match provider.open(&service.log(partition)).await {
        Ok(log) => log,
        Err(error @ OpenError::Misconfigured { .. }) => {
            page.wrong(subject, "set up", error, advice::SET_UP);
            return None;
        }
        Err(error) => {
            page.wrong(subject, "opened", error, advice::UNREACHABLE);
            return None;
        }
    };
    let inspection = match log.inspect().await {
        Ok(inspection) => inspection,
        Err(error) => {
            page.wrong(subject, "reachable", error, advice::UNREACHABLE);
            return None;
        }
    };
    if !inspection.faults.is_empty() {
        page.wrong(&subject, "set up", inspection.faults.join(", "), advice::SET_UP);
    }
    for warning in &inspection.warnings {
        page.wrong(&subject, "copies", warning, advice::COPY);
    }
    let tail = inspection.tail;
    let partitions = match first_record(&*log, service, partition).await {
        Ok((_, partitions)) => partitions,
        Err(error) => {
            let finding = format!("{:#}", anyhow::Error::new(error));
            page.wrong(&subject, "birth", finding, advice::HISTORY);
            0
        }
    };
    if tail.last < tail.first {
        page.wrong(&subject, "chain", "it holds no record: it was purged", advice::HISTORY);
        return Some((tail, partitions));
    }
    match scrub(&*log, service, partition, tail, deep, places).await {
        Ok(from) => {
            let finding = format!("records {from} to {} hold together", tail.last);
            page.ok(&subject, "chain", finding);
        }
        Err(why) => page.wrong(&subject, "chain", why, advice::HISTORY),
    }
    // Reading may have found holes in one copy.
    if let Ok(after) = log.inspect().await
        && after.repaired > 0
    {
        let finding = format!("{} records are missing in one copy", after.repaired);
        page.wrong(&subject, "copies", finding, advice::COPY);
    }
    Some((tail, partitions))
}

/// Reads the end of a log, or all of it, and follows its chain; returns the first record looked at.
async fn scrub(
    log: &dyn EventLog,
    service: ServiceId,
    partition: u16,
    tail: Tail,
    deep: bool,
    places: &mut Places,
) -> Result<Seq, String> {
    let recent = tail.last.saturating_sub(RECENT).max(1);
    let from = if deep { tail.first } else { recent.max(tail.first) };
    let mut reader: Option<ChainReader> = None;
    let mut next = from;
    while next <= tail.last {
        let records = log.read(next, READ_BYTES).await.map_err(|error| error.to_string())?;
        let Some(last) = records.last() else {
            return Err(LogError::WentBackwards { had: tail.last, last: next - 1 }.to_string());
        };
        next = last.seq + 1;
        for record in &records {
            let commit = if let Some(reader) = &mut reader {
                reader.take(record).map_err(|doubt| doubt.to_string())?
            } else {
                let commit = open_record(record).map_err(|doubt| doubt.to_string())?;
                let log_id = (&*commit.log_id).try_into();
                let log_id = log_id.map_err(|_| "its identity is odd".to_owned())?;
                let here = ChainReader::after(log_id, record);
                reader = Some(here.map_err(|doubt| doubt.to_string())?);
                commit
            };
            for consumed in commit.consumed {
                places.insert((service, partition, consumed.service), consumed);
            }
        }
    }
    Ok(from)
}

/// Whether what services have read of each other is still there.
async fn compare(provider: &dyn EventLogProvider, places: &Places, tails: &Tails, page: &mut Page) {
    for ((reader, partition, number), consumed) in places {
        let Some(source) = ServiceId::from_number(*number) else { continue };
        let Some(tail) = tails.get(&(source, *partition)) else { continue };
        let subject = format!("{reader}/{partition}");
        if in_a_lost_one(provider, source, *partition, consumed, *tail).await {
            let finding = format!(
                "it has read the log of {source} that was given up; it reads the new one from record 1"
            );
            page.ok(subject, "inputs", finding);
        } else if consumed.seq > tail.last {
            let finding = format!(
                "it has read {source} up to record {}, which ends at {}: history was lost",
                consumed.seq, tail.last
            );
            page.wrong(subject, "inputs", finding, advice::HISTORY);
        } else if !is_there(provider, source, *partition, consumed, *tail).await {
            let finding = format!("record {} of {source} is not the one it has read", consumed.seq);
            page.wrong(subject, "inputs", finding, advice::HISTORY);
        } else {
            let finding = format!("{source} is read to {} of {}", consumed.seq, tail.last);
            page.ok(subject, "inputs", finding);
        }
    }
}

/// Whether what was read last is of a lost log, in whose place this one began.
async fn in_a_lost_one(
    provider: &dyn EventLogProvider,
    source: ServiceId,
    partition: u16,
    consumed: &Consumed,
    tail: Tail,
) -> bool {
    let Ok(log) = provider.open(&source.log(partition)).await else { return false };
    let first = log.read(tail.first, 1).await.unwrap_or_default();
    let Some(first) = first.first().and_then(|record| open_record(record).ok()) else {
        return false;
    };
    supersedes_in(&first).is_some()
        && first.log_id != consumed.log_id
        && !is_there(provider, source, partition, consumed, tail).await
}

/// Whether the record that was read last is the one at its place.
async fn is_there(
    provider: &dyn EventLogProvider,
    source: ServiceId,
    partition: u16,
    consumed: &Consumed,
    tail: Tail,
) -> bool {
    if consumed.chain.is_empty() || consumed.seq < tail.first {
        return consumed.seq <= tail.last;
    }
    let Ok(log) = provider.open(&source.log(partition)).await else { return true };
    let Ok(records) = log.read(consumed.seq, 1).await else { return false };
    let Ok(log_id) = (&*consumed.log_id).try_into() else { return false };
    let place = records.first().and_then(|record| ChainReader::after(log_id, record).ok());
    place.is_some_and(|place| place.chain().as_slice() == &*consumed.chain)
}
