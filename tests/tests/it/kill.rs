//! Each of the four processes is killed in the middle of 500 concurrent tickets and started again, and so is the one of
//! `up`; then the log must prove that no promise was broken.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use runtime::ServiceId;
use tests::api::{Api, LOOK_AGAIN_EVERY, new_id, reason_of, until};
use tests::call;
use tests::proof::{History, check_clocks, check_places, check_webhooks, request_key};
use tests::receiver::Receiver;
use tests::stack::Stack;
use tests::story::{put_agent, put_hook};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wire::common::v1::{Channel, Priority, TicketStatus};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

const TICKETS: usize = 500;
/// So many of them come only when a process has just been killed: however long it takes to come back, there is work.
const AT_EACH_KILL: usize = 50;
const AGENTS: usize = 20;
/// Two workspaces, in two partitions of four.
const WORKSPACES: [&str; 2] = ["north", "south"];
/// After how many acknowledged calls each process is killed. There are some 1,700 in all.
const KILLS: [(ServiceId, usize); 4] = [
    (ServiceId::Intake, 150),
    (ServiceId::Routing, 600),
    (ServiceId::Sla, 850),
    (ServiceId::Notify, 1100),
];
const WITHIN: Duration = Duration::from_secs(150);

/// What clients were told, and may rely on.
#[derive(Debug, Default)]
struct Acknowledged {
    count: AtomicUsize,
    calls: Mutex<Vec<Call>>,
    finished: AtomicBool,
}

#[derive(Debug, Clone)]
struct Call {
    workspace: &'static str,
    method: &'static str,
    request_id: String,
}

impl Acknowledged {
    fn note(&self, workspace: &'static str, method: &'static str, request_id: String) {
        self.calls.lock().unwrap().push(Call { workspace, method, request_id });
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_four_processes_on_nats() -> anyhow::Result<()> {
    amid_500_tickets(Stack::four(&[]).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_the_embedded_log() -> anyhow::Result<()> {
    amid_500_tickets(Stack::up(&[]).await?).await
}

async fn amid_500_tickets(mut stack: Stack) -> anyhow::Result<()> {
    let result = timeout(WITHIN * 2, run(&mut stack)).await.context("it took too long");
    result.and_then(|result| result).with_context(|| stack.said())?;
    stack.stop().await
}

async fn run(stack: &mut Stack) -> anyhow::Result<()> {
    let api = stack.api()?;
    let receiver = Receiver::start().await?;
    for workspace in WORKSPACES {
        settle(&api, workspace, &receiver).await?;
    }
    let acknowledged = Arc::new(Acknowledged::default());
    let mut customers = JoinSet::new();
    let mut numbers = 0..TICKETS;
    let mut come = |many: usize| {
        for number in numbers.by_ref().take(many) {
            customers.spawn(customer(api.fresh(), number, Arc::clone(&acknowledged)));
        }
    };
    come(TICKETS - AT_EACH_KILL * KILLS.len());
    let mut desks = JoinSet::new();
    for workspace in WORKSPACES {
        for agent in 0..AGENTS / WORKSPACES.len() {
            desks.spawn(desk(api.fresh(), workspace, agent, Arc::clone(&acknowledged)));
        }
    }
    let mut at_last_kill = 0;
    for (service, after) in KILLS {
        until("enough calls were acknowledged", || async {
            Ok((acknowledged.count.load(Ordering::SeqCst) >= after).then_some(()))
        })
        .await?;
        let index = ServiceId::ALL.iter().position(|&other| other == service).unwrap();
        // With one process, each kill is all four services'.
        let index = index.min(stack.processes.len() - 1);
        stack.processes[index].kill().await?;
        at_last_kill = acknowledged.count.load(Ordering::SeqCst);
        come(AT_EACH_KILL);
        stack.processes[index].start_again().await?;
        // A desk only ends by failing.
        if let Some(ended) = desks.try_join_next() {
            ended??;
        }
    }
    let opened = timeout(WITHIN, join(customers)).await.context("customers still wait")??;
    finish(&api, &acknowledged).await?;
    acknowledged.finished.store(true, Ordering::SeqCst);
    join(desks).await?;
    let calls = acknowledged.count.load(Ordering::SeqCst);
    ensure!(at_last_kill < calls, "the last kill came after all was done");
    prove(&api, &receiver, &acknowledged, &opened).await
}

async fn join<T: 'static>(mut tasks: JoinSet<anyhow::Result<T>>) -> anyhow::Result<Vec<T>> {
    let mut results = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        results.push(ended??);
    }
    Ok(results)
}

async fn settle(api: &Api, workspace: &str, receiver: &Receiver) -> anyhow::Result<()> {
    let put = intake::PutWorkspaceRequest {
        workspace: Some(intake::Workspace {
            workspace_id: workspace.to_owned(),
            default_priority: Priority::P3.into(),
            ..Default::default()
        }),
        request_id: new_id(),
        expected_revision: 0,
    };
    call!(api, intake.put_workspace, put).await?;
    let hours = |metric: events::ClockMetric| sla::PolicyTarget {
        metric: metric.into(),
        priority: Priority::P3.into(),
        within: Some(prost_types::Duration { seconds: 36_000, nanos: 0 }),
    };
    let put = sla::PutPolicyRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        policy: Some(sla::Policy {
            policy_id: "hours".to_owned(),
            targets: [events::ClockMetric::FirstReply, events::ClockMetric::TotalResolution]
                .map(hours)
                .to_vec(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, sla.put_policy, put).await?;
    let put = routing::PutQueueRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        queue: Some(routing::Queue {
            queue_id: "manual".to_owned(),
            filter: "ticket.type == \"manual\"".to_owned(),
            offer_mode: events::OfferMode::Manual.into(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, routing.put_queue, put).await?;
    for agent in 0..AGENTS / WORKSPACES.len() {
        put_agent(api, workspace, &agent_id(agent), &["all"], 100).await?;
    }
    put_hook(api, workspace, receiver, &["TicketOpened", "OfferAccepted", "StatusChanged"]).await
}

fn agent_id(agent: usize) -> String {
    format!("agent-{agent}")
}

fn workspace_of(number: usize) -> &'static str {
    WORKSPACES[number % WORKSPACES.len()]
}

/// What a customer was told of the ticket.
#[derive(Debug)]
struct Opened {
    request: intake::CreateTicketRequest,
    reply: intake::CreateTicketResponse,
}

/// Opens a ticket, and every fifth time adds a message.
async fn customer(
    api: Api,
    number: usize,
    acknowledged: Arc<Acknowledged>,
) -> anyhow::Result<Opened> {
    let workspace = workspace_of(number);
    let request = intake::CreateTicketRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        ticket_id: format!("t-{number}"),
        external_id: format!("x-{number}"),
        channel: Channel::Email.into(),
        requester: Some(events::Requester {
            name: format!("Customer {number}"),
            ..Default::default()
        }),
        subject: format!("Ticket {number}"),
        body: format!("opening {number}"),
        r#type: if number.is_multiple_of(5) { "manual" } else { "" }.to_owned(),
        ..Default::default()
    };
    let created = call!(api, intake.create_ticket, request.clone()).await;
    let reply = created.with_context(|| format!("creating {number}"))?;
    acknowledged.note(workspace, "CreateTicket", request.request_id.clone());
    if number % 5 == 1 {
        let author = events::AuthorKind::EndUser;
        say(&api, workspace, &request.ticket_id, author, "", &acknowledged).await?;
    }
    Ok(Opened { request, reply })
}

async fn say(
    api: &Api,
    workspace: &'static str,
    ticket: &str,
    author_kind: events::AuthorKind,
    author: &str,
    acknowledged: &Acknowledged,
) -> anyhow::Result<()> {
    let request_id = new_id();
    let message = intake::AddMessageRequest {
        workspace_id: workspace.to_owned(),
        request_id: request_id.clone(),
        ticket_id: ticket.to_owned(),
        author_kind: author_kind.into(),
        author_id: author.to_owned(),
        visibility: events::Visibility::Public.into(),
        // Nothing else says the same.
        body: request_id.clone(),
        ..Default::default()
    };
    call!(api, intake.add_message, message).await.context("saying")?;
    acknowledged.note(workspace, "AddMessage", request_id);
    Ok(())
}

/// An agent's desk: takes what is offered, declines some of it, answers and completes what it has.
async fn desk(
    api: Api,
    workspace: &'static str,
    agent: usize,
    acknowledged: Arc<Acknowledged>,
) -> anyhow::Result<()> {
    let agent_id = agent_id(agent);
    while !acknowledged.finished.load(Ordering::SeqCst) {
        let get = routing::GetAgentRequest {
            workspace_id: workspace.to_owned(),
            agent_id: agent_id.clone(),
        };
        let state = call!(api, routing.get_agent, get).await?.agent.context("no agent")?;
        for offer in state.offers {
            answer(&api, workspace, offer, agent, &acknowledged).await?;
        }
        for owned in state.tickets {
            if owned.state() == events::WorkState::Active {
                work(&api, workspace, &agent_id, &owned.ticket_id, &acknowledged).await?;
            }
        }
        sleep(LOOK_AGAIN_EVERY).await; // the next look
    }
    Ok(())
}

async fn answer(
    api: &Api,
    workspace: &'static str,
    offer: routing::Offer,
    agent: usize,
    acknowledged: &Acknowledged,
) -> anyhow::Result<()> {
    let request_id = new_id();
    let number: usize = offer.ticket_id.trim_start_matches("t-").parse()?;
    let (method, answered) = if (number + agent).is_multiple_of(4) {
        let decline = routing::DeclineOfferRequest {
            workspace_id: workspace.to_owned(),
            request_id: request_id.clone(),
            agent_id: offer.agent_id,
            offer_id: offer.offer_id,
            reason: String::new(),
        };
        ("DeclineOffer", call!(api, routing.decline_offer, decline).await.map(drop))
    } else {
        let accept = routing::AcceptOfferRequest {
            workspace_id: workspace.to_owned(),
            request_id: request_id.clone(),
            agent_id: offer.agent_id,
            offer_id: offer.offer_id,
        };
        ("AcceptOffer", call!(api, routing.accept_offer, accept).await.map(drop))
    };
    match answered {
        Ok(()) => acknowledged.note(workspace, method, request_id),
        // Too late: its deadline passed while routing was away.
        Err(status)
            if ["OFFER_EXPIRED", "OFFER_NOT_LIVE"].contains(&reason_of(&status).as_str()) => {}
        Err(status) => return Err(status).context(method),
    }
    Ok(())
}

async fn work(
    api: &Api,
    workspace: &'static str,
    agent: &str,
    ticket: &str,
    acknowledged: &Acknowledged,
) -> anyhow::Result<()> {
    say(api, workspace, ticket, events::AuthorKind::Agent, agent, acknowledged).await?;
    let request_id = new_id();
    let waits = ticket.ends_with('9');
    let complete = routing::CompleteWorkRequest {
        workspace_id: workspace.to_owned(),
        request_id: request_id.clone(),
        agent_id: agent.to_owned(),
        ticket_id: ticket.to_owned(),
        outcome: if waits { events::WorkOutcome::Pending } else { events::WorkOutcome::Resolved }
            .into(),
        note: String::new(),
    };
    call!(api, routing.complete_work, complete).await.context("completing")?;
    acknowledged.note(workspace, "CompleteWork", request_id);
    Ok(())
}

/// Waits until every ticket is resolved or waits on its customer, no delivery is pending, and all four rest.
async fn finish(api: &Api, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let mut left = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + WITHIN;
    for workspace in WORKSPACES {
        loop {
            let list = intake::ListTicketsRequest {
                workspace_id: workspace.to_owned(),
                page_size: 1000,
                statuses: vec![TicketStatus::New.into(), TicketStatus::Open.into()],
                ..Default::default()
            };
            let open = call!(api, intake.list_tickets, list).await?.tickets;
            let list = notify::ListDeliveriesRequest {
                workspace_id: workspace.to_owned(),
                page_size: 1000,
                state: notify::DeliveryState::Pending.into(),
                ..Default::default()
            };
            let pending = call!(api, notify.list_deliveries, list).await?.deliveries;
            if open.is_empty() && pending.is_empty() {
                break;
            }
            left.insert(workspace, (open.len(), pending.len()));
            if tokio::time::Instant::now() > deadline {
                let calls = acknowledged.count.load(Ordering::SeqCst);
                bail!(
                    "open tickets and pending deliveries after {calls} calls: {left:?}: {open:?}"
                );
            }
            sleep(LOOK_AGAIN_EVERY * 5).await; // the next look
        }
    }
    api.rest().await
}

async fn prove(
    api: &Api,
    receiver: &Receiver,
    acknowledged: &Acknowledged,
    opened: &[Opened],
) -> anyhow::Result<()> {
    // A repetition after all this gets the same answer, and changes nothing.
    for opened in opened.iter().step_by(10) {
        let again = call!(api, intake.create_ticket, opened.request.clone()).await?;
        ensure!(again == opened.reply, "another answer: {again:?}, not {:?}", opened.reply);
    }
    let history = History::read(api).await?;
    ensure!(history.parked() == 0, "{} inputs were set aside", history.parked());
    for service in ServiceId::ALL {
        ensure!(history.epochs(service) >= 2, "{service} was never taken over");
    }
    let calls = acknowledged.calls.lock().unwrap().clone();
    let answered = history.answered();
    for call in &calls {
        let key = request_key(call.workspace, call.method, &call.request_id);
        let times = answered.get(key.as_slice()).copied().unwrap_or(0);
        ensure!(times == 1, "acknowledged once, in the log {times} times: {call:?}");
    }
    let twice = answered.values().filter(|times| **times > 1).count();
    ensure!(twice == 0, "{twice} requests were answered twice");
    check_tickets(&history)?;
    check_said(&history, &calls)?;
    let places = check_places(&history, &history.walk_routing()?)?;
    let webhooks = check_webhooks(&history, &receiver.received())?;
    let clocks = check_clocks(&history)?;
    let repeated = receiver.received().delivered - u64::try_from(webhooks)?;
    report(&format!(
        "{} calls acknowledged, {} records, tickets {places:?}, {:?}, {webhooks} webhooks ({repeated} repeated), \
         {clocks} clocks",
        calls.len(),
        history.records(),
        history.count_routing("Offer"),
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are worth reading")]
fn report(text: &str) {
    println!("{text}");
}

/// Each ticket was opened once, and the numbers have no hole.
fn check_tickets(history: &History) -> anyhow::Result<()> {
    let opened = history.payloads::<events::TicketOpened>(ServiceId::Intake, "TicketOpened")?;
    let external: BTreeSet<_> = opened.iter().map(|ticket| &ticket.external_id).collect();
    ensure!(external.len() == TICKETS && opened.len() == TICKETS, "{} tickets", opened.len());
    let mut numbers: Vec<_> = opened.iter().map(|ticket| ticket.number).collect();
    numbers.sort_unstable();
    let each = u64::try_from(TICKETS / WORKSPACES.len())?;
    let expected: Vec<_> = (1..=each).flat_map(|number| [number; WORKSPACES.len()]).collect();
    ensure!(numbers == expected, "the numbers have a hole");
    Ok(())
}

/// Each message that was acknowledged was said once, and none twice.
fn check_said(history: &History, calls: &[Call]) -> anyhow::Result<()> {
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    for added in history.payloads::<events::MessageAdded>(ServiceId::Intake, "MessageAdded")? {
        *said.entry(added.body).or_default() += 1;
    }
    ensure!(said.values().all(|times| *times == 1), "a message was added twice");
    for call in calls.iter().filter(|call| call.method == "AddMessage") {
        ensure!(said.contains_key(&call.request_id), "acknowledged and lost: {call:?}");
    }
    Ok(())
}
