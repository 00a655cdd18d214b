//! One run: calls one after another, each judged by its answer and by what it left in the logs.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use prost_reflect::MethodDescriptor;
use prost_types::Timestamp;
use runtime::ServiceId;
use tests::api::Api;
use tests::proof::History;
use tests::receiver::Receiver;
use tests::rng::Rng;
use tests::stack::Stack;
use tests::story::settle;
use tonic::Request;
use wire::admin::v1::status_service_client::StatusServiceClient;
use wire::admin::v1::{AdvanceToRequest, GetStatusRequest, GetTimeRequest};

use super::book::{Book, key_of, text};
use super::judge::{Became, judge, replies};
use super::known::Known;
use super::neighbour::{FUZZED, Neighbour};
use super::plan::{Planned, Planner, Way};
use super::show::show;
use super::wire::{Answer, Wire};
use super::{methods, words};

/// How far a made-up call may move the clock.
const STEP_MAX: i64 = 3_600;
/// So many of a hundred calls are the last one that was served, again.
const REPEATED: usize = 3;
/// What the server may grow by for itself, in bytes: caches, buffers, snapshots in the making.
const GROWS_MAX: u64 = 192 * 1024 * 1024;
/// And by each byte of the requests that it has served: it keeps what they made, and the replies.
const GROWS_BY: u64 = 8;

/// How often methods that chance has left out are tried.
const COVERING: usize = 300;

/// Events and remembered requests of each partition of each service.
type Totals = Vec<(u64, u64)>;

/// A call that was served and may be sent again.
struct Repeatable {
    method: MethodDescriptor,
    planned: Planned,
    reply: Vec<bytes::Bytes>,
}

pub(super) struct Run<'a> {
    stack: &'a Stack,
    api: Api,
    wire: Wire,
    methods: Vec<MethodDescriptor>,
    workspaces: Vec<String>,
    rng: Rng,
    known: Known,
    book: Book,
    /// The server's clock.
    now: i64,
    /// What is in the logs, while everything rests.
    totals: Option<Totals>,
    seed: u64,
    made: usize,
    repeatable: Option<Repeatable>,
    /// What the server held when it was warm, and the bytes of the requests that it has served since.
    warm: Option<u64>,
    taken: u64,
    /// Takes the webhooks of the workspaces that calls are made to.
    _receiver: Receiver,
}

impl<'a> Run<'a> {
    pub(super) async fn begin(
        stack: &'a Stack,
        neighbour: &Neighbour,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let api = stack.api()?;
        let workspaces: Vec<_> = [FUZZED, "f-1", "f-2"].map(str::to_owned).into();
        let receiver = Receiver::start().await?;
        let mut rng = Rng::new(seed);
        let mut known = Known::beside(&neighbour.quiet);
        for workspace in &workspaces {
            settle(&api, workspace, &receiver).await?;
        }
        for (field, id) in [
            ("agent_id", "ada"),
            ("agent_id", "grace"),
            ("queue_id", "network"),
            ("queue_id", "default"),
            ("requester_id", "c-1"),
            ("policy_id", "hour"),
            ("endpoint_id", "hook"),
            ("rule_id", "hook"),
        ] {
            known.add(field, id, &mut rng);
        }
        api.rest().await?;
        let mut book = Book::default();
        book.leave_out(&History::read(&api).await?);
        let methods = methods::all(&api.channel(ServiceId::Intake)).await?;
        let wire = Wire::to(&stack.addresses().intake);
        Ok(Self {
            stack,
            api,
            wire,
            methods,
            workspaces,
            rng,
            known,
            book,
            seed,
            now: 0,
            totals: None,
            made: 0,
            repeatable: None,
            warm: None,
            taken: 0,
            _receiver: receiver,
        })
    }

    /// Makes so many calls: all methods in turn, each round in another order.
    pub(super) async fn calls(&mut self, calls: usize) -> anyhow::Result<()> {
        let warm_after = self.made + calls / 10;
        let mut round = Vec::new();
        for _ in 0..calls {
            if round.is_empty() {
                round = self.round();
            }
            let method = round.pop().context("no methods")?;
            self.settled().await?;
            if self.rng.percent(REPEATED) && self.repeatable.is_some() {
                self.repeat().await?;
            } else {
                self.call(&method).await?;
            }
            self.made += 1;
            if self.made == warm_after && self.warm.is_none() {
                self.warm = Some(self.held()?);
            }
        }
        Ok(())
    }

    /// All methods in some order; those that others live on more often.
    fn round(&mut self) -> Vec<MethodDescriptor> {
        let more = |name: &str| match name {
            "CreateTicket" => 4,
            "WatchOffers" | "SetPresence" => 2,
            _ => 1,
        };
        let each = |method: &MethodDescriptor| vec![method.clone(); more(method.name())];
        self.rng.shuffled(self.methods.iter().flat_map(each).collect())
    }

    /// Waits until nothing is left to do, and notes what is in the logs, unless nothing has happened.
    async fn settled(&mut self) -> anyhow::Result<Totals> {
        if let Some(totals) = &self.totals {
            return Ok(totals.clone());
        }
        let mut request = Request::new(GetTimeRequest { wait_until_idle: true });
        request.set_timeout(Duration::from_secs(50));
        let time = self.api.clock(ServiceId::Intake).get_time(request).await?.into_inner();
        ensure!(time.idle, "the server doesn't come to rest");
        self.now = time.now.context("no time")?.seconds;
        let totals = self.totals().await?;
        self.totals = Some(totals.clone());
        Ok(totals)
    }

    async fn totals(&self) -> anyhow::Result<Totals> {
        let mut client = StatusServiceClient::new(self.api.channel(ServiceId::Intake));
        let status = client.get_status(GetStatusRequest::default()).await?.into_inner();
        Ok(status.partitions.iter().map(|it| (it.events, it.requests)).collect())
    }

    fn plan(&mut self, method: &MethodDescriptor) -> Planned {
        let fresh_id = format!("z-{}-{}", self.seed, self.made);
        let mut planner = Planner {
            rng: &mut self.rng,
            known: &self.known,
            workspaces: &self.workspaces,
            now: self.now,
            fresh_id,
        };
        planner.plan(method)
    }

    async fn call(&mut self, method: &MethodDescriptor) -> anyhow::Result<()> {
        let mut planned = self.plan(method);
        while self.leads_too_far(method, &planned) {
            planned = self.plan(method);
        }
        self.send(method, planned).await
    }

    /// Whether a call would move the clock so far that the others could do nothing any more.
    fn leads_too_far(&self, method: &MethodDescriptor, planned: &Planned) -> bool {
        let seconds = || {
            let request = planned.understood(method).filter(|_| method.name() == "AdvanceTo")?;
            let instant = request.get_field_by_name("instant")?.into_owned();
            instant.as_message()?.get_field_by_name("seconds")?.as_i64()
        };
        seconds()
            .is_some_and(|seconds| seconds > self.now + STEP_MAX && seconds <= super::END_OF_TIME)
    }

    async fn send(&mut self, method: &MethodDescriptor, planned: Planned) -> anyhow::Result<()> {
        let answer = self.wire.call(&planned.sent, method.is_server_streaming()).await;
        let told = match &answer {
            Ok(Answer::Served(messages)) => format!("{} messages", messages.len()),
            other => format!("{other:?}"),
        };
        let shown = || show(self.made, method, &planned, &told);
        let became = answer.and_then(|answer| judge(method, &planned, answer));
        let became = became.with_context(shown)?;
        let request = planned.understood(method);
        let key = request.as_ref().and_then(|request| key_of(method, request));
        match became {
            Became::Refused(reason) => {
                self.book.refused(method, reason.as_str_name());
                let unchanged = self.must_be_unchanged().await.context("a refused call");
                unchanged.with_context(|| show(self.made, method, &planned, &told))
            }
            Became::Unsure => {
                self.book.unsure(key);
                self.totals = None;
                Ok(())
            }
            Became::Served(messages) => self.served(method, planned, messages, key).await,
        }
    }

    async fn served(
        &mut self,
        method: &MethodDescriptor,
        planned: Planned,
        messages: Vec<bytes::Bytes>,
        key: Option<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let decoded = replies(method, &messages)
            .with_context(|| show(self.made, method, &planned, &"served"))?;
        let request = planned.understood(method);
        for reply in &decoded {
            self.known.learn(method.full_name(), request.as_ref(), reply, &mut self.rng);
        }
        self.book.served(method);
        if !writes(method) {
            let read = self.must_be_unchanged().await.context("a call that only reads");
            return read.with_context(|| show(self.made, method, &planned, &"served"));
        }
        let before = self.totals.take();
        // What changed nothing isn't remembered: neither it nor its request is in a log.
        let changed = before != Some(self.settled().await?);
        if changed {
            self.book.stored(key.clone());
        }
        self.taken += u64::try_from(planned.sent.body.len()).unwrap_or(u64::MAX);
        if let Some(id) = request.as_ref().and_then(|request| text(request, "request_id")) {
            self.known.add("used_request", &id, &mut self.rng);
        }
        if changed && key.is_some() && planned.way != Way::Header {
            self.repeatable = Some(Repeatable { method: method.clone(), planned, reply: messages });
        }
        Ok(())
    }

    /// Sends what was served once more: the same request with the same id gets the same reply, and does nothing.
    async fn repeat(&mut self) -> anyhow::Result<()> {
        let Some(last) = &self.repeatable else { return Ok(()) };
        let shown = show(self.made, &last.method, &last.planned, &"served before");
        let answer = self.wire.call(&last.planned.sent, false).await?;
        let became = judge(&last.method, &last.planned, answer).with_context(|| shown.clone())?;
        let Became::Served(reply) = became else {
            anyhow::bail!("served, then {became:?}: {shown}")
        };
        ensure!(reply == last.reply, "the same request got another reply: {reply:?} {shown}");
        self.must_be_unchanged().await.context("a repeated call").context(shown)
    }

    async fn must_be_unchanged(&self) -> anyhow::Result<()> {
        let Some(before) = &self.totals else { return Ok(()) };
        let after = self.totals().await?;
        ensure!(after == *before, "it has written: {before:?} {after:?}");
        Ok(())
    }

    /// Moves the clock, and waits until all that follows from it is done. What others have called meanwhile is none of
    /// this run's.
    pub(super) async fn advance(&mut self, seconds: i64) -> anyhow::Result<()> {
        self.book.leave_out(&History::read(&self.api).await?);
        let instant = Some(Timestamp { seconds, nanos: 0 });
        let request = AdvanceToRequest { instant };
        self.api.clock(ServiceId::Intake).advance_to(request).await?;
        self.totals = None;
        // Beyond the horizon no request is remembered.
        self.repeatable = None;
        self.settled().await?;
        Ok(())
    }

    /// The server is there and well, has said nothing that it should not, holds no more than it must, and its logs are
    /// as the calls were.
    pub(super) async fn check(&mut self) -> anyhow::Result<()> {
        self.settled().await?;
        for process in &self.stack.processes {
            for line in process.said().lines() {
                let bad =
                    ["panicked", "ERROR", words::CANARY].iter().any(|word| line.contains(word));
                ensure!(!bad, "the server said: {line}");
            }
        }
        let (held, warm) = (self.held()?, self.warm.context("never warm")?);
        let allowed = warm + GROWS_MAX + self.taken * GROWS_BY;
        ensure!(held <= allowed, "it holds {held} bytes, and held {warm} when it was warm");
        self.book.agrees(&History::read(&self.api).await?)
    }

    /// The server's resident memory in bytes.
    fn held(&self) -> anyhow::Result<u64> {
        self.stack.processes.first().context("no process")?.resident_bytes()
    }

    /// Sees to it that every method was served and refused: those that chance has left out are called more often, among
    /// those that they live on.
    pub(super) async fn cover(&mut self) -> anyhow::Result<()> {
        let named = |name: &str| self.methods.iter().find(|it| it.name() == name).cloned();
        let base = ["SetPresence", "CreateTicket", "WatchOffers"].map(named);
        for _ in 0..COVERING {
            let Some(method) = self.book.uncovered(&self.methods) else { return Ok(()) };
            for method in base.iter().flatten().chain([&method]) {
                self.settled().await?;
                self.call(method).await?;
                self.made += 1;
            }
        }
        let left = self.book.uncovered(&self.methods);
        ensure!(left.is_none(), "{left:?} was not served and refused: {}", self.summary());
        Ok(())
    }

    pub(super) fn summary(&self) -> String {
        self.book.summary()
    }
}

/// Whether a method may change anything.
fn writes(method: &MethodDescriptor) -> bool {
    let input = method.input();
    input.get_field_by_name("request_id").is_some()
        || ["AcceptClock", "AdvanceTo", "Heartbeat"].contains(&method.name())
}
