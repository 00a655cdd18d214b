//! A workspace with as many and as costly filters as are accepted stops nobody else.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::{Duration, Instant};

use ::routing::rules::{Rule, TICKET, WORKSPACE_STEPS_MAX};
use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use runtime::partition_of;
use tests::api::{Api, new_id};
use tests::call;
use tests::stack::Stack;
use tests::story::put_agent;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;
use wire::common::v1::attribute_value::Kind;
use wire::common::v1::{AttributeValue, Channel, TextList};
use wire::events::v1::Requester;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;
use wire::routing::v1::watch_offers_response::Kind as OfferKind;

/// Of the embedded log.
const PARTITIONS: u16 = 4;
const COSTLY: &str = "costly";
const QUEUES: usize = 500;
/// How often the way to an offer is measured, quiet and beside the other workspace.
const TIMES: usize = 60;
/// How much longer it may take beside the other workspace.
const FACTOR: u32 = 10;

/// A filter that is false of [`ticket`], and takes nearly a thousand steps, as much as each of [`QUEUES`] may have of
/// their workspace's: four patterns over the longest subject, and a macro over the longest list.
fn filter(queue: usize) -> String {
    let pattern = |letter| format!("ticket.subject.matches('{letter}.*{letter}.*{queue}x')");
    let patterns = ["a", "b", "c", "d"].map(pattern).join(" || ");
    format!("{patterns} || ticket.attributes.list.exists(e, e == 'q{queue}')")
}

/// As large a ticket as is accepted.
fn ticket(workspace: &str) -> intake::CreateTicketRequest {
    let values = vec!["x".repeat(1_000); 64];
    let list = AttributeValue { kind: Some(Kind::Texts(TextList { values })) };
    intake::CreateTicketRequest {
        attributes: [("list".to_owned(), list)].into(),
        subject: "🦀".repeat(300),
        body: "b".repeat(60_000),
        ..small(workspace)
    }
}

fn small(workspace: &str) -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        channel: Channel::Email.into(),
        requester: Some(Requester { name: "Ann".to_owned(), ..Default::default() }),
        subject: "It is broken".to_owned(),
        body: "Please help".to_owned(),
        ..Default::default()
    }
}

fn queue(id: &str, filter: &str) -> routing::PutQueueRequest {
    routing::PutQueueRequest {
        workspace_id: COSTLY.to_owned(),
        request_id: new_id(),
        queue: Some(routing::Queue {
            queue_id: id.to_owned(),
            order: 1,
            filter: filter.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Another workspace of the same partition.
fn neighbour() -> String {
    let same = |name: &String| partition_of(name, PARTITIONS) == partition_of(COSTLY, PARTITIONS);
    (0..1_000).map(|number: u32| format!("neighbour-{number}")).find(same).unwrap()
}

async fn put_workspace(api: &Api, id: &str) -> anyhow::Result<()> {
    let workspace = intake::Workspace { workspace_id: id.to_owned(), ..Default::default() };
    let put = intake::PutWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    call!(api, intake.put_workspace, put).await?;
    Ok(())
}

/// From the call that opens a ticket to its offer, as a watcher sees it.
async fn to_offer(
    api: &Api,
    workspace: &str,
    offers: &mut Streaming<routing::WatchOffersResponse>,
) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let opened = call!(api, intake.create_ticket, small(workspace)).await?;
    while let Some(message) = offers.next().await {
        let Some(OfferKind::Change(change)) = message?.kind else { continue };
        let offer = change.offer.unwrap_or_default();
        if change.event_type == "OfferMade" && offer.ticket_id == opened.ticket_id {
            return Ok(begin.elapsed());
        }
    }
    anyhow::bail!("the watch ended")
}

/// The slowest but one in a hundred.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let last = times.len() * 99 / 100;
    times.into_iter().nth(last.saturating_sub(1)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_of_the_costliest_filters_do_not_delay_a_neighbour() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    let neighbour = neighbour();
    for workspace in [COSTLY, &neighbour] {
        put_workspace(&api, workspace).await?;
        put_agent(&api, workspace, "ada", &[], 1_000_000).await?;
    }
    let watch =
        routing::WatchOffersRequest { workspace_id: neighbour.clone(), ..Default::default() };
    let mut offers = api.routing.clone().watch_offers(api.endless(watch)).await?.into_inner();
    let mut quiet = Vec::new();
    for _ in 0..TIMES {
        quiet.push(to_offer(&api, &neighbour, &mut offers).await?);
    }
    let steps = u64::from(Rule::compile(&filter(100), TICKET)?.steps());
    let all = steps * u64::try_from(QUEUES)?;
    ensure!(all > WORKSPACE_STEPS_MAX * 9 / 10, "the filters take {all} steps only");
    for number in 1..QUEUES {
        call!(api, routing.put_queue, queue(&format!("q{number}"), &filter(number))).await?;
    }
    let (mut beside, mut own) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let begin = Instant::now();
        let costly = call!(api, intake.create_ticket, ticket(COSTLY)).await?;
        beside.push(to_offer(&api, &neighbour, &mut offers).await?);
        ensure!(!costly.ticket_id.is_empty(), "no ticket");
        own.push(begin.elapsed());
    }
    let (quiet, beside, own) = (p99(quiet), p99(beside), p99(own));
    println!(
        "opened to offer, p99: quiet {quiet:?}, beside {QUEUES} costly queues {beside:?}, both {own:?}"
    );
    ensure!(beside <= quiet * FACTOR, "quiet {quiet:?}, beside the costly workspace {beside:?}");
    stack.stop().await
}

async fn refused(api: &Api, put: routing::PutQueueRequest) -> Option<tonic::Status> {
    api.routing.clone().put_queue(api.request(put)).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_costly_is_refused_with_its_place() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    put_workspace(&api, COSTLY).await?;
    // Copied two thousand lists for each ticket and queue.
    let (numbers, lists) = (vec!["0"; 100].join(","), vec!["ticket.attributes.l"; 20].join(","));
    let copies = format!("[{numbers}].map(i, [{lists}]) == []");
    let status = refused(&api, queue("copies", &copies)).await.context("it was accepted")?;
    let info = status.get_details_error_info().context("no reason")?;
    ensure!(info.reason == "EXPRESSION_TOO_COSTLY", "{status:?}");
    ensure!(info.metadata.get("limit").is_some_and(|it| it == "10000"), "{status:?}");
    ensure!(
        info.metadata.contains_key("steps") && info.metadata.contains_key("part"),
        "{status:?}"
    );
    // Compiled four patterns of 13 ms for each ticket and queue; now they are tables.
    let word = format!("ticket.subject.matches(r'{}')", r"\w".repeat(48));
    call!(api, routing.put_queue, queue("words", &[word.as_str(); 4].join(" || "))).await?;

    // Nearly ten thousand steps each: the budget is spent after some fifty.
    let costly = "ticket.attributes.a.exists(a, a.contains('x') || a.contains('y'))";
    let mut accepted = 0_usize;
    let status = loop {
        match refused(&api, queue(&format!("q{accepted}"), costly)).await {
            None => accepted += 1,
            Some(status) => break status,
        }
        ensure!(accepted < QUEUES, "nothing was refused");
    };
    let info = status.get_details_error_info().context("no reason")?;
    ensure!(info.reason == "FILTER_BUDGET_EXCEEDED", "{status:?}");
    ensure!(status.code() == Code::FailedPrecondition, "{status:?}");
    let fields = status.get_details_bad_request().context("no field")?.field_violations;
    ensure!(fields.iter().map(|it| it.field.as_str()).eq(["queue.filter"]), "{fields:?}");
    ensure!(accepted > 10, "only {accepted} were accepted");
    // What takes the place of a costly one is counted by the difference.
    call!(api, routing.put_queue, queue("q0", "ticket.type == 'a'")).await?;
    call!(api, routing.put_queue, queue("again", costly)).await?;
    stack.stop().await
}
