//! Watches: never more than there may be, never more memory than there may be, and nothing left out or told twice by
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::future::try_join_all;
use runtime::ServiceId;
use tests::api::{Api, new_id, reason_of};
use tests::call;
use tests::cgroup::MemoryLimit;
use tests::process::Process;
use tests::stack::Stack;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use wire::common::v1::{Channel, WatchStart, watch_start::From};
use wire::intake::v1 as intake;
use wire::intake::v1::intake_service_client::IntakeServiceClient;
use wire::intake::v1::watch_tickets_response::Kind;

const WITHIN: Duration = Duration::from_secs(60);
const MIB: u64 = 1024 * 1024;
/// A body that makes an event of 60 KB.
const LARGE: usize = 60_000;
const SMALL: &str = "Since yesterday.";

fn ticket(body: String) -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: "default".to_owned(),
        request_id: new_id(),
        channel: Channel::Email.into(),
        requester: Some(wire::events::v1::Requester {
            requester_id: "rita".to_owned(),
            ..Default::default()
        }),
        subject: "It does not start".to_owned(),
        body,
        ..Default::default()
    }
}

async fn create(api: &Api, body: &str) -> anyhow::Result<u64> {
    Ok(call!(api, intake.create_ticket, ticket(body.to_owned())).await?.number)
}

/// Opens so many tickets, many at a time.
async fn create_many(api: &Api, count: usize, body: &str) -> anyhow::Result<()> {
    let turns = Arc::new(Semaphore::new(64));
    let each = (0..count).map(|_| {
        let (api, turns) = (api.clone(), Arc::clone(&turns));
        async move {
            let _turn = turns.acquire().await?;
            create(&api, body).await
        }
    });
    try_join_all(each).await.map(drop)
}

fn watch(from: Option<From>, include_snapshot: bool) -> intake::WatchTicketsRequest {
    intake::WatchTicketsRequest {
        workspace_id: "default".to_owned(),
        start: from.map(|from| WatchStart { from: Some(from) }),
        include_snapshot,
        ..Default::default()
    }
}

type Changes = Streaming<intake::WatchTicketsResponse>;

async fn open(api: &Api, request: intake::WatchTicketsRequest) -> Result<Changes, Status> {
    Ok(api.clone().intake.watch_tickets(api.endless(request)).await?.into_inner())
}

async fn next(changes: &mut Changes) -> anyhow::Result<intake::WatchTicketsResponse> {
    let message = timeout(WITHIN, changes.message()).await.context("nothing came")??;
    message.context("the watch has ended")
}

fn only(stack: &Stack) -> anyhow::Result<&Process> {
    stack.processes.first().context("no process")
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_beyond_the_limit_are_refused_whatever_they_watch() -> anyhow::Result<()> {
    let stack = Stack::up(&["--watches-max", "3", "--metrics-listen", "127.0.0.1:0"]).await?;
    let api = stack.api()?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open(&api, watch(None, false)).await?);
    }
    let refused = [
        open(&api, watch(None, false)).await.map(drop),
        follow(&api).await,
        watch_offers(&api).await,
    ];
    for refused in refused {
        let status = refused.err().context("a watch too many")?;
        ensure!(reason_of(&status) == "TOO_MANY_WATCHES", "{status:?}");
        let details = status.get_error_details();
        ensure!(details.retry_info().is_some(), "{status:?}");
    }
    create(&api, SMALL).await.context("a call needs no place")?;
    let counted = only(&stack)?.figure("switchyard_edge_watches_refused_total").await?;
    ensure!((counted - 3.0).abs() < 0.5, "{counted} are counted");
    drop(held);
    tests::api::until("there is a place again", || async {
        Ok(open(&api, watch(None, false)).await.ok())
    })
    .await?;
    stack.stop().await
}

async fn follow(api: &Api) -> Result<(), Status> {
    let request = wire::admin::v1::FollowRequest { service: 1, ..Default::default() };
    api.log(ServiceId::Intake).follow(request).await.map(drop)
}

async fn watch_offers(api: &Api) -> Result<(), Status> {
    let request = wire::routing::v1::WatchOffersRequest {
        workspace_id: "default".to_owned(),
        ..Default::default()
    };
    api.clone().routing.watch_offers(request).await.map(drop)
}

/// What a careful reader of a snapshot makes of its messages: every ticket's revision as it last heard of it.
#[derive(Default)]
struct Mirror {
    revisions: BTreeMap<String, u64>,
    /// The last record that the snapshot's message about a ticket knows of.
    shown_at: BTreeMap<String, u64>,
    token: String,
    snapshots: usize,
    complete: bool,
}

impl Mirror {
    fn take(&mut self, message: intake::WatchTicketsResponse) -> anyhow::Result<()> {
        let seq = message.position.context("a message without its position")?.seq;
        self.token = message.resume_token;
        match message.kind.context("an empty message")? {
            Kind::Snapshot(ticket) => {
                let known = self.shown_at.insert(ticket.ticket_id.clone(), seq);
                ensure!(known.is_none(), "{} is shown twice", ticket.ticket_id);
                self.revisions.insert(ticket.ticket_id, ticket.revision);
                self.snapshots += 1;
            }
            Kind::SnapshotComplete(_) => self.complete = true,
            Kind::Change(change) => {
                let shown_at = self.shown_at.get(&change.ticket_id).copied().unwrap_or(0);
                let revision = self.revisions.entry(change.ticket_id).or_default();
                // What the snapshot shows already comes again, and can be told by its position.
                if seq > shown_at {
                    ensure!(
                        change.revision == *revision + 1,
                        "a change is missing, or comes twice"
                    );
                    *revision = change.revision;
                } else {
                    ensure!(change.revision <= *revision, "the snapshot missed a change");
                }
            }
            Kind::Checkpoint(_) => {}
        }
        Ok(())
    }
}

async fn add_note(api: &Api, ticket_id: &str) -> anyhow::Result<()> {
    let request = intake::UpdateTicketRequest {
        workspace_id: "default".to_owned(),
        request_id: new_id(),
        ticket_id: ticket_id.to_owned(),
        r#type: new_id(),
        update_mask: Some(prost_types::FieldMask { paths: vec!["type".to_owned()] }),
        ..Default::default()
    };
    call!(api, intake.update_ticket, request).await.map(drop).context("an update")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_comes_in_pages_among_changes_and_goes_on_after_a_break() -> anyhow::Result<()> {
    const COUNT: usize = 700;
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    create_many(&api, COUNT, SMALL).await?;
    let mut mirror = Mirror::default();
    let mut changes = open(&api, watch(None, true)).await?;
    let mut all = Vec::new();
    // Read slowly, with changes all the while, and broken off twice: within a page and after some.
    while !mirror.complete {
        mirror.take(next(&mut changes).await?)?;
        let shown: Vec<_> = mirror.shown_at.keys().cloned().collect();
        if mirror.snapshots % 100 == 50 && all.len() < mirror.snapshots / 50 {
            all.push(create(&api, SMALL).await?);
            if let Some(ticket) = shown.get(mirror.snapshots / 2) {
                add_note(&api, ticket).await?;
            }
        }
        if [130, 450].contains(&mirror.snapshots) && !mirror.complete {
            changes =
                open(&api, watch(Some(From::ResumeToken(mirror.token.clone())), false)).await?;
            mirror.take(next(&mut changes).await?)?;
        }
    }
    ensure!(mirror.snapshots == COUNT, "{} tickets were shown", mirror.snapshots);
    api.rest().await?;
    let wanted = COUNT + all.len();
    let settled = async {
        while mirror.revisions.len() < wanted || !agrees(&api, &mirror).await? {
            mirror.take(next(&mut changes).await?)?;
        }
        anyhow::Ok(())
    };
    timeout(WITHIN, settled).await.context("the changes since the first page do not come")??;
    stack.stop().await
}

/// Whether every ticket stands as the watch told.
async fn agrees(api: &Api, mirror: &Mirror) -> anyhow::Result<bool> {
    let mut page_token = String::new();
    loop {
        let request = intake::ListTicketsRequest {
            workspace_id: "default".to_owned(),
            page_size: 1_000,
            page_token,
            ..Default::default()
        };
        let page = call!(api, intake.list_tickets, request).await?;
        let behind = |ticket: &intake::Ticket| {
            mirror.revisions.get(&ticket.ticket_id) != Some(&ticket.revision)
        };
        if page.tickets.iter().any(behind) {
            return Ok(false);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(true);
        }
    }
}

/// Watchers that take nothing: half of them read their sockets and nothing of their streams, half don't even read their
/// sockets.
struct Slow {
    unread: Vec<Changes>,
    /// Not polled any more, so that nothing reads.
    frozen: Option<Runtime>,
}

impl Slow {
    async fn watch(api: &Api, address: &str, count: usize) -> anyhow::Result<Self> {
        let mut unread = Vec::new();
        let mut one = api.clone();
        for number in 0..count / 2 {
            // A connection takes 256 streams.
            if number % 200 == 0 {
                one = Api::new(&addresses(address))?;
            }
            unread.push(open(&one, watch(Some(From::Earliest(true)), false)).await?);
        }
        let (url, rest) = (format!("http://{address}"), count - count / 2);
        let freeze = move || freeze(&url, rest);
        let frozen = Some(tokio::task::spawn_blocking(freeze).await??);
        Ok(Self { unread, frozen })
    }

    async fn end(mut self) -> anyhow::Result<()> {
        let frozen = self.frozen.take();
        Ok(tokio::task::spawn_blocking(move || drop(frozen)).await?)
    }
}

fn addresses(address: &str) -> tests::api::Addresses {
    let address = || address.to_owned();
    tests::api::Addresses {
        intake: address(),
        routing: address(),
        sla: address(),
        notify: address(),
    }
}

/// Opens watches, each on a connection of its own, on a runtime that nobody polls afterwards.
fn freeze(url: &str, count: usize) -> anyhow::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let window = i32::MAX.unsigned_abs();
    runtime.block_on(async {
        for _ in 0..count {
            let endpoint = Endpoint::from_shared(url.to_owned())?
                .initial_stream_window_size(window)
                .initial_connection_window_size(window);
            let mut client = IntakeServiceClient::new(endpoint.connect().await?);
            let changes = client.watch_tickets(watch(Some(From::Earliest(true)), false)).await?;
            // Dropped with the runtime.
            tokio::spawn(async move {
                let _held = (client, changes);
                std::future::pending::<()>().await;
            });
        }
        anyhow::Ok(())
    })?;
    Ok(runtime)
}

/// Slow watchers, large events, and somebody who reads and writes all the while. Returns how far the process's memory
/// rose.
async fn under_slow_watchers(
    stack: &Stack,
    watchers: usize,
    tickets: usize,
) -> anyhow::Result<u64> {
    let (api, process) = (stack.api()?, only(stack)?);
    let body = "x".repeat(LARGE);
    create_many(&api, tickets / 2, &body).await?;
    let before = process.memory_peak()?;
    let mut slow = Slow::watch(&api, process.address(), watchers).await?;
    let fresh = stack.api()?;
    let mut reading = open(&fresh, watch(None, false)).await?;
    let mut opened = Vec::new();
    for _ in 0..tickets / 2 {
        opened.push(create(&api, &body).await.context("the others are held up")?);
    }
    let mut seen = Vec::new();
    while seen.len() < opened.len() {
        if let Some(Kind::Change(change)) = next(&mut reading).await?.kind
            && change.event_type == "TicketOpened"
        {
            seen.push(change.ticket_id);
        }
    }
    let after = process.memory_peak()?;
    // One of the slow ones reads after all: what it was sent, then an end, and goes on from there without gap or
    // repeat.
    let late = slow.unread.pop().context("no watcher")?;
    read_to_the_end(&api, late).await?;
    slow.end().await?;
    Ok(after.saturating_sub(before))
}

/// Reads a watch from the log's beginning to what is there now, however often it is ended, and checks that each
/// ticket's changes come in their order, each once.
async fn read_to_the_end(api: &Api, mut changes: Changes) -> anyhow::Result<()> {
    let (mut mirror, deadline) = (Mirror::default(), Instant::now() + WITHIN);
    loop {
        match timeout(WITHIN, changes.message()).await.context("nothing came")? {
            Ok(Some(message)) => mirror.take(message)?,
            Ok(None) => bail!("a watch ended without a status"),
            Err(end) => {
                let told = end.get_details_error_info().map(|info| info.metadata);
                let told = told.and_then(|mut metadata| metadata.remove("resume_token"));
                // Reset without a word: then the last message's token is the one.
                ensure!(told.is_some() || end.code() == Code::Cancelled, "{end:?}");
                let token = told.unwrap_or_else(|| mirror.token.clone());
                let from =
                    if token.is_empty() { From::Earliest(true) } else { From::ResumeToken(token) };
                changes = open(&api.fresh(), watch(Some(from), false)).await?;
            }
        }
        if agrees(api, &mirror).await? {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the watch does not catch up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_watchers_share_one_budget_and_hold_nobody_up() -> anyhow::Result<()> {
    let arguments = ["--unsent-mib-max", "16", "--metrics-listen", "127.0.0.1:0"];
    let stack = Stack::up(&arguments).await?;
    let rose = under_slow_watchers(&stack, 200, 120).await?;
    // Before, each of them held up to 8 MB: 1,600 MB.
    ensure!(rose < 128 * MIB, "the memory rose by {} MiB", rose / MIB);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; tests/extended runs it"]
async fn two_thousand_slow_watchers_fit_into_512_mib() -> anyhow::Result<()> {
    let stack = Stack::up(&["--metrics-listen", "127.0.0.1:0"]).await?;
    let process = only(&stack)?;
    let limit = MemoryLimit::new("slow-watchers", 512 * MIB);
    if let Some(limit) = &limit {
        limit.take(process.id()?)?;
    }
    let rose = under_slow_watchers(&stack, 2_000, 400).await?;
    let (peak, limited) = (process.memory_peak()? / MIB, limit.is_some());
    report(&format!("{} MiB more, {peak} MiB at the most; limited: {limited}", rose / MIB));
    ensure!(peak < 512, "{peak} MiB at the most");
    if let Some(limit) = &limit {
        ensure!(limit.kills()? == 0, "the kernel has killed it");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; tests/extended runs it"]
async fn two_hundred_snapshots_of_thirty_thousand_tickets_hold_a_page_each() -> anyhow::Result<()> {
    const TICKETS: usize = 30_000;
    let stack = Stack::up(&["--metrics-listen", "127.0.0.1:0"]).await?;
    let (api, process) = (stack.api()?, only(&stack)?);
    create_many(&api, TICKETS, SMALL).await?;
    let before = process.memory_peak()?;
    let quiet = Instant::now();
    create(&api, SMALL).await?;
    let quiet = quiet.elapsed();
    let readers = (0..200).map(|_| {
        let api = api.fresh();
        tokio::spawn(async move {
            let mut changes = open(&api, watch(None, true)).await?;
            let mut shown = 0;
            while !matches!(next(&mut changes).await?.kind, Some(Kind::SnapshotComplete(_))) {
                shown += 1;
            }
            anyhow::Ok(shown)
        })
    });
    let readers: Vec<_> = readers.collect();
    let mut slowest = Duration::ZERO;
    while readers.iter().any(|reader| !reader.is_finished()) {
        let began = Instant::now();
        create(&api, SMALL).await?;
        slowest = slowest.max(began.elapsed());
    }
    for reader in readers {
        ensure!(reader.await?? >= TICKETS, "a snapshot is not whole");
    }
    let rose = process.memory_peak()?.saturating_sub(before) / MIB;
    report(&format!("{rose} MiB more; a ticket took at the most {slowest:?}, else {quiet:?}"));
    ensure!(rose < 256, "the memory rose by {rose} MiB");
    stack.stop().await
}

#[expect(clippy::print_stdout, reason = "the figures are worth reading")]
fn report(text: &str) {
    println!("{text}");
}
