//! Proofs from the log: every record read back over the wire, its chain checked, and the promises counted out by a model of the
//! tests' own, which shares nothing with the domain's code.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use event_log::Record;
use prost::Message;
use runtime::{ChainReader, ServiceId};
use wire::admin::v1::ReadRequest;
use wire::common::v1::TicketStatus;
use wire::events::v1 as events;
use wire::events::v1::{Commit, Event, WorkOutcome, WorkState};

use crate::api::Api;
use crate::receiver::Received;

/// The logs of all services as they stand, in order.
#[derive(Debug, Default)]
pub struct History {
    commits: BTreeMap<(ServiceId, u32), Vec<Commit>>,
}

impl History {
    /// Reads all partitions of all services by LogService, and checks that no record is missing, changed or out of its chain.
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

    /// How many records there are.
    pub fn records(&self) -> usize {
        self.commits.values().map(Vec::len).sum()
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

    /// How often each request was answered in the logs, by its key.
    pub fn answered(&self) -> BTreeMap<&[u8], usize> {
        let mut counts = BTreeMap::new();
        for answered in self.commits.values().flatten().flat_map(|commit| &commit.answered) {
            *counts.entry(answered.key.as_slice()).or_default() += 1;
        }
        counts
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

async fn read_partition(
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
            let log_id = position.log_id.as_slice().try_into()?;
            let chain = chain.get_or_insert_with(|| ChainReader::at_start(log_id));
            let record = Record { seq: position.seq, bytes: record.data };
            commits.push(chain.take(&record)?);
        }
    }
}

/// Where routing has a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Waiting,
    Offered(String),
    Owned(String, WorkState),
    Paused,
    Ended,
}

#[derive(Debug)]
struct Work {
    cost: u32,
    place: Place,
}

impl Work {
    /// The agent whose units it holds, and how many.
    fn held(&self) -> Option<(&str, u32)> {
        match &self.place {
            Place::Offered(agent) => Some((agent, self.cost)),
            Place::Owned(agent, state) => {
                let units = match state {
                    WorkState::Pending => 0,
                    WorkState::OnHold => self.cost / 4,
                    WorkState::Active | WorkState::Unspecified => self.cost,
                };
                Some((agent, units))
            }
            Place::Waiting | Place::Paused | Place::Ended => None,
        }
    }
}

/// Routing's log, played by hand. Each step must be possible.
#[derive(Debug, Default)]
pub struct Board {
    capacity: BTreeMap<(String, String), u32>,
    work: BTreeMap<(String, String), Work>,
    /// Offers seen, by their end.
    pub offers: BTreeMap<String, usize>,
}

impl Board {
    /// Plays the log: no offer above capacity, no ticket with two owners, each ticket queued once.
    pub fn play(history: &History) -> anyhow::Result<Self> {
        let mut board = Self::default();
        for event in history.events(ServiceId::Routing) {
            board.step(event).with_context(|| format!("{} {}", event.r#type, event.entity))?;
        }
        Ok(board)
    }

    fn step(&mut self, event: &Event) -> anyhow::Result<()> {
        let data = event.data.as_ref();
        let workspace = &event.workspace;
        if event.r#type.starts_with("Offer") {
            *self.offers.entry(event.r#type.clone()).or_default() += 1;
        }
        match event.r#type.as_str() {
            "AgentPut" => {
                let put = events::AgentPut::decode(data)?;
                self.capacity.insert((workspace.clone(), put.agent_id), put.capacity_units);
            }
            "TicketQueued" => {
                let queued = events::TicketQueued::decode(data)?;
                let work = Work { cost: queued.cost_units, place: Place::Waiting };
                let before = self.work.insert((workspace.clone(), queued.ticket_id), work);
                ensure!(before.is_none(), "queued twice");
            }
            "OfferMade" => {
                let made = events::OfferMade::decode(data)?;
                self.moved(
                    workspace,
                    &made.ticket_id,
                    Place::Offered(made.agent_id.clone()),
                    |from| *from == Place::Waiting,
                )?;
                let used = self.used(workspace, &made.agent_id);
                let agent = (workspace.clone(), made.agent_id);
                let capacity = *self.capacity.get(&agent).context("an unknown agent")?;
                ensure!(used <= capacity, "{} holds {used} of {capacity}", agent.1);
            }
            "OfferAccepted" => {
                let taken = events::OfferAccepted::decode(data)?;
                let to = Place::Owned(taken.agent_id.clone(), WorkState::Active);
                let offered = Place::Offered(taken.agent_id);
                self.moved(workspace, &taken.ticket_id, to, |from| *from == offered)?;
            }
            "OfferDeclined" => {
                let ended = events::OfferDeclined::decode(data)?;
                self.given_back(workspace, &ended.ticket_id, ended.agent_id)?;
            }
            "OfferExpired" => {
                let ended = events::OfferExpired::decode(data)?;
                self.given_back(workspace, &ended.ticket_id, ended.agent_id)?;
            }
            "OfferRescinded" => {
                let ended = events::OfferRescinded::decode(data)?;
                self.given_back(workspace, &ended.ticket_id, ended.agent_id)?;
            }
            "TicketAssigned" => {
                let assigned = events::TicketAssigned::decode(data)?;
                let agent = assigned.agent_id;
                let by_hand = assigned.how != "returned";
                let to = Place::Owned(agent.clone(), WorkState::Active);
                self.moved(workspace, &assigned.ticket_id, to, |from| match from {
                    Place::Owned(owner, _) => *owner == agent || by_hand,
                    Place::Waiting | Place::Offered(_) | Place::Paused | Place::Ended => true,
                })?;
            }
            "WorkStateChanged" => {
                let changed = events::WorkStateChanged::decode(data)?;
                let state = changed.state();
                let owner = changed.agent_id;
                let to = match (owner.is_empty(), state) {
                    (false, state) => Place::Owned(owner.clone(), state),
                    (true, WorkState::Active) => Place::Waiting,
                    (true, _) => Place::Paused,
                };
                self.moved(workspace, &changed.ticket_id, to, |from| match from {
                    Place::Owned(before, _) => *before == owner,
                    Place::Waiting | Place::Offered(_) | Place::Paused => owner.is_empty(),
                    Place::Ended => false,
                })?;
            }
            "WorkCompleted" => {
                let done = events::WorkCompleted::decode(data)?;
                let owner = done.agent_id.clone();
                let to = match done.outcome() {
                    WorkOutcome::Resolved => Place::Ended,
                    WorkOutcome::Pending => Place::Owned(owner.clone(), WorkState::Pending),
                    WorkOutcome::OnHold => Place::Owned(owner.clone(), WorkState::OnHold),
                    WorkOutcome::Requeue | WorkOutcome::Unspecified => {
                        Place::Owned(owner.clone(), WorkState::Active)
                    }
                };
                self.moved(
                    workspace,
                    &done.ticket_id,
                    to,
                    |from| matches!(from, Place::Owned(agent, _) if *agent == owner),
                )?;
            }
            "TicketRequeued" => {
                let requeued = events::TicketRequeued::decode(data)?;
                let paused = self.place(workspace, &requeued.ticket_id)? == &Place::Paused;
                let to = if paused { Place::Paused } else { Place::Waiting };
                self.moved(workspace, &requeued.ticket_id, to, |_| true)?;
            }
            "WorkEnded" => {
                let ended = events::WorkEnded::decode(data)?;
                self.moved(workspace, &ended.ticket_id, Place::Ended, |_| true)?;
            }
            "WorkspaceSeen" | "PresenceSet" | "PresenceExpired" | "QueuePut"
            | "WorkReprioritised" | "CooldownEnded" | "TicketTransferred" => {}
            other => bail!("an event that this model doesn't know: {other}"),
        }
        Ok(())
    }

    fn given_back(&mut self, workspace: &str, ticket: &str, agent: String) -> anyhow::Result<()> {
        let offered = Place::Offered(agent);
        self.moved(workspace, ticket, Place::Waiting, |from| *from == offered)
    }

    fn place(&self, workspace: &str, ticket: &str) -> anyhow::Result<&Place> {
        let work = self.work.get(&(workspace.to_owned(), ticket.to_owned()));
        work.map(|work| &work.place).context("a ticket that was never queued")
    }

    fn moved(
        &mut self,
        workspace: &str,
        ticket: &str,
        to: Place,
        possible: impl Fn(&Place) -> bool,
    ) -> anyhow::Result<()> {
        let work = self.work.get_mut(&(workspace.to_owned(), ticket.to_owned()));
        let work = work.context("a ticket that was never queued")?;
        ensure!(possible(&work.place), "from {:?} to {to:?}", work.place);
        work.place = to;
        Ok(())
    }

    fn used(&self, workspace: &str, agent: &str) -> u32 {
        let of_workspace = self.work.iter().filter(|((of, _), _)| of == workspace);
        let held = of_workspace.filter_map(|(_, work)| work.held());
        held.filter(|(holder, _)| *holder == agent).map(|(_, units)| units).sum()
    }
}

/// What intake's log says of a ticket.
#[derive(Debug, Default)]
struct Told {
    status: TicketStatus,
    owner: String,
}

/// Every open ticket has an owner or a place in a queue, and intake and routing agree on it. Returns how many tickets there are,
/// by their status.
pub fn check_places(
    history: &History,
    board: &Board,
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
        let place =
            board.place(workspace, ticket).with_context(|| format!("{ticket}: {told:?}"))?;
        let fits = match (told.status, place) {
            (TicketStatus::New | TicketStatus::Open, Place::Owned(owner, _)) => {
                *owner == told.owner
            }
            (TicketStatus::New | TicketStatus::Open, Place::Waiting | Place::Offered(_)) => {
                told.owner.is_empty()
            }
            (TicketStatus::Pending | TicketStatus::OnHold, Place::Owned(owner, _)) => {
                *owner == told.owner
            }
            (TicketStatus::Pending | TicketStatus::OnHold, Place::Paused) => told.owner.is_empty(),
            (TicketStatus::Resolved | TicketStatus::Closed, Place::Ended) => true,
            _ => false,
        };
        ensure!(fits, "{ticket}: intake says {told:?}, routing {place:?}");
    }
    Ok(counts)
}

/// Every webhook that was intended was delivered, with the very body that the log has, and nothing else came. Returns how many.
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
