//! The verdict: what clients were told, what the receiver got and what the watches said, against the logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLogProvider, Record};
use intake_service::IntakeService;
use invariants::{Breach, LogWalk, ServiceWalk};
use notify_service::NotifyService;
use prost::Message;
use routing_service::RoutingService;
use runtime::{FailureOf, Fold, Positions, ServiceId, open_record};
use sla_service::SlaService;
use wire::events::v1::{AttemptStarted, Commit, OfferMade};

use crate::agents::Watched;
use crate::call::{Op, Outcome};
use crate::cluster::{self, Staged};
use crate::log::Instance;
use crate::run::log_id;
use crate::scene::{TOLD, agent_id};
use crate::world::World;

/// The logs as they stand in the end.
struct Logs {
    walks: BTreeMap<ServiceId, LogWalk>,
    commits: BTreeMap<ServiceId, Vec<Commit>>,
}

impl Logs {
    fn commits(&self, service: ServiceId) -> &[Commit] {
        self.commits.get(&service).map_or(&[], Vec::as_slice)
    }

    fn walk(&self, service: ServiceId) -> Option<&LogWalk> {
        self.walks.get(&service)
    }
}

pub(crate) async fn end(world: &Arc<World>, watched: &Watched) -> anyhow::Result<()> {
    let mut logs = Logs { walks: BTreeMap::new(), commits: BTreeMap::new() };
    for service in ServiceId::ALL {
        let mut walk = LogWalk::new(service, log_id(world.seed, service));
        let mut commits = Vec::new();
        for record in records(world, service).await? {
            let (_, found) = walk.take(&record);
            for one in found {
                world.violation(one.to_string());
            }
            commits.push(open_record(&record)?);
        }
        for one in walk.at_rest() {
            world.violation(one.to_string());
        }
        logs.walks.insert(service, walk);
        logs.commits.insert(service, commits);
    }
    history(world, &logs);
    nothing_is_lost(world, &logs);
    breaches(world, &logs);
    deliveries(world, &logs);
    watches(world, &logs, watched);
    replay::<IntakeService>(world).await?;
    replay::<RoutingService>(world).await?;
    replay::<SlaService>(world).await?;
    replay::<NotifyService>(world).await?;
    no_replay_storm(world, &logs).await;
    Ok(())
}

async fn records(world: &World, service: ServiceId) -> anyhow::Result<Vec<Record>> {
    let log = world.logs.open(&service.log(0)).await?;
    Ok(log.read(1, usize::MAX).await?)
}

/// The key of a request, as the contract describes it.
fn key(op: &Op) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for part in [op.workspace.as_str(), op.method, op.request_id.as_str()] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    hasher.finalize().as_bytes().iter().take(16).copied().collect()
}

/// Calls that change something whenever they are done.
const ALWAYS: [&str; 2] = ["CreateTicket", "AddMessage"];

/// I1: what was acknowledged is there. I2: what was refused is not, and nothing is there that nobody asked for. I3: a request has one
/// answer, and one content.
fn history(world: &World, logs: &Logs) {
    let history = world.told().history.clone();
    let mut by_key: BTreeMap<(ServiceId, Vec<u8>), Vec<&Op>> = BTreeMap::new();
    for op in &history {
        by_key.entry((op.service, key(op))).or_default().push(op);
    }
    for ((service, key), ops) in &by_key {
        let Some(walk) = logs.walk(*service) else { continue };
        let seq = walk.commits().answered().get(key).copied();
        one_request(world, ops, seq);
    }
    for (service, walk) in &logs.walks {
        for (key, seq) in walk.commits().answered() {
            if !by_key.contains_key(&(*service, key.clone())) {
                world.violation(format!("I2: {service} {seq} answers what nobody asked for"));
            }
        }
    }
}

fn one_request(world: &World, ops: &[&Op], seq: Option<u64>) {
    let Some(first) = ops.first() else { return };
    let name = format!("{} {}", first.method, first.request_id);
    let mut done: Option<(&Op, &[u8])> = None;
    for op in ops {
        for outcome in &op.outcomes {
            let Outcome::Done { reply, position } = outcome else { continue };
            let position = position.parse::<Positions>().ok();
            let position = position.and_then(|all| all.iter().next()).map_or(0, |it| it.seq);
            if seq.is_none() && ALWAYS.contains(&op.method) {
                world.violation(format!("I1: {name} was acknowledged at {position} and is lost"));
            }
            // What changed nothing isn't remembered, so a doubled call that was moot may have its effect later, if there is one by then.
            let was_moot = seq.is_some_and(|seq| position < seq) && !ALWAYS.contains(&op.method);
            if was_moot {
                continue;
            }
            if seq.is_some_and(|seq| seq != position) {
                let what = format!("I3: {name} is in {seq:?} and was answered with {position}");
                world.violation(format!("{what}: {:?}", op.outcomes));
            }
            match done {
                Some((before, _)) if before.content != op.content => {
                    world.violation(format!("I3: {name} was done with two contents"));
                }
                Some((_, before)) if seq.is_some() && before != reply.as_slice() => {
                    world.violation(format!("I3: {name} was answered in two ways"));
                }
                Some(_) | None => done = Some((op, reply)),
            }
        }
    }
    let certainly_not = ops.iter().all(|op| {
        op.loose == 0 && op.outcomes.iter().all(|outcome| matches!(outcome, Outcome::No(_)))
    });
    if let (true, Some(seq)) = (certainly_not, seq) {
        let said: Vec<_> = ops.iter().flat_map(|op| &op.outcomes).collect();
        world.violation(format!("I2: {name} was refused and is in {seq}: {said:?}"));
    }
}

/// I12: every input was handled by everyone who follows it, so what has ended for intake has ended for routing.
fn nothing_is_lost(world: &World, logs: &Logs) {
    let walks = [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla, ServiceId::Notify]
        .map(|service| logs.walk(service));
    let [Some(intake), Some(routing), Some(sla), Some(notify)] = walks else { return };
    if let (ServiceWalk::Intake(intake), ServiceWalk::Routing(routing), ServiceWalk::Sla(sla)) =
        (intake.events(), routing.events(), sla.events())
    {
        for ((workspace, ticket), ended) in intake.ended() {
            let routed = routing.has_ended(workspace, ticket);
            if routed.is_some_and(|routed| routed != ended) {
                let what = if ended { "has ended" } else { "is open" };
                world.violation(format!("I12: {ticket} {what}, and routing has it otherwise"));
            }
        }
        for ((workspace, ticket), seq) in intake.opened() {
            if !routing.knows(workspace, ticket) {
                world.violation(format!("I12: routing never heard of {ticket}, opened in {seq}"));
            }
            if !sla.knows(workspace, ticket) {
                world.violation(format!("I12: sla never heard of {ticket}, opened in {seq}"));
            }
        }
    }
    for service in [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla] {
        for commit in logs.commits(service) {
            for (index, event) in (0_u32..).zip(&commit.events) {
                let told = TOLD.contains(&event.r#type.as_str());
                let key = (service.number(), commit.seq, index);
                if told && !notify.commits().causes().contains_key(&key) {
                    world.violation(format!("I12: notify left out {key:?}, {}", event.r#type));
                }
            }
        }
    }
}

/// I28: what the inputs' logs held when a breach was confirmed was read before it.
fn breaches(world: &World, logs: &Logs) {
    let Some(ServiceWalk::Sla(sla)) = logs.walk(ServiceId::Sla).map(LogWalk::events) else {
        return;
    };
    let told = world.told();
    let mut found = Vec::new();
    for breach in sla.breaches() {
        for service in [ServiceId::Intake, ServiceId::Routing] {
            let seen = breach.consumed.get(&service.number()).copied().unwrap_or(0);
            let known = written_by(world, breach, told.appended.get(&service));
            if seen < known {
                let Breach { seq, clock, .. } = breach;
                found.push(format!(
                    "I28: {seq} breaches {clock}, {service} read to {seen} of {known}"
                ));
            }
        }
    }
    drop(told);
    for what in found {
        world.violation(what);
    }
}

/// How many records a log had when a breach could first be confirmed, by the slowest clock.
fn written_by(world: &World, breach: &Breach, appended: Option<&Vec<u64>>) -> u64 {
    let confirmed_at = breach.due_at_ms + 100 - i64::try_from(world.swarm.skew_ms).unwrap_or(0);
    let passed = i64::try_from(world.passed().as_millis()).unwrap_or(0);
    let began = world.now().as_millis() - passed;
    let until = u64::try_from(confirmed_at - began).unwrap_or(0);
    let before = appended.map_or(0, |all| all.iter().take_while(|at| **at < until).count());
    u64::try_from(before).unwrap_or(0)
}

/// I33 to I35: what arrived was intended, said what was intended, and left after its attempt was in the log.
fn deliveries(world: &World, logs: &Logs) {
    let Some(ServiceWalk::Notify(notify)) = logs.walk(ServiceId::Notify).map(LogWalk::events)
    else {
        return;
    };
    let (arrivals, appended, starts) = {
        let told = world.told();
        let appended = told.appended.get(&ServiceId::Notify).cloned().unwrap_or_default();
        let starts = told.starts.get(&ServiceId::Notify).copied().unwrap_or(0);
        (told.arrivals.clone(), appended, starts)
    };
    let mut started: BTreeMap<String, u64> = BTreeMap::new();
    for (commit, at_ms) in logs.commits(ServiceId::Notify).iter().zip(appended) {
        for event in commit.events.iter().filter(|event| event.r#type == "AttemptStarted") {
            if let Ok(it) = AttemptStarted::decode(event.data.clone()) {
                started.entry(it.delivery_id).or_insert(at_ms);
            }
        }
    }
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    for arrival in &arrivals {
        let id = arrival.id.as_str();
        *count.entry(id).or_default() += 1;
        match notify.deliveries().get(id) {
            None => world.violation(format!("I33: {id} arrived and was never intended")),
            Some(delivery) if delivery.body != arrival.body => {
                world.violation(format!("I33: {id} arrived with another body"));
            }
            Some(_) if started.get(id).is_none_or(|at_ms| *at_ms > arrival.at_ms) => {
                world.violation(format!("I35: {id} left before its attempt was in the log"));
            }
            Some(_) => {}
        }
    }
    for (id, times) in count {
        let attempts = notify.deliveries().get(id).map_or(0, |it| u64::from(it.attempts));
        if times > attempts + starts {
            world.violation(format!("I34: {id} arrived {times} times by {attempts} attempts"));
        }
    }
    for (id, delivery) in notify.deliveries() {
        if delivery.over && !arrivals.iter().any(|arrival| arrival.id == *id) {
            world.violation(format!("I32: {id} is over and never arrived"));
        }
    }
}

/// A watch tells every offer once, over all the nodes that it was resumed at.
fn watches(world: &World, logs: &Logs, watched: &Watched) {
    let mut made = BTreeSet::new();
    for commit in logs.commits(ServiceId::Routing) {
        for event in commit.events.iter().filter(|event| event.r#type == "OfferMade") {
            if let Ok(it) = OfferMade::decode(event.data.clone()) {
                made.insert((it.agent_id, it.offer_id));
            }
        }
    }
    let mut told = BTreeSet::new();
    for (agent, offer) in watched.all() {
        let key = (agent_id(agent), offer);
        if !made.contains(&key) {
            world.violation(format!("I2: a watch told {key:?}, which was never made"));
        }
        if !told.insert(key.clone()) {
            world.violation(format!("I5: a watch told {key:?} twice"));
        }
    }
    if let Some(key) = made.difference(&told).next() {
        world.violation(format!("I5: a watch left out {key:?}"));
    }
}

/// I10, I11: the log folded from its first record gives the state that is live, and every hash that a leader wrote.
async fn replay<S: Staged>(world: &Arc<World>) -> anyhow::Result<()> {
    let instance =
        Instance { world: Arc::clone(world), dead: tokio_util::sync::CancellationToken::new() };
    let service = S::make(&instance);
    let mut fold = Fold::<S>::at_start(log_id(world.seed, S::ID));
    // Looked at before the log is read: while it is, something else may fall due and be written.
    let live = live::<S>(world).await;
    let until = match &live {
        Some(Ok((head, _))) => *head,
        Some(Err(_)) | None => u64::MAX,
    };
    for record in records(world, S::ID).await?.into_iter().take_while(|one| one.seq <= until) {
        match fold.take_and_check(&service, &record) {
            Ok(Some(check)) if check.written != check.folded => {
                let (id, seq) = (S::ID, check.seq);
                world.violation(format!("I10: {id} hashed another state at {seq}"));
            }
            Ok(_) => {}
            Err(doubt) => world.violation(format!("I10: {} can't be folded: {doubt}", S::ID)),
        }
    }
    match live {
        Some(Ok((head, _))) if head != fold.seq() => {
            world.violation(format!("I10: {} is at {head} of {}", S::ID, fold.seq()));
        }
        Some(Ok((_, hash))) if Some(hash) != fold.state_hash().ok() => {
            world.violation(format!("I10: {} has another state than its log", S::ID));
        }
        Some(Ok(_)) | None => {}
        Some(Err(_)) => world.violation(format!("I46: {} can't be read", S::ID)),
    }
    Ok(())
}

/// The last record that the current node's state has, and the state's hash; none: no node runs.
async fn live<S: Staged>(world: &World) -> Option<Result<(u64, [u8; 32]), FailureOf<S>>> {
    let slot = world.slots.current::<S>(false)?;
    let partition = slot.node.partitions().first()?;
    Some(partition.view(|view| (view.head, view.state_hash().unwrap_or_default())).await)
}

/// I36: a node that folds notify's log from its first record sends nothing that is over.
async fn no_replay_storm(world: &Arc<World>, logs: &Logs) {
    let Some(ServiceWalk::Notify(notify)) = logs.walk(ServiceId::Notify).map(LogWalk::events)
    else {
        return;
    };
    if let Some(old) = world.slots.current::<NotifyService>(false) {
        old.instance.dead.cancel();
    }
    let before = world.told().arrivals.len();
    let slot = cluster::start::<NotifyService>(world).await;
    let ready = tokio::time::timeout(Duration::from_secs(30), slot.node.ready()).await;
    if !matches!(ready, Ok(Ok(()))) {
        world.violation("I46: notify does not come back");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let arrivals = world.told().arrivals.iter().skip(before).cloned().collect::<Vec<_>>();
    for arrival in arrivals {
        // What was intended since may be sent, and what was to be tried again.
        if notify.deliveries().get(&arrival.id).is_some_and(|delivery| delivery.over) {
            world.violation(format!("I36: a rebuild sent {} again", arrival.id));
        }
    }
}
