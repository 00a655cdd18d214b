//! An open workload over instances that may go away at any time, and what its callers may rely on afterwards.
//!
//! Every service gets calls at a steady pace, however late the answers are, so that an outage shows in the answers'
//! times. All calls are repeated with the same request id until they are acknowledged. Desks take what is offered and
//! complete it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use runtime::ServiceId;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use wire::common::v1::{Channel, Priority};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

use crate::api::{Api, LOOK_AGAIN_EVERY, new_id, reason_of};
use crate::cluster::{Acknowledged, Client};
use crate::proof::{History, check_clocks, check_places, request_key};
use crate::rest::rest;
use crate::story::put_agent;
use crate::{at_any, call};

/// Each in another one of the [`PARTITIONS`](crate::cluster::PARTITIONS) of every service.
pub const WORKSPACES: [&str; 2] = ["north", "coast"];
const AGENTS: usize = 3;
/// How often each service is called.
const CALL_EVERY: Duration = Duration::from_millis(200);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An acknowledged call.
#[derive(Debug, Clone)]
pub struct Call {
    service: ServiceId,
    workspace: &'static str,
    method: &'static str,
    request_id: String,
    acknowledged: Acknowledged,
    /// What was put again and again: which time, and the revision that was told.
    put: Option<Put>,
}

#[derive(Debug, Clone, Copy)]
struct Put {
    number: u64,
    revision: u64,
}

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Vec<Call>>,
    begun: AtomicU64,
    stop: AtomicBool,
}

/// A workload under way.
#[derive(Debug)]
pub struct Load {
    client: Client,
    shared: Arc<Shared>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Load {
    /// Sets the scene and begins.
    pub async fn start(client: Client, api: &Api) -> anyhow::Result<Self> {
        for workspace in WORKSPACES {
            settle(&client, api, workspace).await?;
        }
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for service in ServiceId::ALL {
            for workspace in WORKSPACES {
                let lane = Lane { client: client.clone(), shared: Arc::clone(&shared), workspace };
                tasks.spawn(lane.run(service));
            }
        }
        for workspace in WORKSPACES {
            for agent in 0..AGENTS {
                let lane = Lane { client: client.clone(), shared: Arc::clone(&shared), workspace };
                tasks.spawn(lane.desk(format!("agent-{agent}")));
            }
        }
        Ok(Self { client, shared, tasks })
    }

    /// How many calls were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until so many more calls were acknowledged; fails at once if any call failed for good.
    pub async fn more(&mut self, calls: usize) -> anyhow::Result<()> {
        let wanted = self.acknowledged() + calls;
        while self.acknowledged() < wanted {
            while let Some(ended) = self.tasks.try_join_next() {
                ended??;
            }
            sleep(LOOK_AGAIN_EVERY).await;
        }
        Ok(())
    }

    /// The longest time from `since` on in which a service acknowledged no call of a workspace; the longest of its
    /// workspaces.
    pub fn longest_gap(&self, service: ServiceId, since: Instant) -> Duration {
        let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut longest = Duration::ZERO;
        for workspace in WORKSPACES {
            let of_lane =
                calls.iter().filter(|it| it.service == service && it.workspace == workspace);
            let mut times: Vec<_> = of_lane.map(|it| it.acknowledged.at).collect();
            times.retain(|at| *at >= since);
            times.push(since);
            times.sort_unstable();
            let gaps = times.windows(2).filter_map(|two| Some(*two.get(1)? - *two.first()?));
            longest = gaps.chain([longest]).max().unwrap_or_default();
        }
        longest
    }

    /// Waits until every lane of a service has been answered since `since`: whatever happened then is over.
    pub async fn all_answered(&mut self, service: ServiceId, since: Instant) -> anyhow::Result<()> {
        loop {
            let answered: BTreeSet<_> = {
                let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
                let recent = calls
                    .iter()
                    .filter(|it| it.service == service && it.acknowledged.at > since + CALL_EVERY);
                recent.map(|it| it.workspace).collect()
            };
            if answered.len() == WORKSPACES.len() {
                return Ok(());
            }
            self.more(1).await?;
        }
    }

    /// Ends it once all that was begun is acknowledged; a call that failed for good fails it. Returns how many there
    /// were.
    pub async fn finish(mut self, sides: &[Api]) -> anyhow::Result<Figures> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        rest(sides).await?;
        let calls =
            std::mem::take(&mut *self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner));
        ensure!(
            u64::try_from(calls.len())? == self.shared.begun.load(Ordering::SeqCst),
            "calls went missing"
        );
        prove(&self.client, sides, &calls).await
    }
}

/// What a workload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Acknowledged calls.
    pub calls: usize,
    /// Calls that had to be repeated.
    pub repeated: usize,
    /// Records in all logs.
    pub records: usize,
    /// Tickets opened.
    pub tickets: usize,
    /// The most terms that any partition has seen.
    pub epochs: u64,
}

async fn settle(client: &Client, api: &Api, workspace: &str) -> anyhow::Result<()> {
    let put = intake::PutWorkspaceRequest {
        workspace: Some(intake::Workspace {
            workspace_id: workspace.to_owned(),
            default_priority: Priority::P3.into(),
            ..Default::default()
        }),
        request_id: new_id(),
        expected_revision: 0,
    };
    let (put, _) = at_any!(client, intake.put_workspace, put).await?;
    // The other services have heard of it before anything is asked of them.
    api.saw(&put.position);
    for agent in 0..AGENTS {
        put_agent(api, workspace, &format!("agent-{agent}"), &["all"], 100).await?;
    }
    let workspace_id = workspace.to_owned();
    let list =
        sla::ListPoliciesRequest { workspace_id: workspace_id.clone(), ..Default::default() };
    call!(api, sla.list_policies, list).await.context("sla")?;
    let list = notify::ListDeliveriesRequest { workspace_id, page_size: 1, ..Default::default() };
    call!(api, notify.list_deliveries, list).await.context("notify")?;
    Ok(())
}

/// The calls of one workspace.
#[derive(Debug, Clone)]
struct Lane {
    client: Client,
    shared: Arc<Shared>,
    workspace: &'static str,
}

impl Lane {
    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    /// Begins a call at a steady pace, and ends when the last is acknowledged.
    async fn run(self, service: ServiceId) -> anyhow::Result<()> {
        let mut pace = interval(CALL_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls = JoinSet::new();
        let mut number = 0u64;
        while !self.stopped() {
            pace.tick().await;
            number += 1;
            calls.spawn(self.clone().once(service, number));
            while let Some(ended) = calls.try_join_next() {
                ended??;
            }
        }
        while let Some(ended) = calls.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn once(self, service: ServiceId, number: u64) -> anyhow::Result<()> {
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        let request_id = new_id();
        let workspace_id = self.workspace.to_owned();
        let (method, acknowledged, revision) = match service {
            ServiceId::Intake => {
                let create = ticket(workspace_id, &request_id, number);
                let done = at_any!(self.client, intake.create_ticket, create).await;
                ("CreateTicket", done.context("creating")?.1, None)
            }
            ServiceId::Routing => {
                let put = agent(workspace_id, &request_id, number);
                let (reply, told) =
                    at_any!(self.client, routing.put_agent, put).await.context("agent")?;
                ("PutAgent", told, Some(reply.revision))
            }
            ServiceId::Sla => {
                let put = policy(workspace_id, &request_id, number);
                let (reply, told) =
                    at_any!(self.client, sla.put_policy, put).await.context("policy")?;
                ("PutPolicy", told, Some(reply.revision))
            }
            ServiceId::Notify => {
                let put = endpoint(workspace_id, &request_id, number);
                let (reply, told) =
                    at_any!(self.client, notify.put_endpoint, put).await.context("endpoint")?;
                ("PutEndpoint", told, Some(reply.revision))
            }
        };
        let put = revision.map(|revision| Put { number, revision });
        self.note(service, method, request_id, acknowledged, put);
        Ok(())
    }

    fn note(
        &self,
        service: ServiceId,
        method: &'static str,
        request_id: String,
        acknowledged: Acknowledged,
        put: Option<Put>,
    ) {
        let workspace = self.workspace;
        let call = Call { service, workspace, method, request_id, acknowledged, put };
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Takes what is offered to an agent, and completes it.
    async fn desk(self, agent_id: String) -> anyhow::Result<()> {
        while !self.stopped() {
            let get = routing::GetAgentRequest {
                workspace_id: self.workspace.to_owned(),
                agent_id: agent_id.clone(),
            };
            let (got, _) = at_any!(self.client, routing.get_agent, get).await.context("looking")?;
            let agent = got.agent.context("no agent")?;
            for offer in agent.offers {
                let request_id = new_id();
                let accept = routing::AcceptOfferRequest {
                    workspace_id: self.workspace.to_owned(),
                    request_id: request_id.clone(),
                    agent_id: offer.agent_id,
                    offer_id: offer.offer_id,
                };
                self.shared.begun.fetch_add(1, Ordering::SeqCst);
                match at_any!(self.client, routing.accept_offer, accept).await {
                    Ok((_, told)) => {
                        self.note(ServiceId::Routing, "AcceptOffer", request_id, told, None);
                    }
                    // Too late: its deadline passed while routing was away.
                    Err(status)
                        if ["OFFER_EXPIRED", "OFFER_NOT_LIVE"]
                            .contains(&reason_of(&status).as_str()) =>
                    {
                        self.shared.begun.fetch_sub(1, Ordering::SeqCst);
                    }
                    Err(status) => return Err(status).context("accepting"),
                }
            }
            for owned in agent.tickets {
                if owned.state() == events::WorkState::Active {
                    self.complete(&agent_id, owned.ticket_id).await?;
                }
            }
            sleep(CALL_EVERY).await; // the next look
        }
        Ok(())
    }

    async fn complete(&self, agent_id: &str, ticket_id: String) -> anyhow::Result<()> {
        let request_id = new_id();
        let complete = routing::CompleteWorkRequest {
            workspace_id: self.workspace.to_owned(),
            request_id: request_id.clone(),
            agent_id: agent_id.to_owned(),
            ticket_id,
            outcome: events::WorkOutcome::Resolved.into(),
            note: String::new(),
        };
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        let (_, told) =
            at_any!(self.client, routing.complete_work, complete).await.context("completing")?;
        self.note(ServiceId::Routing, "CompleteWork", request_id, told, None);
        Ok(())
    }
}

fn ticket(workspace_id: String, request_id: &str, number: u64) -> intake::CreateTicketRequest {
    // The proof knows a ticket by its id alone.
    let ticket_id = format!("{workspace_id}-{number}");
    intake::CreateTicketRequest {
        workspace_id,
        request_id: request_id.to_owned(),
        ticket_id,
        external_id: format!("x-{number}"),
        channel: Channel::Email.into(),
        requester: Some(events::Requester {
            name: format!("Customer {number}"),
            ..Default::default()
        }),
        subject: format!("Ticket {number}"),
        body: "something is broken".to_owned(),
        ..Default::default()
    }
}

fn agent(workspace_id: String, request_id: &str, number: u64) -> routing::PutAgentRequest {
    routing::PutAgentRequest {
        workspace_id,
        request_id: request_id.to_owned(),
        agent: Some(routing::Agent {
            agent_id: "probe".to_owned(),
            display_name: format!("Probe {number}"),
            capacity_units: Some(100),
            ..Default::default()
        }),
        expected_revision: 0,
    }
}

fn policy(workspace_id: String, request_id: &str, number: u64) -> sla::PutPolicyRequest {
    let target = sla::PolicyTarget {
        metric: events::ClockMetric::FirstReply.into(),
        priority: Priority::P3.into(),
        within: Some(prost_types::Duration {
            seconds: 36_000 + i64::try_from(number).unwrap_or(0),
            nanos: 0,
        }),
    };
    sla::PutPolicyRequest {
        workspace_id,
        request_id: request_id.to_owned(),
        policy: Some(sla::Policy {
            policy_id: "probe".to_owned(),
            targets: vec![target],
            ..Default::default()
        }),
        expected_revision: 0,
    }
}

fn endpoint(workspace_id: String, request_id: &str, number: u64) -> notify::PutEndpointRequest {
    notify::PutEndpointRequest {
        workspace_id,
        request_id: request_id.to_owned(),
        endpoint: Some(notify::Endpoint {
            endpoint_id: "probe".to_owned(),
            url: format!("http://127.0.0.1:9/{number}"),
            secret: SECRET.to_owned(),
            ..Default::default()
        }),
        expected_revision: 0,
    }
}

/// What was acknowledged is in the logs, once; what was told is so; nobody holds more than they can.
async fn prove(client: &Client, sides: &[Api], calls: &[Call]) -> anyhow::Result<Figures> {
    let history = History::read(sides.first().context("no instances")?).await?;
    ensure!(history.parked() == 0, "{} inputs were set aside", history.parked());
    let answered = history.answered();
    for call in calls {
        let key = request_key(call.workspace, call.method, &call.request_id);
        let times = answered.get(key.as_slice()).copied().unwrap_or(0);
        ensure!(times == 1, "acknowledged once, in the log {times} times: {call:?}");
    }
    let twice = answered.values().filter(|times| **times > 1).count();
    ensure!(twice == 0, "{twice} requests were answered twice");
    let tickets = check_tickets(&history, calls)?;
    check_revisions(calls)?;
    check_places(&history, &history.walk_routing()?)?;
    check_clocks(&history)?;
    check_repetition(client, calls).await?;
    let epochs = ServiceId::ALL.map(|service| history.epochs(service)).into_iter().max();
    Ok(Figures {
        calls: calls.len(),
        repeated: calls.iter().filter(|call| call.acknowledged.attempts > 1).count(),
        records: history.records(),
        tickets,
        epochs: epochs.unwrap_or(0),
    })
}

/// Each acknowledged ticket was opened once, no other was, and a workspace's numbers have no hole.
fn check_tickets(history: &History, calls: &[Call]) -> anyhow::Result<usize> {
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let opened: Vec<_> = history
        .events(ServiceId::Intake)
        .filter(|event| event.r#type == "TicketOpened")
        .map(|event| (event.workspace.clone(), event.entity.clone()))
        .collect();
    let data = history.payloads::<events::TicketOpened>(ServiceId::Intake, "TicketOpened")?;
    for ((workspace, _), ticket) in opened.iter().zip(data) {
        numbers.entry(workspace.clone()).or_default().push(ticket.number);
    }
    let distinct: BTreeSet<_> = opened.iter().collect();
    ensure!(distinct.len() == opened.len(), "a ticket was opened twice");
    let created = calls.iter().filter(|call| call.method == "CreateTicket").count();
    ensure!(created == opened.len(), "{created} acknowledged, {} opened", opened.len());
    for (workspace, mut numbers) in numbers {
        numbers.sort_unstable();
        let expected: Vec<u64> = (1..=u64::try_from(numbers.len())?).collect();
        ensure!(numbers == expected, "the numbers of {workspace} have a hole");
    }
    Ok(opened.len())
}

/// What was put n times has had the revisions 1 to n, and each caller was told another.
fn check_revisions(calls: &[Call]) -> anyhow::Result<()> {
    let mut told: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for call in calls {
        if let Some(put) = call.put {
            told.entry((call.service, call.workspace)).or_default().push(put.revision);
        }
    }
    ensure!(told.len() == 3 * WORKSPACES.len(), "a lane is missing: {:?}", told.keys());
    for (lane, mut revisions) in told {
        revisions.sort_unstable();
        let expected: Vec<u64> = (1..=u64::try_from(revisions.len())?).collect();
        ensure!(revisions == expected, "{lane:?}: {revisions:?}");
    }
    Ok(())
}

/// The same request again, whoever leads now: the same answer, and nothing happens.
async fn check_repetition(client: &Client, calls: &[Call]) -> anyhow::Result<()> {
    let puts = calls.iter().filter(|call| call.method == "PutAgent").step_by(7).take(50);
    for call in puts {
        let before = call.put.context("a put without its number")?;
        let put = agent(call.workspace.to_owned(), &call.request_id, before.number);
        let (again, _) = at_any!(client, routing.put_agent, put).await.context("repeating")?;
        ensure!(again.revision == before.revision, "another answer: {again:?}, not {before:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspaces_lie_in_all_partitions() {
        let partitions = u16::try_from(crate::cluster::PARTITIONS).unwrap();
        let of: BTreeSet<_> = WORKSPACES.map(|it| runtime::partition_of(it, partitions)).into();
        assert_eq!(of.len(), usize::from(partitions));
    }
}
