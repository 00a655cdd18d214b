//! Every call, over a log in memory and a clock that is moved by hand.

use std::sync::Arc;

use event_log::memory::MemoryProvider;
use futures::StreamExt;
use kernel::{Channel, Priority, Timestamp};
use runtime::{Call, Clock, NodeConfig, ServiceId, initialise};
use sla::{Command, Traits};
use snapshots::NoSnapshots;
use tonic_types::StatusExt;
use wire::common::v1 as common;
use wire::events::v1::ClockMetric;
use wire_sla::watch_sla_response::Kind;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_772_442_000_000);

async fn api() -> (Api, Clock) {
    let provider = Arc::new(MemoryProvider::new());
    initialise(&*provider, &ServiceId::ALL, 1).await.unwrap();
    let clock = Clock::manual(START);
    let config = NodeConfig {
        provider,
        snapshots: Arc::new(NoSnapshots),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        clock: clock.clone(),
        cluster: None,
    };
    let node = Node::start(SlaService, config).await.unwrap();
    node.ready().await.unwrap();
    let api = Api { node, drain: Drain::new() };
    api.tell(Command::NoteWorkspace).await;
    (api, clock)
}

impl Api {
    /// What a reaction would ask for.
    async fn tell(&self, command: Command) {
        let call = Call {
            workspace: WorkspaceId::trusted("w"),
            method: "test",
            request: None,
            actor: Actor::Backend,
            command,
            render: Box::new(|_, _| Vec::new()),
        };
        self.node.execute(call).await.unwrap();
    }

    async fn open(&self, id: &str, at: Timestamp) {
        let traits = Arc::new(Traits {
            channel: Channel::Email,
            provider: String::new(),
            subject: "No heat".into(),
            kind: String::new(),
            tags: Vec::new(),
            attributes: kernel::Packed::new(&kernel::Attributes::new()),
            requester_id: "r".into(),
            requester_name: String::new(),
            requester_locale: String::new(),
        });
        let ticket = TicketId::trusted(id);
        let priority = Some(Priority::P2);
        self.tell(Command::OpenTicket { ticket, number: 1, priority, traits, at }).await;
    }
}

fn policy(id: &str, seconds: i64) -> wire_sla::Policy {
    wire_sla::Policy {
        policy_id: id.into(),
        targets: vec![wire_sla::PolicyTarget {
            metric: ClockMetric::FirstReply.into(),
            priority: common::Priority::P2.into(),
            within: Some(prost_types::Duration { seconds, nanos: 0 }),
        }],
        warn_at_permille: vec![500],
        ..Default::default()
    }
}

fn put(policy: wire_sla::Policy) -> Request<PutPolicyRequest> {
    Request::new(PutPolicyRequest {
        workspace_id: "w".into(),
        policy: Some(policy),
        ..Default::default()
    })
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_promise_is_listed_watched_broken_and_counted() {
    let (api, clock) = api().await;
    let reply = api.put_policy(put(policy("p", 3_600))).await.unwrap().into_inner();
    assert_eq!(reply.revision, 1);
    assert!(reply.position.starts_with("sla.0."));
    let request = WatchSlaRequest { workspace_id: "w".into(), ..Default::default() };
    let mut watch = api.watch_sla(Request::new(request)).await.unwrap().into_inner();
    api.open("t", START).await;

    let at_risk = |within| {
        Request::new(ListAtRiskRequest {
            workspace_id: "w".into(),
            within: Some(prost_types::Duration { seconds: within, nanos: 0 }),
            ..Default::default()
        })
    };
    assert!(api.list_at_risk(at_risk(60)).await.unwrap().into_inner().clocks.is_empty());
    let risks = api.list_at_risk(at_risk(3_600)).await.unwrap().into_inner();
    assert_eq!(risks.clocks[0].clock_id, "t/first_reply/1");

    clock.advance_to(START.plus_millis(7_200_000)).unwrap();
    let mut types = Vec::new();
    while types.len() < 5 {
        let message = watch.next().await.unwrap().unwrap();
        if let Some(Kind::Change(change)) = message.kind {
            types.push(change.event_type);
        }
    }
    let expected = ["ClockStarted", "ClockStarted", "ClockStarted", "ClockWarned", "ClockBreached"];
    assert_eq!(types, expected);

    let request = GetClocksRequest { workspace_id: "w".into(), ticket_id: "t".into() };
    let clocks = api.get_clocks(Request::new(request)).await.unwrap().into_inner().clocks;
    assert_eq!(clocks.len(), 3);
    assert_eq!(clocks[0].state(), wire_sla::ClockState::Breached);
    assert_eq!(clocks[0].elapsed.unwrap().seconds, 7_200);
    assert_eq!(
        clocks[0].breached_at.unwrap().seconds - clocks[0].started_at.unwrap().seconds,
        3_600
    );

    let request = GetSlaStatsRequest { workspace_id: "w".into() };
    let counts = api.get_sla_stats(Request::new(request)).await.unwrap().into_inner().counts;
    assert_eq!((counts.len(), counts[0].started, counts[0].breached), (1, 1, 1));
}

#[tokio::test]
async fn listings_come_in_pages() {
    let (api, _) = api().await;
    for (id, order) in [("a", 5), ("b", -5), ("c", 5)] {
        api.put_policy(put(wire_sla::Policy { order, ..policy(id, 60) })).await.unwrap();
        api.open(id, START.plus_millis(u64::from(order.unsigned_abs()))).await;
    }
    let (mut policies, mut token) = (Vec::new(), String::new());
    loop {
        let request =
            ListPoliciesRequest { workspace_id: "w".into(), page_size: 1, page_token: token };
        let page = api.list_policies(Request::new(request)).await.unwrap().into_inner();
        policies.extend(page.policies.into_iter().map(|policy| policy.policy_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(policies, ["b", "a", "c"]);
    let (mut tickets, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListAtRiskRequest {
            workspace_id: "w".into(),
            page_size: 2,
            page_token: token,
            within: None,
        };
        let page = api.list_at_risk(Request::new(request)).await.unwrap().into_inner();
        tickets.extend(page.clocks.into_iter().map(|clock| clock.ticket_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(tickets, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_field_by_field() {
    let (api, _) = api().await;
    let mut bad = policy("p p", 0);
    bad.targets.push(wire_sla::PolicyTarget { metric: 99, ..Default::default() });
    bad.warn_at_permille = vec![0, 1_000, 500];
    let status = api.put_policy(put(bad)).await.unwrap_err();
    let details = status.get_error_details();
    let fields: Vec<_> = details
        .bad_request()
        .unwrap()
        .field_violations
        .iter()
        .map(|violation| violation.field.clone())
        .collect();
    assert_eq!(
        fields,
        [
            "policy.policy_id",
            "policy.targets[0].within",
            "policy.targets[1].metric",
            "policy.targets[1].priority",
            "policy.targets[1].within",
            "policy.warn_at_permille[0]",
            "policy.warn_at_permille[1]",
        ]
    );
    let filter = wire_sla::Policy { filter: "ticket.".into(), ..policy("p", 60) };
    assert_eq!(reason(&api.put_policy(put(filter)).await.unwrap_err()), "EXPRESSION_INVALID");
    let mut late = put(policy("p", 60));
    late.get_mut().expected_revision = 7;
    assert_eq!(reason(&api.put_policy(late).await.unwrap_err()), "REVISION_MISMATCH");
    let mut elsewhere = put(policy("p", 60));
    elsewhere.get_mut().workspace_id = "nowhere".into();
    let refused = api.put_policy(elsewhere).await.unwrap_err();
    assert_eq!(reason(&refused), "WORKSPACE_NOT_FOUND");
    let request = GetClocksRequest { workspace_id: "w".into(), ticket_id: "none".into() };
    let refused = api.get_clocks(Request::new(request)).await.unwrap_err();
    assert_eq!(reason(&refused), "TICKET_NOT_FOUND");
}
