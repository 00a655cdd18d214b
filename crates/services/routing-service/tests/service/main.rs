//! Routing over in-memory logs, called as a backend would.

#![expect(clippy::unwrap_used, reason = "what surrounds a test fails like the test itself")]

mod intake;
mod poison;

use std::sync::Arc;

use event_log::memory::MemoryProvider;
use futures::StreamExt;
use kernel::Timestamp;
use routing_service::{Api, RoutingService};
use runtime::{Clock, Node, NodeConfig, Service, ServiceId, initialise};
use service_kit::Drain;
use snapshots::NoSnapshots;
use tonic::{Code, Request};
use wire::common::v1::{Channel, TicketStatus};
use wire::events::v1 as events;
use wire::routing::v1 as api;
use wire::routing::v1::routing_service_server::RoutingService as _;
use wire::routing::v1::watch_offers_response::Kind;

use intake::{Intake, opened, say};

const START: i64 = 1_700_000_000_000;

struct World {
    clock: Clock,
    intake: Node<Intake>,
    node: Node<RoutingService>,
    api: Api,
}

async fn node<S: Service>(provider: &Arc<MemoryProvider>, clock: &Clock, service: S) -> Node<S> {
    let config = NodeConfig {
        provider: Arc::<MemoryProvider>::clone(provider),
        snapshots: Arc::new(NoSnapshots),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: clock.clone(),
        cluster: None,
    };
    let node = Node::start(service, config).await.unwrap();
    node.ready().await.unwrap();
    node
}

impl World {
    /// A workspace `acme`, a queue `money` for what is about invoices, and Ada, who is there for 45 s at a time.
    async fn new() -> Self {
        let provider = Arc::new(MemoryProvider::new());
        initialise(&*provider, &[ServiceId::Intake, ServiceId::Routing], 1).await.unwrap();
        let clock = Clock::manual(Timestamp::from_millis(START));
        let intake = node(&provider, &clock, Intake).await;
        let node = node(&provider, &clock, RoutingService::new()).await;
        let api = Api::new(node.clone(), Drain::new());
        let world = Self { clock, intake, node, api };
        let put = events::WorkspacePut { workspace_id: "acme".into(), ..Default::default() };
        say(&world.intake, &world.node, "acme", "WorkspacePut", &put).await;
        world.put_queue("ticket.subject.contains('invoice')").await.unwrap();
        let agent = api::Agent { agent_id: "ada".into(), ..Default::default() };
        let put = api::PutAgentRequest {
            workspace_id: "acme".into(),
            agent: Some(agent),
            ..Default::default()
        };
        world.api.put_agent(Request::new(put)).await.unwrap();
        let presence = api::SetPresenceRequest {
            workspace_id: "acme".into(),
            agent_id: "ada".into(),
            presence: events::Presence::Available.into(),
            ..Default::default()
        };
        world.api.set_presence(Request::new(presence)).await.unwrap();
        world
    }

    async fn put_queue(&self, filter: &str) -> Result<(), tonic::Status> {
        let queue =
            api::Queue { queue_id: "money".into(), filter: filter.into(), ..Default::default() };
        let put = api::PutQueueRequest {
            workspace_id: "acme".into(),
            queue: Some(queue),
            ..Default::default()
        };
        self.api.put_queue(Request::new(put)).await.map(drop)
    }

    async fn opens(&self, id: &str, channel: Channel) {
        say(&self.intake, &self.node, id, "TicketOpened", &opened(id, channel)).await;
    }

    async fn explain(&self, ticket: &str) -> api::ExplainRoutingResponse {
        let asked =
            api::ExplainRoutingRequest { workspace_id: "acme".into(), ticket_id: ticket.into() };
        self.api.explain_routing(Request::new(asked)).await.unwrap().into_inner()
    }

    async fn ada(&self) -> api::AgentState {
        let asked = api::GetAgentRequest { workspace_id: "acme".into(), agent_id: "ada".into() };
        self.api.get_agent(Request::new(asked)).await.unwrap().into_inner().agent.unwrap()
    }

    async fn heartbeat(&self) -> Result<i64, tonic::Status> {
        let beat = api::HeartbeatRequest { workspace_id: "acme".into(), agent_id: "ada".into() };
        let reply = self.api.heartbeat(Request::new(beat)).await?.into_inner();
        Ok(reply.holds_until.unwrap().seconds)
    }

    /// Moves time, and waits until what became due has happened.
    async fn advance(&self, seconds: u64) {
        self.clock.advance_to(self.clock.now().plus_millis(seconds * 1_000)).unwrap();
        while !self.node.resting().unwrap().idle {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_chat_finds_its_queue_is_offered_accepted_and_resolved() {
    let world = World::new().await;
    world.opens("t-1", Channel::Chat).await;
    let watch = api::WatchOffersRequest {
        workspace_id: "acme".into(),
        agent_id: "ada".into(),
        include_snapshot: true,
        ..Default::default()
    };
    let mut offers = world.api.watch_offers(Request::new(watch)).await.unwrap().into_inner();
    let Some(Kind::Snapshot(offer)) = offers.next().await.unwrap().unwrap().kind else {
        panic!("the offer stands");
    };
    assert_eq!((offer.ticket_id.as_str(), offer.queue_id.as_str()), ("t-1", "money"));
    let complete = offers.next().await.unwrap().unwrap().kind;
    assert_eq!(complete, Some(Kind::SnapshotComplete(true)));

    let accept = api::AcceptOfferRequest {
        workspace_id: "acme".into(),
        request_id: "once".into(),
        agent_id: "ada".into(),
        offer_id: offer.offer_id.clone(),
    };
    for _ in 0..2 {
        let taken = world.api.accept_offer(Request::new(accept.clone())).await.unwrap();
        assert_eq!(taken.into_inner().ticket_id, "t-1");
    }
    let Some(Kind::Change(change)) = offers.next().await.unwrap().unwrap().kind else {
        panic!("the acceptance is seen");
    };
    assert_eq!(change.event_type, "OfferAccepted");
    let explained = world.explain("t-1").await;
    assert_eq!((explained.state.as_str(), explained.queue_reason.as_str()), ("assigned", "filter"));
    assert_eq!(explained.last_decision.unwrap().agent_id, "ada");
    assert_eq!(world.ada().await.used_units, 25);

    let resolved = events::StatusChanged {
        ticket_id: "t-1".into(),
        from: TicketStatus::Open.into(),
        to: TicketStatus::Resolved.into(),
        ..Default::default()
    };
    say(&world.intake, &world.node, "t-1", "StatusChanged", &resolved).await;
    assert_eq!(world.ada().await.used_units, 0);
}

#[tokio::test]
async fn heartbeats_hold_a_presence_and_silence_ends_it() {
    let world = World::new().await;
    for beat in 1..=3 {
        world.advance(40).await;
        let holds_until = world.heartbeat().await.unwrap();
        assert_eq!(holds_until, START / 1_000 + beat * 40 + 45);
    }
    world.opens("t-1", Channel::Voice).await;
    assert_eq!(world.explain("t-1").await.state, "offered");
    world.advance(44).await;
    assert_eq!(world.ada().await.presence, i32::from(events::Presence::Available));
    world.advance(1).await;
    assert_eq!(world.ada().await.presence, i32::from(events::Presence::Offline));
    assert_eq!(world.heartbeat().await.unwrap_err().code(), Code::FailedPrecondition);
    let explained = world.explain("t-1").await;
    assert_eq!((explained.state.as_str(), explained.place), ("waiting", 1));
    assert_eq!(explained.verdicts.first().unwrap().failed_rule, "presence");
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_reason() {
    let world = World::new().await;
    let bad = world.put_queue("ticket.subject ==").await.unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
    let accept = api::AcceptOfferRequest {
        workspace_id: "acme".into(),
        agent_id: "ada".into(),
        offer_id: "offer-1".into(),
        ..Default::default()
    };
    let refused = world.api.accept_offer(Request::new(accept)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let nothing = api::TransferTicketRequest::default();
    let refused = world.api.transfer_ticket(Request::new(nothing)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    for field in ["workspace_id", "ticket_id", "to"] {
        assert!(refused.message().contains(field), "{field} in {}", refused.message());
    }
    let elsewhere =
        api::GetQueueStatsRequest { workspace_id: "x".into(), queue_id: "money".into() };
    let refused = world.api.get_queue_stats(Request::new(elsewhere)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}
