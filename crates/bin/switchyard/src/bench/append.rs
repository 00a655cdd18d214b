//! Events through one partition: decided, folded, packed, appended, answered; beside the bare appending of the very
//! same records.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use event_log::{EventLog, Record};
use futures::future::try_join_all;
use intake::Command;
use intake::command::AddMessage;
use intake::event::{AuthorKind, Visibility};
use intake_service::IntakeService;
use kernel::{Actor, MessageId, TicketId, WorkspaceId};
use runtime::{Call, Node};
use wire::intake::v1::CreateTicketResponse;

use crate::cli::{Bench, Role};
use crate::client::Client;

use super::Name;
use super::load::{self, WORKSPACE};
use super::measure::{compare, measure_of, scaled};
use super::place::{Place, server_settings};
use super::report::{Figure, Goal};

/// Calls in flight: enough for full commits, one in the making while one is written.
const IN_FLIGHT: u64 = 1024;
/// Messages in one run at full scale.
const MESSAGES: u64 = 60_000;
/// Bytes of a message.
const BODY: usize = 160;
/// How much of the log is read at once.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Measures it.
pub(super) async fn run(settings: &Bench, place: &Place) -> Result<Figure> {
    let opened = place.open().await?;
    let ticket = ticket(&opened, place).await?;
    let opened = place.open().await?;
    let provider = opened.provider();
    let config = crate::server::node_config(Arc::clone(&provider), &place.data_dir()).await?;
    let node = Node::start(IntakeService::new(Arc::clone(&provider)), config).await?;
    node.ready().await.map_err(|health| anyhow::anyhow!(health.reason()))?;
    let log = Arc::clone(node.partition_of(WORKSPACE).log());
    let floor = opened.floor(0).await?;
    let each = scaled(MESSAGES, settings.scale).div_ceil(IN_FLIGHT);
    // What the product wrote in its last run is what the floor appends.
    let written = tokio::sync::Mutex::new(Vec::new());
    let product = async || {
        let from = log.tail().await?.last + 1;
        let began = Instant::now();
        let callers = (0..IN_FLIGHT).map(|_| messages(node.clone(), ticket.clone(), each));
        try_join_all(callers.map(tokio::spawn)).await?.into_iter().collect::<Result<()>>()?;
        let rate = measure_of(IN_FLIGHT * each) / began.elapsed().as_secs_f64();
        *written.lock().await = records(&*log, from).await?;
        Ok(rate)
    };
    let bare = async || {
        let records = written.lock().await;
        let mut fence = floor.tail().await?.last;
        let began = Instant::now();
        for record in &*records {
            fence = floor.append(fence, record.bytes.clone()).await?;
        }
        Ok(measure_of(IN_FLIGHT * each) / began.elapsed().as_secs_f64())
    };
    let compared = compare(settings.runs, product, bare).await;
    node.shutdown().await;
    opened.close().await;
    let floor = "the same records appended one after the other";
    Ok(Figure::compared(Name::Append, "events/s", floor, compared?, Goal::AtLeast(0.7), settings))
}

/// Opens the one ticket that all messages are of.
async fn ticket(opened: &super::place::Opened, place: &Place) -> Result<TicketId> {
    let running = opened.start(&[Role::Intake], &server_settings(place, None)).await?;
    let client =
        Client::connect(&running.address().to_string(), std::time::Duration::from_secs(15)).await?;
    let reply: Result<_, _> = client.intake().create_ticket(load::request(0)).await;
    drop(client);
    running.stop().await?;
    let CreateTicketResponse { ticket_id, .. } = reply?.into_inner();
    Ok(TicketId::trusted(&ticket_id))
}

/// Adds `each` messages, one after the other.
async fn messages(node: Node<IntakeService>, ticket: TicketId, each: u64) -> Result<()> {
    let body: Box<str> = "x".repeat(BODY).into();
    // Ids are the caller's: making them is not measured.
    let caller = uuid::Uuid::now_v7().simple().to_string();
    for number in 0..each {
        let id = format!("{caller}-{number}");
        let command = Command::AddMessage(Box::new(AddMessage {
            ticket: ticket.clone(),
            message: MessageId::trusted(&id),
            follow_up: TicketId::trusted(&id),
            author_kind: AuthorKind::Bot,
            author: Box::default(),
            visibility: Visibility::Public,
            body: body.clone(),
            occurred_at: None,
            expected: None,
        }));
        let call = Call {
            workspace: WorkspaceId::trusted(WORKSPACE),
            method: "AddMessage",
            request: None,
            actor: Actor::Backend,
            command,
            render: Box::new(|_, _| Vec::new()),
        };
        node.execute(call).await.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    }
    Ok(())
}

async fn records(log: &dyn EventLog, mut from: u64) -> Result<Vec<Record>> {
    let mut all = Vec::new();
    loop {
        let some = log.read(from, READ_BYTES).await?;
        let Some(last) = some.last() else { return Ok(all) };
        from = last.seq + 1;
        all.extend(some);
    }
}
