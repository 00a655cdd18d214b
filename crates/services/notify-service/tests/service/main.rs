//! Notify over in-memory logs, with real receivers on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what surrounds a test fails like the test itself"
)]

mod feed;
mod receiver;

use std::sync::Arc;

use event_log::memory::MemoryProvider;
use futures::StreamExt;
use kernel::Timestamp;
use notify_service::{Api, Config, Keys, NotifyService};
use runtime::{Clock, Node, NodeConfig, Positions, Service, ServiceId, initialise};
use service_kit::Drain;
use snapshots::NoSnapshots;
use tonic::{Code, Request};
use wire::common::v1::{WatchStart, watch_start::From as Start};
use wire::events::v1 as events;
use wire::notify::v1::notify_service_server::NotifyService as _;
use wire::notify::v1::watch_notifications_response::Kind;
use wire::notify::v1::{
    Delivery, DeliveryState, Endpoint, ListDeliveriesRequest, Notification, PutEndpointRequest,
    PutRuleRequest, Rule, WatchNotificationsRequest, WatchNotificationsResponse,
};

use feed::{Intake, Routing, Sla, write};
use receiver::Receiver;

/// All logs, and the nodes of those that notify follows.
struct World {
    provider: Arc<MemoryProvider>,
    clock: Clock,
    keys: Keys,
    intake: Node<Intake>,
    routing: Node<Routing>,
    sla: Node<Sla>,
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
    async fn new() -> Self {
        let provider = Arc::new(MemoryProvider::new());
        initialise(&*provider, &ServiceId::ALL, 1).await.unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        Self {
            intake: node(&provider, &clock, Intake).await,
            routing: node(&provider, &clock, Routing).await,
            sla: node(&provider, &clock, Sla).await,
            provider,
            clock,
            keys: Keys::parse(&Keys::generate().unwrap()).unwrap(),
        }
    }

    async fn notify(&self) -> (Node<NotifyService>, Api) {
        let config = Config { allow_private_endpoints: true };
        let service = NotifyService::new(config, self.keys.clone()).unwrap();
        let node = node(&self.provider, &self.clock, service).await;
        (node.clone(), Api::new(node, Drain::new()))
    }

    async fn make_workspace(&self, notify: &Node<NotifyService>) {
        let put = events::WorkspacePut { workspace_id: "acme".into(), ..Default::default() };
        seen(notify, &write(&self.intake, "acme", "WorkspacePut", &put).await).await;
    }

    async fn open_ticket(&self, notify: &Node<NotifyService>) {
        let requester = events::Requester { name: "Grace".into(), ..Default::default() };
        let opened = events::TicketOpened {
            ticket_id: "t-1".into(),
            number: 7,
            subject: "Where is it?".into(),
            requester: Some(requester),
            ..Default::default()
        };
        seen(notify, &write(&self.intake, "t-1", "TicketOpened", &opened).await).await;
    }

    async fn breach(&self, notify: &Node<NotifyService>) {
        let breached = events::ClockBreached {
            clock_id: "t-1/first_reply/1".into(),
            ticket_id: "t-1".into(),
            metric: events::ClockMetric::FirstReply.into(),
            ..Default::default()
        };
        seen(notify, &write(&self.sla, "t-1", "ClockBreached", &breached).await).await;
    }
}

async fn seen(notify: &Node<NotifyService>, positions: &Positions) {
    notify.wait_for(positions).await.unwrap();
}

/// Waits until nothing is in flight; returns when the next attempt is due.
async fn rest(notify: &Node<NotifyService>) -> Option<Timestamp> {
    loop {
        let resting = notify.resting().unwrap();
        if resting.idle {
            return resting.next_due;
        }
        tokio::task::yield_now().await;
    }
}

fn put_rule(rule: Rule) -> Request<PutRuleRequest> {
    let rule = Rule { rule_id: "tell".into(), ..rule };
    Request::new(PutRuleRequest {
        workspace_id: "acme".into(),
        rule: Some(rule),
        ..Default::default()
    })
}

fn webhook_rule() -> Rule {
    Rule {
        event_types: vec!["ClockBreached".into()],
        filter: "event.metric == 'first_reply'".into(),
        channel: events::NotificationChannel::Webhook.into(),
        endpoint_id: "hook".into(),
        template: "#{{ ticket.number }} of {{ ticket.requester_name }}: {{ event.metric }}".into(),
        ..Default::default()
    }
}

fn put_endpoint(endpoint: Endpoint) -> Request<PutEndpointRequest> {
    let endpoint = Endpoint { endpoint_id: "hook".into(), ..endpoint };
    Request::new(PutEndpointRequest {
        workspace_id: "acme".into(),
        request_id: "once".into(),
        endpoint: Some(endpoint),
        ..Default::default()
    })
}

/// A workspace with a ticket, an endpoint at the receiver, and a rule over breaches. Returns the endpoint's secret.
async fn prepare(
    world: &World,
    receiver: &Receiver,
    endpoint: Endpoint,
) -> (Node<NotifyService>, Api, String) {
    let (notify, api) = world.notify().await;
    world.make_workspace(&notify).await;
    world.open_ticket(&notify).await;
    let endpoint = Endpoint { url: receiver.url.clone(), ..endpoint };
    let made = api.put_endpoint(put_endpoint(endpoint)).await.unwrap().into_inner();
    assert_eq!(made.revision, 1);
    api.put_rule(put_rule(webhook_rule())).await.unwrap();
    (notify, api, made.secret)
}

async fn deliveries(api: &Api) -> Vec<Delivery> {
    let request = ListDeliveriesRequest { workspace_id: "acme".into(), ..Default::default() };
    api.list_deliveries(Request::new(request)).await.unwrap().into_inner().deliveries
}

async fn the_delivery(api: &Api) -> (DeliveryState, u32, u32) {
    let all = deliveries(api).await;
    assert_eq!(all.len(), 1, "{all:?}");
    (all[0].state(), all[0].attempts, all[0].last_http_status)
}

#[tokio::test]
async fn a_receiver_that_fails_twice_gets_one_delivery_under_one_id() {
    let world = World::new().await;
    let mut receiver = Receiver::start([500, 500, 200]).await;
    let (notify, api, secret) = prepare(&world, &receiver, Endpoint::default()).await;
    let start = world.clock.now();
    world.breach(&notify).await;

    let mut requests = vec![receiver.next().await];
    for base in [5_000, 300_000] {
        let due = rest(&notify).await.unwrap();
        let delay = due.millis_since(world.clock.now());
        assert!(delay * 5 >= base * 4 && delay * 5 <= base * 6, "{delay}");
        world.clock.advance_to(due).unwrap();
        requests.push(receiver.next().await);
    }
    assert_eq!(rest(&notify).await, None);
    assert_eq!(the_delivery(&api).await, (DeliveryState::Delivered, 3, 200));

    let verifier = standardwebhooks::Webhook::new(&secret).unwrap();
    for request in &requests {
        assert_eq!(request.body, requests[0].body);
        assert_eq!(request.headers["webhook-id"], requests[0].headers["webhook-id"]);
        let header = |name: &str| request.headers[name].to_str().unwrap();
        let at: i64 = header("webhook-timestamp").parse().unwrap();
        // The partition's time, whatever the wall clock says.
        assert!((start.as_millis()..=world.clock.now().as_millis()).contains(&(at * 1_000)));
        let wanted = verifier.sign(header("webhook-id"), at, request.body.as_bytes()).unwrap();
        assert_eq!(header("webhook-signature"), wanted);
    }
    let body: serde_json::Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(body["type"], "ClockBreached");
    assert_eq!(body["data"]["ticket_number"], 7);
    assert_eq!(body["data"]["text"], "#7 of Grace: first_reply");
    let at: jiff::Timestamp = body["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(at.as_millisecond(), start.as_millis());
}

#[tokio::test]
async fn a_rebuild_sends_nothing() {
    let world = World::new().await;
    let mut receiver = Receiver::start([200, 200]).await;
    let (notify, api, _) = prepare(&world, &receiver, Endpoint::default()).await;
    world.breach(&notify).await;
    receiver.next().await;
    world.breach(&notify).await;
    receiver.next().await;
    rest(&notify).await;
    let before = deliveries(&api).await;
    notify.shutdown().await;

    // There are no snapshots, so this one folds the log from its first record.
    let (notify, api) = world.notify().await;
    assert_eq!(rest(&notify).await, None);
    assert_eq!(deliveries(&api).await, before);
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn an_attempt_that_a_crash_cut_off_is_made_again_with_the_same_id_and_body() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Receiver::NEVER, 200]).await;
    let (notify, _, _) = prepare(&world, &receiver, Endpoint::default()).await;
    world.breach(&notify).await;
    let first = receiver.next().await;
    notify.shutdown().await;

    let (notify, api) = world.notify().await;
    let second = receiver.next().await;
    assert_eq!(second.body, first.body);
    assert_eq!(second.headers["webhook-id"], first.headers["webhook-id"]);
    assert_eq!(rest(&notify).await, None);
    assert_eq!(the_delivery(&api).await, (DeliveryState::Delivered, 1, 200));
}

#[tokio::test]
async fn at_most_once_is_not_made_again_and_ends_as_unknown() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Receiver::NEVER, 200]).await;
    let once = Endpoint { at_most_once: true, ..Default::default() };
    let (notify, _, _) = prepare(&world, &receiver, once).await;
    world.breach(&notify).await;
    receiver.next().await;
    notify.shutdown().await;

    let (notify, api) = world.notify().await;
    assert_eq!(rest(&notify).await, None);
    assert_eq!(the_delivery(&api).await, (DeliveryState::Unknown, 1, 0));
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn a_receiver_that_is_gone_gets_nothing_more() {
    let world = World::new().await;
    let mut receiver = Receiver::start([410]).await;
    let (notify, api, _) = prepare(&world, &receiver, Endpoint::default()).await;
    world.breach(&notify).await;
    receiver.next().await;
    assert_eq!(rest(&notify).await, None);
    assert_eq!(the_delivery(&api).await, (DeliveryState::PermanentlyFailed, 1, 410));
    world.breach(&notify).await;
    rest(&notify).await;
    assert_eq!(deliveries(&api).await.len(), 1);
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn the_owner_is_told_although_routing_was_read_before_intake() {
    let world = World::new().await;
    let (notify, api) = world.notify().await;
    world.make_workspace(&notify).await;
    let rule = Rule {
        event_types: vec!["TicketAssigned".into()],
        channel: events::NotificationChannel::InApp.into(),
        recipients: vec!["owner".into()],
        ..Default::default()
    };
    api.put_rule(put_rule(rule)).await.unwrap();
    let assigned = events::TicketAssigned {
        ticket_id: "t-1".into(),
        agent_id: "ada".into(),
        ..Default::default()
    };
    seen(&notify, &write(&world.routing, "t-1", "TicketAssigned", &assigned).await).await;
    assert!(deliveries(&api).await.is_empty());
    world.open_ticket(&notify).await;
    let all = deliveries(&api).await;
    assert_eq!(
        (all[0].recipient.as_str(), all[0].state()),
        ("agent:ada", DeliveryState::Delivered)
    );
}

#[tokio::test]
async fn a_secret_is_shown_once_and_a_retry_shows_the_same() {
    let world = World::new().await;
    let receiver = Receiver::start([]).await;
    let (_, api, secret) = prepare(&world, &receiver, Endpoint::default()).await;
    assert!(secret.starts_with("whsec_"));
    let endpoint = || Endpoint { url: receiver.url.clone(), ..Default::default() };
    let again = api.put_endpoint(put_endpoint(endpoint())).await.unwrap().into_inner();
    assert_eq!(again.secret, secret, "the same request");
    let mut other = put_endpoint(Endpoint { at_most_once: true, ..endpoint() });
    other.get_mut().request_id.clear();
    let other = api.put_endpoint(other).await.unwrap().into_inner();
    assert_eq!((other.revision, other.secret.as_str()), (2, ""));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_its_reason() {
    let world = World::new().await;
    let (notify, api) = world.notify().await;
    let unknown = api.put_rule(put_rule(webhook_rule())).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    world.make_workspace(&notify).await;
    let no_endpoint = api.put_rule(put_rule(webhook_rule())).await.unwrap_err();
    assert_eq!(no_endpoint.code(), Code::NotFound);
    let endpoint = Endpoint { url: "https://hooks.example/".into(), ..Default::default() };
    api.put_endpoint(put_endpoint(endpoint)).await.unwrap();
    for bad in [
        Rule { filter: "agent.name == 'x'".into(), ..webhook_rule() },
        Rule { template: "{{ event.agent_id }}".into(), ..webhook_rule() },
        Rule { event_types: vec!["Requester".into()], ..webhook_rule() },
        Rule { channel: 0, ..webhook_rule() },
        Rule { channel: 9, ..webhook_rule() },
        Rule { recipients: vec!["all".into()], ..webhook_rule() },
    ] {
        let refused = api.put_rule(put_rule(bad.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad:?}");
    }
    let put = api.put_rule(put_rule(webhook_rule())).await.unwrap().into_inner();
    assert_eq!(put.revision, 1);
}

async fn watched(
    api: &Api,
    agent: &str,
    queues: &[&str],
    from: Start,
    count: usize,
) -> Vec<WatchNotificationsResponse> {
    let request = WatchNotificationsRequest {
        workspace_id: "acme".into(),
        start: Some(WatchStart { from: Some(from) }),
        agent_id: agent.into(),
        queue_ids: queues.iter().map(ToString::to_string).collect(),
        checkpoint_every: None,
    };
    let stream = api.watch_notifications(Request::new(request)).await.unwrap().into_inner();
    let told = stream.map(Result::unwrap).filter(|message| {
        let told = matches!(message.kind, Some(Kind::Notification(_)));
        async move { told }
    });
    told.take(count).collect().await
}

fn notification(message: &WatchNotificationsResponse) -> &Notification {
    let Some(Kind::Notification(notification)) = &message.kind else { unreachable!("{message:?}") };
    notification
}

#[tokio::test]
async fn agents_see_what_is_meant_for_them_and_resume_where_they_were() {
    let world = World::new().await;
    let (notify, api) = world.notify().await;
    world.make_workspace(&notify).await;
    let to = ["agent:ada", "agent:bob", "queue:billing", "all"].map(str::to_owned).into();
    let rule = Rule {
        event_types: vec!["ClockBreached".into()],
        channel: events::NotificationChannel::InApp.into(),
        recipients: to,
        ..Default::default()
    };
    api.put_rule(put_rule(rule)).await.unwrap();
    world.open_ticket(&notify).await;
    world.breach(&notify).await;
    world.breach(&notify).await;

    let recipients = |messages: &[WatchNotificationsResponse]| -> Vec<String> {
        messages.iter().map(|message| notification(message).recipient.clone()).collect()
    };
    let ada = watched(&api, "ada", &[], Start::Earliest(true), 4).await;
    assert_eq!(recipients(&ada), ["all", "agent:ada", "all", "agent:ada"]);
    assert_eq!(notification(&ada[0]).text, "ClockBreached: #7 Where is it?");
    let token = ada[1].resume_token.clone();
    let rest = watched(&api, "ada", &[], Start::ResumeToken(token.clone()), 2).await;
    assert_eq!(rest, ada[2..]);
    let bob = watched(&api, "bob", &["billing"], Start::Earliest(true), 3).await;
    assert_eq!(recipients(&bob), ["all", "agent:bob", "queue:billing"]);
    let all = watched(&api, "", &[], Start::Earliest(true), 8).await;
    assert_eq!(all.len(), 8);
    let other = WatchNotificationsRequest {
        workspace_id: "acme".into(),
        agent_id: "bob".into(),
        start: Some(WatchStart { from: Some(Start::ResumeToken(token)) }),
        ..Default::default()
    };
    let refused = api.watch_notifications(Request::new(other)).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn deliveries_are_listed_in_pages_newest_first() {
    let world = World::new().await;
    let (notify, api) = world.notify().await;
    world.make_workspace(&notify).await;
    let rule = Rule {
        event_types: vec!["ClockBreached".into()],
        channel: events::NotificationChannel::InApp.into(),
        recipients: vec!["all".into()],
        ..Default::default()
    };
    api.put_rule(put_rule(rule)).await.unwrap();
    world.open_ticket(&notify).await;
    for _ in 0..5 {
        world.breach(&notify).await;
    }
    let list = async |page_token: String, state: DeliveryState| {
        let request = ListDeliveriesRequest {
            page_size: 2,
            page_token,
            workspace_id: "acme".into(),
            ticket_id: "t-1".into(),
            state: state.into(),
        };
        api.list_deliveries(Request::new(request)).await.map(tonic::Response::into_inner)
    };
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(token, DeliveryState::Delivered).await.unwrap();
        ids.extend(page.deliveries.into_iter().map(|delivery| delivery.delivery_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let all: Vec<_> = deliveries(&api).await.into_iter().map(|it| it.delivery_id).collect();
    assert_eq!(ids, all);
    assert_eq!(ids.len(), 5);
    let first = list(String::new(), DeliveryState::Delivered).await.unwrap();
    let refused = list(first.next_page_token, DeliveryState::Pending).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
