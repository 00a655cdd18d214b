//! How far one log may be trimmed, and what is in the way.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use event_log::{EventLog, Seq};
use intake_service::IntakeService;
use notify_service::NotifyService;
use routing_service::RoutingService;
use runtime::{Service as _, ServiceId, is_origin, open_record};
use sla_service::SlaService;

use super::Proven;
use crate::exit::bad_configuration;

/// Bytes a read, about.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// How far the operator would have it go.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// The last record.
    pub(super) upto: Option<Seq>,
    /// What was written at this time or later stays, in nanoseconds since 1970; and how that was said.
    keep: Option<(u64, u32)>,
}

impl Bounds {
    pub(super) fn new(upto: Option<Seq>, keep_days: Option<u32>) -> Result<Self> {
        let keep = keep_days.map(|days| {
            let then =
                jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * i64::from(days));
            let then = u64::try_from(then.as_nanosecond());
            Ok::<_, anyhow::Error>((
                then.map_err(|_| bad_configuration("--keep-days reaches too far back"))?,
                days,
            ))
        });
        Ok(Self { upto, keep: keep.transpose()? })
    }
}

/// What may go of one log.
#[derive(Debug)]
pub(super) struct Plan {
    /// The last record that nobody needs.
    pub(super) limit: Seq,
    /// Who needs the next one.
    pub(super) in_the_way: String,
    /// The last record that goes: `limit`, or as far below that the next one is a record that a reader can begin with.
    pub(super) upto: Seq,
}

impl Plan {
    pub(super) async fn of(
        service: ServiceId,
        proven: &BTreeMap<ServiceId, Proven>,
        bounds: &Bounds,
    ) -> Result<Self> {
        let own = proven.get(&service).context("it was not read")?;
        let mut limit = Limit { seq: own.tail.last - 1, why: "the log ends there".to_owned() };
        limit.lower(own.archived, || format!("the archive ends at record {}", own.archived));
        if own.compared == 0 {
            limit.lower(0, || "there is no state hash yet to compare with".to_owned());
        }
        for (reader, proven) in proven {
            if inputs_of(*reader).contains(&service) {
                limit.lower_for_reader(service, *reader, proven);
            }
        }
        if own.holders.is_empty() {
            limit.lower(0, || format!("no instance of {service} is known, running or stopped"));
        }
        for holder in &own.holders {
            let (seq, why) = holder.limit(&own.folded);
            limit.lower(seq, || why);
        }
        if let Some(upto) = bounds.upto.filter(|upto| *upto <= limit.seq) {
            limit = Limit { seq: upto, why: "it was asked for no more".to_owned() };
        }
        let upto = last_before_an_origin(&*own.log, own.tail.first, &mut limit, bounds).await?;
        Ok(Self { limit: limit.seq, in_the_way: limit.why, upto })
    }
}

struct Limit {
    seq: Seq,
    why: String,
}

impl Limit {
    fn lower(&mut self, seq: Seq, why: impl FnOnce() -> String) {
        if seq < self.seq {
            *self = Self { seq, why: why() };
        }
    }

    /// The record that was read last stays as well: by it a reader that comes back knows that it is the same log.
    fn lower_for_reader(&mut self, service: ServiceId, reader: ServiceId, proven: &Proven) {
        match proven.folded.consumed.get(&service) {
            Some(read) => self
                .lower(read.saturating_sub(1), || format!("{reader} has read it to record {read}")),
            None => self.lower(0, || format!("{reader} has read nothing of it")),
        }
        if let Some(aside) = proven.folded.set_aside.get(&service) {
            self.lower(aside.saturating_sub(1), || {
                format!("{reader} has set aside inputs of record {aside}")
            });
        }
    }
}

/// The last record, up to the limit, whose next one says what a reader needs that begins there. Records that are to be
/// kept for their age lower the limit.
async fn last_before_an_origin(
    log: &dyn EventLog,
    first: Seq,
    limit: &mut Limit,
    bounds: &Bounds,
) -> Result<Seq> {
    let mut upto = first - 1;
    let mut next = first;
    while next <= limit.seq + 1 {
        let records = log.read(next, READ_BYTES).await?;
        next = records.last().context("the log went backwards")?.seq + 1;
        for record in records.iter().take_while(|record| record.seq <= limit.seq + 1) {
            let commit = open_record(record)?;
            if is_origin(&commit) {
                upto = record.seq - 1;
            }
            if let Some((_, days)) = bounds.keep.filter(|(then, _)| commit.time_ns >= *then) {
                limit.lower(record.seq - 1, || format!("what follows is of the last {days} days"));
                return Ok(upto);
            }
        }
    }
    Ok(upto)
}

/// Which logs a service follows.
fn inputs_of(service: ServiceId) -> &'static [ServiceId] {
    match service {
        ServiceId::Intake => IntakeService::INPUTS,
        ServiceId::Routing => RoutingService::INPUTS,
        ServiceId::Sla => SlaService::INPUTS,
        ServiceId::Notify => NotifyService::INPUTS,
    }
}
