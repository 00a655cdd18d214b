//! A call as a careful client makes it: with a request id, at any instance, again until it is answered, and written
//! down.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use runtime::{Service, ServiceId, partition_of};
use tonic::Status;
use tonic_types::StatusExt;

use crate::asked::{Asked, Head, in_time};
use crate::door::Door;
use crate::rng::Rng;
use crate::world::{PARTITIONS, World};

/// What one attempt of a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done: the whole reply, and its position.
    Done { reply: Vec<u8>, position: String },
    /// It certainly wasn't done: the reason.
    No(String),
    /// It may have been: why.
    Open(String),
}

/// A call with all its attempts.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) service: ServiceId,
    pub(crate) workspace: String,
    pub(crate) method: &'static str,
    pub(crate) request_id: String,
    /// What was asked, encoded.
    pub(crate) content: Vec<u8>,
    pub(crate) outcomes: Vec<Outcome>,
    /// Attempts that nobody waited for.
    pub(crate) loose: u32,
}

/// What a request is known by in the log of its service and workspace.
pub(crate) type Key = (ServiceId, u16, Vec<u8>);

impl Op {
    /// The request's key, as the contract describes it, and where it belongs.
    pub(crate) fn key(&self) -> Key {
        let mut hasher = blake3::Hasher::new();
        for part in [self.workspace.as_str(), self.method, self.request_id.as_str()] {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        let key = hasher.finalize().as_bytes().iter().take(16).copied().collect();
        (self.service, partition_of(&self.workspace, PARTITIONS), key)
    }
}

/// Who calls.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    /// Where it works.
    pub(crate) workspace: Arc<str>,
    pub(crate) rng: Rng,
    calls: u64,
    attempts: u64,
}

/// How long a call is tried before it is left open.
const PATIENCE: Duration = Duration::from_secs(20);

impl Caller {
    pub(crate) fn new(world: &Arc<World>, workspace: &Arc<str>, name: &str) -> Self {
        let (world, workspace) = (Arc::clone(world), Arc::clone(workspace));
        let name = format!("{workspace}-{name}");
        Self { rng: world.rng(&name), world, name, workspace, calls: 0, attempts: 0 }
    }

    /// The workspace, as requests name it.
    pub(crate) fn workspace(&self) -> String {
        self.workspace.to_string()
    }

    pub(crate) async fn pause(&mut self, millis: std::ops::Range<u64>) {
        let pause = self.rng.millis(millis);
        tokio::time::sleep(pause).await;
    }

    /// An id that this caller never used.
    pub(crate) fn fresh_id(&mut self) -> String {
        self.calls += 1;
        format!("{}-{}", self.name, self.calls)
    }

    /// Makes a call under a request id of its own; returns the reply, or none if there was none.
    pub(crate) async fn call<A: Asked>(&mut self, mut request: A) -> Option<A::Reply> {
        if request.request_id().is_empty() {
            let id = self.fresh_id();
            request.set_request_id(id);
        }
        let world = Arc::clone(&self.world);
        world.count_operation(A::METHOD);
        let mut op = Op {
            service: <A::Service as Service>::ID,
            workspace: request.workspace().to_owned(),
            method: A::METHOD,
            request_id: request.request_id().to_owned(),
            content: request.encode_to_vec(),
            outcomes: Vec::new(),
            loose: 0,
        };
        // Some calls are still under way when the verdict is given.
        world.told().asked.insert(op.key());
        let gives_up = self.rng.chance(300) && world.is_troubled();
        let until = world.passed() + PATIENCE;
        let mut reply = None;
        loop {
            let outcome = self.attempt(&request, &mut op).await;
            reply = reply.or(match &outcome {
                Outcome::Done { reply, .. } => A::Reply::decode(reply.as_slice()).ok(),
                Outcome::No(_) | Outcome::Open(_) => None,
            });
            let again = match &outcome {
                Outcome::Done { .. } => false,
                Outcome::No(reason) => is_passing(reason),
                Outcome::Open(_) => true,
            };
            op.outcomes.push(outcome);
            if !again || gives_up || world.passed() > until || world.is_broken() {
                break;
            }
            self.pause(20..400).await;
        }
        world.trace(&[
            b"op",
            op.method.as_bytes(),
            op.request_id.as_bytes(),
            format!("{:?}", op.outcomes).as_bytes(),
        ]);
        world.told().history.push(op);
        reply
    }

    async fn attempt<A: Asked>(&mut self, request: &A, op: &mut Op) -> Outcome {
        let world = Arc::clone(&self.world);
        let Some(slot) = world.seats.any::<A::Service>(&mut self.rng) else {
            return Outcome::No("NOT_READY".to_owned());
        };
        if world.fault("duplicate call", world.swarm.duplicate_call) {
            op.loose += 1;
            let (request, head) = (request.clone(), self.head());
            // By another way, perhaps.
            let slot = world.seats.any::<A::Service>(&mut self.rng).unwrap_or_else(|| slot.clone());
            let pause = self.rng.millis(0..300);
            drop(tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                // Nobody waits for its answer.
                drop(once(slot.door, request, head).await);
            }));
        }
        let outcome = once(slot.door, request.clone(), self.head()).await;
        if matches!(outcome, Outcome::Done { .. })
            && world.fault("lost reply", world.swarm.lost_reply)
        {
            return Outcome::Open("the reply was lost".to_owned());
        }
        outcome
    }

    /// The head of a call that no other bears.
    pub(crate) fn head(&mut self) -> Head {
        self.attempts += 1;
        Head { call: format!("{}#{}", self.name, self.attempts), ..Head::default() }
    }
}

/// One attempt at one instance.
async fn once<A: Asked>(door: Door, request: A, head: Head) -> Outcome {
    match in_time(request.send(door, &head)).await {
        Ok(reply) => {
            let position = A::position(&reply).to_owned();
            Outcome::Done { reply: reply.encode_to_vec(), position }
        }
        Err(status) => {
            let reason = reason_of(&status);
            if is_open(&status, &reason) { Outcome::Open(reason) } else { Outcome::No(reason) }
        }
    }
}

/// The reason that every status of ours carries.
pub(crate) fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone());
    reason.unwrap_or_else(|| format!("{:?}: {}", status.code(), status.message()))
}

/// Says nothing about whether it was done. What is none of the contract's answers comes from a connection that broke.
fn is_open(status: &Status, reason: &str) -> bool {
    let open =
        ["OUTCOME_UNKNOWN", "SERVER_DRAINING", "PARTITION_HALTED", "DEADLINE_EXCEEDED", "INTERNAL"];
    status.get_details_error_info().is_none() || open.contains(&reason)
}

/// Wasn't done, and may be if it is asked again.
fn is_passing(reason: &str) -> bool {
    ["LOG_UNAVAILABLE", "NOT_READY", "NOT_LEADER", "OVERLOADED", "LOG_FULL"].contains(&reason)
}
