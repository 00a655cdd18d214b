//! Proofs from the log: every record read back over the wire, its chain checked, what each log promises walked by
//! `invariants`, which shares nothing with the domain's code, and what must fit together across logs compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use event_log::Record;
use invariants::{LogWalk, ServiceWalk, TicketWork};
use prost::Message;
use runtime::{ChainReader, ServiceId, open_record};
use wire::admin::v1::ReadRequest;
use wire::common::v1::TicketStatus;
use wire::events::v1 as events;
use wire::events::v1::{Commit, Event};

use crate::api::Api;
use crate::receiver::Received;

/// The logs of all services as they stand, in order.
#[derive(Debug, Default)]
pub struct History {
    commits: BTreeMap<(ServiceId, u32), Vec<Commit>>,
}

impl History {
    /// Reads all partitions of all services by `LogService`, and checks that no record is missing, changed or out of
    /// its chain.
    pub async fn read(api: &Api) -> anyhow::Result<Self> {
        let mut commits = BTreeMap::new();
        for service in ServiceId::ALL {
            for status in api.status(service).await? {
                let partition = status.position.context("no position")?.partition;
                let read = read_partition(api, service, partition).await;
                let read = read.with_context(|| format!("{service}.{partition}"))?;
                commits.insert((service, partition), read);
            }
        }
        Ok(Self { commits })
    }

    /// Logs that were read and checked otherwise.
    pub fn of(commits: BTreeMap<(ServiceId, u32), Vec<Commit>>) -> Self {
        Self { commits }
    }

    /// All events of a service, partition by partition, in order.
    pub fn events(&self, service: ServiceId) -> impl Iterator<Item = &Event> {
        let of_service = self.commits.iter().filter(move |((owner, _), _)| *owner == service);
        of_service.flat_map(|(_, commits)| commits).flat_map(|commit| &commit.events)
    }

    /// The payloads of one type.
    pub fn payloads<M: Message + Default>(
        &self,
        service: ServiceId,
        event_type: &str,
    ) -> anyhow::Result<Vec<M>> {
        let wanted = self.events(service).filter(|event| event.r#type == event_type);
        wanted.map(|event| Ok(M::decode(event.data.as_ref())?)).collect()
    }

    /// What all services wrote of a ticket: each fact's record and type, and the record that it follows from.
    fn trail(&self, workspace: &str, ticket: &str) -> String {
        let mut trail = Vec::new();
        for ((service, _), commits) in &self.commits {
            for commit in commits {
                let of_ticket =
                    |event: &&Event| event.workspace == workspace && event.entity == ticket;
                for event in commit.events.iter().filter(of_ticket) {
                    let by = event.cause.as_ref().map(|cause| (cause.service, cause.seq));
                    trail.push(format!("{service} {} {} by {by:?}", commit.seq, event.r#type));
                }
            }
        }
        trail.join(", ")
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        self.commits.values().map(Vec::len).sum()
    }

    /// The time of a service's latest record, by its writer's clock, in nanoseconds since 1970.
    pub fn last_time_ns(&self, service: ServiceId) -> Option<u64> {
        let of_service = self.commits.iter().filter(|((owner, _), _)| *owner == service);
        of_service.filter_map(|(_, commits)| commits.last()).map(|commit| commit.time_ns).max()
    }

    /// How many epochs a service's partitions have seen.
    pub fn epochs(&self, service: ServiceId) -> u64 {
        let of_service = self.commits.iter().filter(|((owner, _), _)| *owner == service);
        of_service
            .filter_map(|(_, commits)| commits.last())
            .map(|commit| commit.epoch)
            .max()
            .unwrap_or(0)
    }

    /// How many inputs were set aside.
    pub fn parked(&self) -> usize {
        self.commits.values().flatten().map(|commit| commit.parked.len()).sum()
    }

    /// Walks routing's logs: no ticket with two owners, no offer above capacity, nobody who waits in vain. Fails at
    /// what is broken.
    pub fn walk_routing(&self) -> anyhow::Result<RoutingLogs> {
        let mut walks = Vec::new();
        let of_routing = self.commits.iter().filter(|((of, _), _)| *of == ServiceId::Routing);
        for ((service, partition), commits) in of_routing {
            let first = commits.first().context("a log without a record")?;
            let mut walk = LogWalk::new(*service, first.log_id.as_slice().try_into()?);
            let found: Vec<_> =
                commits.iter().flat_map(|commit| walk.take_commit(commit)).collect();
            ensure!(found.is_empty(), "{service}.{partition}: {found:?}");
            walks.push(walk);
        }
        Ok(RoutingLogs(walks))
    }

    /// How many events of routing there are whose type begins so, by type.
    pub fn count_routing(&self, beginning: &str) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for event in self.events(ServiceId::Routing) {
            if event.r#type.starts_with(beginning) {
                *counts.entry(event.r#type.as_str()).or_default() += 1;
            }
        }
        counts
    }

    /// How often each request was answered in the logs, by its key.
    pub fn answered(&self) -> BTreeMap<&[u8], usize> {
        let mut counts = BTreeMap::new();
        for answered in self.commits.values().flatten().flat_map(|commit| &commit.answered) {
            *counts.entry(answered.key.as_slice()).or_default() += 1;
        }
        counts
    }
}

/// Routing's logs, walked.
#[derive(Debug)]
pub struct RoutingLogs(Vec<LogWalk>);

impl RoutingLogs {
    fn work_on(&self, workspace: &str, ticket: &str) -> Option<TicketWork<'_>> {
        self.0.iter().find_map(|walk| match walk.events() {
            ServiceWalk::Routing(routing) => routing.work_on(workspace, ticket),
            ServiceWalk::Intake(_) | ServiceWalk::Sla(_) | ServiceWalk::Notify(_) => None,
        })
    }
}

/// The key under which a log remembers a request.
pub fn request_key(workspace: &str, method: &str, request_id: &str) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for part in [workspace, method, request_id] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    hasher.finalize().as_bytes()[..16].to_vec()
}

/// Reads one partition by `LogService`, and checks that no record is missing, changed or out of its chain.
pub async fn read_partition(
    api: &Api,
    service: ServiceId,
    partition: u32,
) -> anyhow::Result<Vec<Commit>> {
    let mut client = api.log(service);
    let mut commits: Vec<Commit> = Vec::new();
    let mut chain: Option<ChainReader> = None;
    loop {
        let from_seq = u64::try_from(commits.len())? + 1;
        let asked = ReadRequest {
            service: service.to_wire().into(),
            partition,
            from_seq,
            max_records: 1000,
            decode: false,
        };
        let page = client.read(asked).await?.into_inner();
        if page.records.is_empty() {
            ensure!(
                page.last_seq + 1 == from_seq,
                "it ends at {} of {}",
                from_seq - 1,
                page.last_seq
            );
            return Ok(commits);
        }
        for record in page.records {
            let position = record.position.context("a record without its position")?;
            let record = Record { seq: position.seq, bytes: record.data };
            // The identity that the log was born with; a restored one says later what it is now.
            if chain.is_none() {
                let log_id = open_record(&record)?.log_id.as_slice().try_into()?;
                chain = Some(ChainReader::at_start(log_id));
            }
            let chain = chain.as_mut().context("no first record")?;
            commits.push(chain.take(&record)?);
        }
    }
}

/// What intake's log says of a ticket.
#[derive(Debug, Default)]
struct Told {
    status: TicketStatus,
    owner: String,
}

/// Every open ticket has an owner or a place in a queue, and intake and routing agree on it. Returns how many tickets
/// there are, by their status.
pub fn check_places(
    history: &History,
    routing: &RoutingLogs,
) -> anyhow::Result<BTreeMap<&'static str, usize>> {
    let mut tickets: BTreeMap<(String, String), Told> = BTreeMap::new();
    for event in history.events(ServiceId::Intake) {
        let key = (event.workspace.clone(), event.entity.clone());
        let data = event.data.as_ref();
        match event.r#type.as_str() {
            "TicketOpened" => {
                let told = Told { status: TicketStatus::New, owner: String::new() };
                ensure!(tickets.insert(key, told).is_none(), "opened twice: {}", event.entity);
            }
            "StatusChanged" => {
                let told = tickets.get_mut(&key).context("a status of nothing")?;
                let changed = events::StatusChanged::decode(data)?;
                ensure!(
                    changed.from() == told.status,
                    "{}: {changed:?} but {told:?}",
                    event.entity
                );
                told.status = changed.to();
            }
            "OwnerChanged" => {
                let told = tickets.get_mut(&key).context("an owner of nothing")?;
                told.owner = events::OwnerChanged::decode(data)?.agent_id;
            }
            _ => {}
        }
    }
    let mut counts = BTreeMap::new();
    for ((workspace, ticket), told) in &tickets {
        *counts.entry(told.status.as_str_name()).or_default() += 1;
        let work = routing.work_on(workspace, ticket);
        let work = work.with_context(|| format!("{ticket} was never queued: {told:?}"))?;
        let (ended, waits) = match told.status {
            TicketStatus::New | TicketStatus::Open | TicketStatus::Unspecified => (false, false),
            TicketStatus::Pending | TicketStatus::OnHold => (false, true),
            TicketStatus::Resolved | TicketStatus::Closed => (true, false),
        };
        let fits = match work {
            TicketWork::Assigned { agent } => !ended && agent == told.owner,
            TicketWork::Unassigned => !ended && !waits && told.owner.is_empty(),
            TicketWork::Paused => waits && told.owner.is_empty(),
            TicketWork::Ended => ended,
        };
        ensure!(
            fits,
            "{ticket}: intake says {told:?}, routing {work:?}, after {}",
            history.trail(workspace, ticket)
        );
    }
    Ok(counts)
}

/// Every webhook that was intended was delivered, with the very body that the log has, and nothing else came. Returns
/// how many.
pub fn check_webhooks(history: &History, received: &Received) -> anyhow::Result<usize> {
    ensure!(received.rejected == 0, "{} had a wrong signature", received.rejected);
    let mut intended = BTreeMap::new();
    for intent in history.payloads::<events::IntentMade>(ServiceId::Notify, "IntentMade")? {
        if intent.channel() == events::NotificationChannel::Webhook {
            let before = intended.insert(intent.delivery_id.clone(), intent.body);
            ensure!(before.is_none(), "intended twice: {}", intent.delivery_id);
        }
    }
    for (key, bodies) in &received.bodies {
        let body = intended.get(key).with_context(|| format!("sent without an intent: {key}"))?;
        let same = bodies.iter().all(|came| came.as_ref() == body.as_bytes());
        ensure!(bodies.len() == 1 && same, "{key} came with another body");
    }
    let lost: Vec<_> = intended.keys().filter(|key| !received.bodies.contains_key(*key)).collect();
    ensure!(lost.is_empty(), "never delivered: {lost:?}");
    Ok(intended.len())
}

/// No clock was started twice, none ended twice without being reopened between, none broke twice.
pub fn check_clocks(history: &History) -> anyhow::Result<usize> {
    let mut started = BTreeSet::new();
    for clock in history.payloads::<events::ClockStarted>(ServiceId::Sla, "ClockStarted")? {
        ensure!(started.insert(clock.clock_id.clone()), "started twice: {}", clock.clock_id);
    }
    let mut broken = BTreeSet::new();
    for clock in history.payloads::<events::ClockBreached>(ServiceId::Sla, "ClockBreached")? {
        ensure!(broken.insert(clock.clock_id.clone()), "broken twice: {}", clock.clock_id);
    }
    Ok(started.len())
}

#[cfg(test)]
mod tests {
    use events::{WorkState, WorkStateChanged};

    use super::*;

    fn event<M: Message>(kind: &str, entity: &str, payload: &M) -> Event {
        Event {
            r#type: kind.to_owned(),
            workspace: "w".to_owned(),
            entity: entity.to_owned(),
            data: payload.encode_to_vec().into(),
            ..Default::default()
        }
    }

    fn agent(id: &str, capacity_units: u32) -> Event {
        let put =
            events::AgentPut { agent_id: id.to_owned(), capacity_units, ..Default::default() };
        event("AgentPut", id, &put)
    }

    fn queued(ticket: &str, cost_units: u32) -> Event {
        let queued =
            events::TicketQueued { ticket_id: ticket.to_owned(), cost_units, ..Default::default() };
        event("TicketQueued", ticket, &queued)
    }

    fn offer(ticket: &str, agent: &str) -> Event {
        let made = events::OfferMade {
            offer_id: format!("of {ticket}"),
            ticket_id: ticket.to_owned(),
            agent_id: agent.to_owned(),
            ..Default::default()
        };
        event("OfferMade", ticket, &made)
    }

    fn accepted(ticket: &str, agent: &str) -> Event {
        let accepted = events::OfferAccepted {
            offer_id: format!("of {ticket}"),
            ticket_id: ticket.to_owned(),
            agent_id: agent.to_owned(),
            ..Default::default()
        };
        event("OfferAccepted", ticket, &accepted)
    }

    fn on_hold(ticket: &str, agent: &str) -> Event {
        let changed = WorkStateChanged {
            ticket_id: ticket.to_owned(),
            agent_id: agent.to_owned(),
            state: WorkState::OnHold.into(),
        };
        event("WorkStateChanged", ticket, &changed)
    }

    /// The invariants of tickets and capacity that a log of these events breaks.
    fn broken(events: &[Event]) -> BTreeSet<&'static str> {
        let mut walk = LogWalk::new(ServiceId::Routing, [1; 16]);
        let mut broken = BTreeSet::new();
        for (seq, event) in (1..).zip(events) {
            let commit =
                Commit { seq, events: vec![event.clone()], time_ns: seq, ..Commit::default() };
            broken.extend(walk.take_commit(&commit).iter().map(|found| found.invariant));
        }
        broken.retain(|invariant| ["I2", "I12", "I18", "I19"].contains(invariant));
        broken
    }

    #[test]
    fn a_log_that_breaks_a_promise_is_found_out() {
        let available = |id: &str| {
            event(
                "PresenceSet",
                id,
                &events::PresenceSet {
                    agent_id: id.to_owned(),
                    presence: events::Presence::Available.into(),
                    ..Default::default()
                },
            )
        };
        let good = [
            agent("a", 100),
            available("a"),
            agent("b", 100),
            available("b"),
            queued("1", 25),
            offer("1", "a"),
            accepted("1", "a"),
            on_hold("1", "a"),
        ];
        let with = |more: &[Event]| broken(&[&good, more].concat());
        let nothing = BTreeSet::new();
        assert_eq!(with(&[]), nothing);
        assert_eq!(with(&[queued("1", 25)]), BTreeSet::from(["I12"]));
        assert!(with(&[offer("1", "b")]).contains("I18"), "an owned ticket is not offered");
        let stranger = [queued("2", 10), offer("2", "a"), accepted("2", "b")];
        assert!(with(&stranger).contains("I18"), "nor accepted by another");
        // A quarter of 25 units is 7 of them, not 6.
        assert_eq!(with(&[queued("2", 93), offer("2", "a")]), nothing);
        assert_eq!(with(&[queued("2", 94), offer("2", "a")]), BTreeSet::from(["I19"]));
    }
}
