//! What is there before the work begins: workspaces, queues, agents, a policy, and whom to tell.

use prost_types::Duration;
use wire::common::v1::{Priority, SkillRequirement};
use wire::events::v1::{ClockMetric, NotificationChannel, Skill};
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

use crate::call::Caller;

/// How many agents each workspace has.
pub(crate) const AGENTS: u64 = 4;
/// The events that notify's rule tells of.
pub(crate) const TOLD: [&str; 4] =
    ["TicketOpened", "OfferAccepted", "ClockBreached", "StatusChanged"];

pub(crate) fn agent_id(number: u64) -> String {
    format!("agent-{number}")
}

#[expect(clippy::unnecessary_wraps, reason = "every field that takes it is optional")]
pub(crate) fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

/// An agent's settings: the odd ones speak French, and capacities differ.
pub(crate) fn agent(number: u64, capacity: i32) -> routing::Agent {
    let skill = Skill { skill: "french".into(), level: 3 };
    routing::Agent {
        agent_id: agent_id(number),
        display_name: format!("Agent {number}"),
        skills: if number % 2 == 1 { vec![skill] } else { Vec::new() },
        capacity_units: Some(capacity),
        ..Default::default()
    }
}

/// Asks for everything, until all of it was granted.
pub(crate) async fn set(mut caller: Caller) {
    let caller = &mut caller;
    let workspace_id = caller.workspace();
    let workspace = intake::Workspace {
        workspace_id: workspace_id.clone(),
        display_name: "Where work is done".into(),
        ..Default::default()
    };
    insist(
        caller,
        intake::PutWorkspaceRequest { workspace: Some(workspace), ..Default::default() },
    )
    .await;
    for queue in [("default", 8, 0), ("french", 5, 3)] {
        let required = SkillRequirement { skill: "french".into(), min_level: queue.2 };
        let queue = routing::Queue {
            queue_id: queue.0.into(),
            order: 1,
            accept_within: seconds(queue.1),
            required_skills: if queue.2 > 0 { vec![required] } else { Vec::new() },
            ..Default::default()
        };
        insist(
            caller,
            routing::PutQueueRequest {
                workspace_id: workspace_id.clone(),
                queue: Some(queue),
                ..Default::default()
            },
        )
        .await;
    }
    for number in 0..AGENTS {
        let capacity = i32::try_from(caller.rng.range(25..130)).unwrap_or(100);
        insist(
            caller,
            routing::PutAgentRequest {
                workspace_id: workspace_id.clone(),
                agent: Some(agent(number, capacity)),
                ..Default::default()
            },
        )
        .await;
    }
    insist(caller, policy(workspace_id.clone(), 6)).await;
    notify_of(caller, workspace_id).await;
}

/// An endpoint, and a rule that sends to it.
async fn notify_of(caller: &mut Caller, workspace_id: String) {
    let endpoint = notify::Endpoint {
        endpoint_id: "hook".into(),
        url: "http://127.0.0.1:9/hook".into(),
        secret: "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".into(),
        ..Default::default()
    };
    insist(
        caller,
        notify::PutEndpointRequest {
            workspace_id: workspace_id.clone(),
            endpoint: Some(endpoint),
            ..Default::default()
        },
    )
    .await;
    let rule = notify::Rule {
        rule_id: "tell".into(),
        event_types: TOLD.map(str::to_owned).into(),
        channel: NotificationChannel::Webhook.into(),
        endpoint_id: "hook".into(),
        template: "News of #{{ ticket.number }}".into(),
        ..Default::default()
    };
    insist(caller, notify::PutRuleRequest { workspace_id, rule: Some(rule), ..Default::default() })
        .await;
}

/// A policy whose promises are short enough to be broken now and then.
pub(crate) fn policy(workspace_id: String, first_reply_s: i64) -> sla::PutPolicyRequest {
    let target = |metric: ClockMetric, priority: Priority, within| sla::PolicyTarget {
        metric: metric.into(),
        priority: priority.into(),
        within: seconds(within),
    };
    let targets = [Priority::P1, Priority::P2, Priority::P3, Priority::P4]
        .into_iter()
        .zip([1, 2, 3, 4])
        .flat_map(|(priority, times)| {
            [
                target(ClockMetric::FirstReply, priority, first_reply_s * times),
                target(ClockMetric::NextReply, priority, 8 * times),
                target(ClockMetric::TotalResolution, priority, 20 * times),
            ]
        })
        .collect();
    let policy = sla::Policy {
        policy_id: "all".into(),
        order: 1,
        targets,
        warn_at_permille: vec![500, 800],
        ..Default::default()
    };
    sla::PutPolicyRequest { workspace_id, policy: Some(policy), ..Default::default() }
}

/// Calls until it is done: before the work begins there are no faults, but nobody may lead yet, and services still be
/// learning of the workspace.
async fn insist<A: crate::asked::Asked>(caller: &mut Caller, request: A) {
    for _ in 0..200 {
        if caller.call(request.clone()).await.is_some() {
            return;
        }
        caller.pause(50..51).await;
    }
    let last = caller.world.told().history.last().map(|op| format!("{op:?}"));
    caller.world.violation(format!("I46: the scene can't be set: {last:?}"));
}
