//! The service on logs in memory, with a routing that says what it is told.

mod routing;

use std::sync::Arc;

use event_log::memory::MemoryProvider;
use futures::StreamExt;
use kernel::Timestamp;
use runtime::{Clock, NodeConfig, ServiceId, initialise};
use snapshots::NoSnapshots;
use tokio::sync::watch;
use tonic::Code;
use tonic_types::StatusExt;
use wire::common::v1 as common;
use wire::events::v1 as stored;
use wire::intake::v1::watch_tickets_response::Kind;

use super::*;
use routing::Routing;

struct Stage {
    api: Api,
    routing: Routing,
    clock: Clock,
    /// Never says so: who asks for a timeline gets it all the same.
    _ready: watch::Sender<bool>,
}

async fn stage() -> Stage {
    let provider = Arc::new(MemoryProvider::new());
    initialise(&*provider, &[ServiceId::Intake, ServiceId::Routing], 1).await.unwrap();
    let clock = Clock::manual(Timestamp::from_millis(1_767_323_045_678));
    let config = NodeConfig {
        provider: Arc::<MemoryProvider>::clone(&provider),
        snapshots: Arc::new(NoSnapshots),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: clock.clone(),
        cluster: None,
    };
    let routing = Routing::start(config.clone()).await;
    let (ready, once) = watch::channel(false);
    let service = IntakeService::reading_once(once, provider);
    let node = Node::start(service, config).await.unwrap();
    node.ready().await.unwrap();
    Stage { api: Api::new(node, Drain::new()), routing, clock, _ready: ready }
}

fn new_ticket(id: &str) -> api::CreateTicketRequest {
    api::CreateTicketRequest {
        workspace_id: "default".into(),
        ticket_id: id.into(),
        channel: common::Channel::Email.into(),
        requester: Some(stored::Requester {
            requester_id: "rita".into(),
            ..stored::Requester::default()
        }),
        subject: "It does not start".into(),
        body: "Since yesterday.".into(),
        ..api::CreateTicketRequest::default()
    }
}

impl Stage {
    async fn create(&self, id: &str) -> api::CreateTicketResponse {
        self.api.create_ticket(Request::new(new_ticket(id))).await.unwrap().into_inner()
    }

    async fn get(&self, by: By) -> Result<api::Ticket, Status> {
        let request = api::GetTicketRequest { workspace_id: "default".into(), by: Some(by) };
        let reply = self.api.get_ticket(Request::new(request)).await?;
        Ok(reply.into_inner().ticket.unwrap())
    }

    async fn timeline(&self, page_size: i32, page_token: String) -> api::GetTimelineResponse {
        let request = api::GetTimelineRequest {
            page_size,
            page_token,
            workspace_id: "default".into(),
            ticket_id: "t".into(),
        };
        self.api.get_timeline(Request::new(request)).await.unwrap().into_inner()
    }

    /// Lets routing say it, and waits until intake has heard.
    async fn hear(&self, event_type: &'static str, fact: &impl Message) {
        let position = self.routing.say(event_type, "t", fact).await;
        let mut positions = runtime::Positions::default();
        positions.merge(position);
        self.api.node.wait_for(&positions).await.unwrap();
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_ticket_is_found_by_each_of_its_names() {
    let stage = stage().await;
    let request = api::CreateTicketRequest { external_id: "INC 7".into(), ..new_ticket("") };
    let made = stage.api.create_ticket(Request::new(request)).await.unwrap().into_inner();
    assert_eq!((made.number, made.revision), (1, 1));
    assert!(made.position.starts_with("intake.0."));
    for by in [By::TicketId(made.ticket_id.clone()), By::Number(1), By::ExternalId("INC 7".into())]
    {
        assert_eq!(stage.get(by).await.unwrap().ticket_id, made.ticket_id);
    }
    let missing = stage.get(By::Number(2)).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "TICKET_NOT_FOUND"));
}

#[tokio::test]
async fn a_ticket_closed_long_ago_is_a_stub_and_its_story_is_whole() {
    let stage = stage().await;
    let request = api::CreateTicketRequest { tags: vec!["vip".into()], ..new_ticket("t") };
    stage.api.create_ticket(Request::new(request)).await.unwrap();
    let close = || api::CloseTicketRequest {
        workspace_id: "default".into(),
        ticket_id: "t".into(),
        ..api::CloseTicketRequest::default()
    };
    stage.api.close_ticket(Request::new(close())).await.unwrap();
    let whole = stage.get(By::Number(1)).await.unwrap();
    assert_eq!((whole.is_stub, &*whole.tags), (false, &["vip".to_owned()][..]));

    stage.clock.advance_to(stage.clock.now().plus_millis(kernel::CLOSED_KEPT_MS + 1)).unwrap();
    stage.create("other").await;
    let stub = stage.get(By::TicketId("t".into())).await.unwrap();
    let left = api::Ticket { tags: Vec::new(), is_stub: true, ..whole };
    assert_eq!(stub, left);
    let list = api::ListTicketsRequest {
        workspace_id: "default".into(),
        ..api::ListTicketsRequest::default()
    };
    let listed = stage.api.list_tickets(Request::new(list)).await.unwrap().into_inner();
    let ids: Vec<_> = listed.tickets.iter().map(|ticket| ticket.ticket_id.as_str()).collect();
    assert_eq!(ids, ["other"]);
    let story = stage.timeline(0, String::new()).await;
    let types: Vec<_> = story.entries.iter().map(|entry| entry.event_type.as_str()).collect();
    assert_eq!(types, ["TicketOpened", "StatusChanged"]);
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let stage = stage().await;
    let request = api::CreateTicketRequest {
        workspace_id: "a b".into(),
        channel: 0,
        subject: "a\nb".into(),
        body: String::new(),
        tags: vec![String::new()],
        ..new_ticket("t")
    };
    let refused = stage.api.create_ticket(Request::new(request)).await.unwrap_err();
    let details = refused.get_error_details();
    let fields = details.bad_request().unwrap().field_violations.iter();
    let fields: Vec<_> = fields.map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["workspace_id", "channel", "subject", "body", "tags[0]"]);
}

#[tokio::test]
async fn a_request_id_gives_the_same_ticket_twice() {
    let stage = stage().await;
    let request = || {
        let request_id = "r-1".into();
        Request::new(api::CreateTicketRequest { request_id, ..new_ticket("") })
    };
    let first = stage.api.create_ticket(request()).await.unwrap().into_inner();
    let again = stage.api.create_ticket(request()).await.unwrap().into_inner();
    assert_eq!(first, again);
    assert!(stage.get(By::Number(2)).await.is_err());
}

#[tokio::test]
async fn lists_go_page_by_page_newest_first() {
    let stage = stage().await;
    for id in ["a", "b", "c"] {
        stage.create(id).await;
    }
    let mut request = api::ListTicketsRequest {
        page_size: 2,
        workspace_id: "default".into(),
        requester_id: "rita".into(),
        statuses: vec![common::TicketStatus::New.into()],
        ..api::ListTicketsRequest::default()
    };
    let mut numbers = Vec::new();
    loop {
        let page = stage.api.list_tickets(Request::new(request.clone())).await.unwrap();
        let page = page.into_inner();
        numbers.push(page.tickets.iter().map(|ticket| ticket.number).collect::<Vec<_>>());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(numbers, [vec![3, 2], vec![1]]);

    let workspaces = api::ListWorkspacesRequest::default();
    let workspaces = stage.api.list_workspaces(Request::new(workspaces)).await.unwrap();
    assert_eq!(workspaces.into_inner().workspaces[0].display_name, "Default");
}

#[tokio::test]
async fn routing_moves_a_ticket_and_the_timeline_tells_it() {
    let stage = stage().await;
    stage.create("t").await;
    let (ticket_id, agent_id) = ("t".to_owned(), "ada".to_owned());
    let queued = stored::TicketQueued {
        ticket_id: ticket_id.clone(),
        queue_id: "default".into(),
        ..stored::TicketQueued::default()
    };
    stage.hear("TicketQueued", &queued).await;
    let (offer_id, automatic) = ("o".into(), true);
    let (ticket, agent) = (ticket_id.clone(), agent_id.clone());
    let accepted =
        stored::OfferAccepted { offer_id, ticket_id: ticket, agent_id: agent, automatic };
    stage.hear("OfferAccepted", &accepted).await;
    let outcome = stored::WorkOutcome::Resolved.into();
    let done = stored::WorkCompleted { ticket_id, agent_id, outcome, note: String::new() };
    stage.hear("WorkCompleted", &done).await;
    stage.hear("WorkCompleted", &done).await;

    let ticket = stage.get(By::Number(1)).await.unwrap();
    assert_eq!(ticket.status(), common::TicketStatus::Resolved);
    assert_eq!((ticket.agent_id.as_str(), ticket.queue_id.as_str()), ("ada", "default"));

    let whole = stage.timeline(0, String::new()).await;
    let types: Vec<_> = whole.entries.iter().map(|entry| entry.event_type.as_str()).collect();
    // All in one instant of a clock that stands still: causes alone order them.
    assert_eq!(types[..2], ["TicketOpened", "TicketQueued"]);
    let place = |event_type: &str| types.iter().position(|it| *it == event_type).unwrap();
    assert!(place("OfferAccepted") < place("StatusChanged"));
    let resolved = types.iter().rposition(|it| *it == "StatusChanged").unwrap();
    assert!(place("WorkCompleted") < resolved);
    assert_eq!(whole.entries[resolved].summary, "open to resolved: work_completed");

    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = stage.timeline(2, token).await;
        paged.extend(page.entries);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, whole.entries);
}

#[tokio::test]
async fn a_watch_shows_a_queue_and_what_leaves_it() {
    let stage = stage().await;
    for (id, queue) in [("t", "q"), ("u", "other")] {
        let request = api::CreateTicketRequest { queue_id: queue.into(), ..new_ticket(id) };
        stage.api.create_ticket(Request::new(request)).await.unwrap();
    }
    let request = api::WatchTicketsRequest {
        workspace_id: "default".into(),
        queue_id: "q".into(),
        include_snapshot: true,
        ..api::WatchTicketsRequest::default()
    };
    let mut changes = stage.api.watch_tickets(Request::new(request)).await.unwrap().into_inner();
    for queue in ["default", "elsewhere"] {
        let queued = stored::TicketQueued {
            ticket_id: "t".into(),
            queue_id: queue.into(),
            ..stored::TicketQueued::default()
        };
        stage.hear("TicketQueued", &queued).await;
    }
    stage.create("last").await;
    let back = api::CreateTicketRequest { queue_id: "q".into(), ..new_ticket("v") };
    stage.api.create_ticket(Request::new(back)).await.unwrap();

    let mut seen = Vec::new();
    while seen.len() < 4 {
        match changes.next().await.unwrap().unwrap().kind.unwrap() {
            Kind::Snapshot(ticket) => seen.push(format!("snapshot {}", ticket.ticket_id)),
            Kind::SnapshotComplete(_) => seen.push("complete".to_owned()),
            Kind::Change(it) => seen.push(format!("{} {}", it.event_type, it.ticket_id)),
            Kind::Checkpoint(_) => {}
        }
    }
    assert_eq!(seen, ["snapshot t", "complete", "OwnerChanged t", "TicketOpened v"]);
}
