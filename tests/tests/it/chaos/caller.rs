//! A client that keeps book: it tries one instance and then the other with the same request, and says for sure only
//! what it knows.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message;
use runtime::{Position, Positions, ServiceId};
use tests::api::{Api, LOOK_AGAIN_EVERY, Reply, may_retry, reason_of};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Response, Status};

use crate::chaos::asking::Told;
use crate::chaos::history::{Change, Effect, Moment, Outcome, Recorder};

/// How long one attempt may take: a frozen instance answers none.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// What may become of a call while things go wrong. Any other refusal is one of the rules' or a mistake.
const PASSING: [&str; 6] = [
    "LOG_UNAVAILABLE",
    "NOT_LEADER",
    "NOT_READY",
    "SERVER_DRAINING",
    "OVERLOADED",
    "POSITION_AHEAD",
];
/// What the rules may say to the calls of this workload, which race with one another.
const RULES: [&str; 6] = [
    "OFFER_EXPIRED",
    "OFFER_NOT_LIVE",
    "NOT_THE_OWNER",
    "TICKET_NOT_ROUTABLE",
    "TICKET_NOT_FOUND",
    "TICKET_EXISTS",
];
/// Refusals after which the call may have been done all the same.
const SAYS_NOTHING: [&str; 4] =
    ["OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "PARTITION_HALTED"];

/// How a caller goes about a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// For how long it is repeated; zero: never.
    pub(crate) patience: Duration,
    /// The same request is sent to two instances at once.
    pub(crate) is_doubled: bool,
    /// Only this instance is asked.
    pub(crate) only: Option<usize>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked<M> {
    pub(crate) service: ServiceId,
    pub(crate) workspace: String,
    pub(crate) method: &'static str,
    pub(crate) request_id: String,
    /// The request without its id.
    pub(crate) bare: M,
    pub(crate) message: M,
    pub(crate) effect: Effect,
    pub(crate) is_wrong: bool,
}

/// The client. Clones share connections and history.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    sides: Arc<[Api]>,
    turn: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    pub(crate) recorder: Recorder,
}

/// How one way of asking ended.
#[derive(Debug)]
struct Answer<R> {
    done: Option<R>,
    /// An attempt may have been done without our knowing.
    is_loose: bool,
    reason: String,
    attempts: usize,
}

impl Caller {
    pub(crate) fn new(sides: Vec<Api>, recorder: Recorder) -> Self {
        Self { sides: sides.into(), turn: Arc::default(), failed: Arc::default(), recorder }
    }

    /// How many attempts have failed so far for no fault of the caller's.
    pub(crate) fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }

    /// Asks for a change, and takes down what came of it. Returns the reply and its position, if there was one.
    pub(crate) async fn change<M, R, F>(
        &self,
        asked: Asked<M>,
        manner: Manner,
        call: impl Fn(Api, Request<M>) -> F,
    ) -> Option<(R, Position)>
    where
        M: Message + Clone + Debug,
        R: Told + PartialEq,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let began = self.recorder.moment();
        let (answer, again) = if manner.is_doubled {
            let (one, other) = tokio::join!(
                self.insist(&asked.message, manner, None, &call),
                self.insist(&asked.message, manner, None, &call)
            );
            (one, Some(other))
        } else {
            (self.insist(&asked.message, manner, None, &call).await, None)
        };
        let attempts = answer.attempts + again.as_ref().map_or(0, |again| again.attempts);
        let name = format!("{} {}", asked.method, asked.request_id);
        let is_loose = answer.is_loose || again.as_ref().is_some_and(|again| again.is_loose);
        let reason = answer.reason;
        let done = match (answer.done, again.and_then(|again| again.done)) {
            (Some(one), Some(other)) => {
                if one != other {
                    self.recorder.violation(format!("I3: {name} was answered in two ways"));
                }
                Some(one)
            }
            (one, other) => one.or(other),
        };
        let done = done.and_then(|reply| {
            let position = reply.position().parse::<Positions>().ok();
            let position = position.and_then(|all| all.iter().next());
            if position.is_none() {
                self.recorder.violation(format!("I1: {name} was acknowledged without a position"));
            }
            Some((reply, position?))
        });
        let outcome = match &done {
            Some((reply, position)) => {
                Outcome::Acknowledged { position: *position, told: reply.told() }
            }
            None if is_loose => Outcome::Unknown,
            None => Outcome::Refused { reason },
        };
        self.take_down(&asked, began, attempts, outcome);
        done
    }

    fn take_down<M: Message>(
        &self,
        asked: &Asked<M>,
        began: Moment,
        attempts: usize,
        outcome: Outcome,
    ) {
        self.recorder.change(Change {
            service: asked.service,
            workspace: asked.workspace.clone(),
            method: asked.method,
            request_id: asked.request_id.clone(),
            hash: hash_of(&asked.bare),
            effect: asked.effect.clone(),
            is_wrong: asked.is_wrong,
            began,
            ended: self.recorder.moment(),
            attempts,
            outcome,
        });
    }

    /// Reads something; `position`: not before that is seen. `None`: there was no answer in time, `Err`: it was
    /// refused.
    pub(crate) async fn read<M, R, F>(
        &self,
        message: &M,
        manner: Manner,
        position: Option<Position>,
        call: impl Fn(Api, Request<M>) -> F,
    ) -> Option<Result<R, String>>
    where
        M: Message + Clone + Debug,
        R: Reply,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let answer = self.insist(message, manner, position, &call).await;
        match answer.done {
            Some(reply) => Some(Ok(reply)),
            None if answer.is_loose || PASSING.contains(&answer.reason.as_str()) => None,
            None => Some(Err(answer.reason)),
        }
    }

    /// Asks until it is answered for good, or patience ends.
    async fn insist<M, R, F>(
        &self,
        message: &M,
        manner: Manner,
        position: Option<Position>,
        call: &impl Fn(Api, Request<M>) -> F,
    ) -> Answer<R>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let deadline = Instant::now() + manner.patience;
        let mut pause = LOOK_AGAIN_EVERY;
        let mut answer = Answer { done: None, is_loose: false, reason: String::new(), attempts: 0 };
        loop {
            answer.attempts += 1;
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.sides.len().max(1);
            let Some(side) = self.sides.get(manner.only.unwrap_or(turn)) else { return answer };
            let mut request = Request::new(message.clone());
            request.set_timeout(ATTEMPT_WITHIN);
            let token = position.map(|position| {
                let mut positions = Positions::default();
                positions.merge(position);
                positions.to_string()
            });
            if let Some(token) = token.and_then(|token| token.parse().ok()) {
                request.metadata_mut().insert("x-switchyard-position", token);
            }
            let status = match timeout(ATTEMPT_WITHIN * 2, call(side.clone(), request)).await {
                Ok(Ok(reply)) => {
                    answer.done = Some(reply.into_inner());
                    return answer;
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            answer.is_loose |= may_have_been_done(&status);
            answer.reason = reason_of(&status);
            if answer.reason.is_empty() {
                answer.reason = format!("{:?}", status.code());
            }
            let passes = may_retry(&status)
                || status.code() == Code::DeadlineExceeded
                || PASSING.contains(&answer.reason.as_str());
            if passes {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            // A refusal that nobody thought of is a mistake, and so is a partition that stops.
            let is_known = passes || RULES.contains(&answer.reason.as_str());
            if !is_known || answer.reason == "PARTITION_HALTED" {
                self.recorder.violation(format!("a call was refused with {}", answer.reason));
            }
            if !passes || Instant::now() + pause > deadline {
                return answer;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Whether a call that ended so may have been done.
fn may_have_been_done(status: &Status) -> bool {
    let reason = reason_of(status);
    let silent = [Code::Unknown, Code::Cancelled, Code::DeadlineExceeded, Code::Internal];
    reason.is_empty() || SAYS_NOTHING.contains(&reason.as_str()) || silent.contains(&status.code())
}

/// The hash under which a log remembers a request's content.
pub(crate) fn hash_of(bare: &impl Message) -> u64 {
    let hash = blake3::hash(&bare.encode_to_vec());
    let (first, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}
