//! What an operator would do first: a workspace, queues, agents, promises, and who is told.

use anyhow::Result;
use prost_types::Duration;
use wire::common::v1::Priority;
use wire::events::v1::{ClockMetric, NotificationChannel, OfferMode, Presence, Skill};
use wire::intake::v1::{PutWorkspaceRequest, Workspace};
use wire::notify::v1::{Endpoint, PutEndpointRequest, PutRuleRequest, Rule};
use wire::routing::v1::{Agent, PutAgentRequest, PutQueueRequest, Queue, SetPresenceRequest};
use wire::sla::v1::{Policy, PolicyTarget, PutPolicyRequest};

use crate::cli::Role;
use crate::client::seen;

use super::fleet::Fleet;
use super::plan::Plan;
use super::roster::{AgentPlan, QueuePlan};

/// The demo's workspace.
pub(crate) const WORKSPACE: &str = "demo";
const ENDPOINT: &str = "receiver";

/// How long an offer stands where people answer by hand.
const ACCEPT_WITHIN: Duration = Duration { seconds: 300, nanos: 0 };
/// A presence without a lease: it holds until changed.
const UNTIL_CHANGED: Duration = Duration { seconds: 0, nanos: 0 };

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What is promised, in seconds, to P1, P2, P3 and P4.
const PROMISES: [(ClockMetric, [i64; 4]); 4] = [
    (ClockMetric::FirstReply, [15 * MINUTE, 30 * MINUTE, 4 * HOUR, 8 * HOUR]),
    (ClockMetric::NextReply, [HOUR, 2 * HOUR, DAY, 2 * DAY]),
    (ClockMetric::RequesterWait, [4 * HOUR, 8 * HOUR, 3 * DAY, 5 * DAY]),
    (ClockMetric::TotalResolution, [4 * HOUR, 12 * HOUR, 5 * DAY, 5 * DAY]),
];
const PRIORITIES: [Priority; 4] = [Priority::P1, Priority::P2, Priority::P3, Priority::P4];
const WARN_AT_PERMILLE: [u32; 2] = [500, 800];

/// Sets everything up. Webhooks go to `url`, signed with `secret`.
pub(crate) async fn run(fleet: &Fleet, plan: &Plan, url: &str, secret: &str) -> Result<()> {
    let position = desk(fleet, plan).await?;
    put_endpoint(fleet, url, secret, &position).await?;
    for rule in rules() {
        let request = PutRuleRequest {
            workspace_id: WORKSPACE.to_owned(),
            request_id: format!("rule-{}", rule.rule_id),
            rule: Some(rule),
            expected_revision: 0,
        };
        fleet.client(Role::Notify)?.notify().put_rule(request).await?;
    }
    Ok(())
}

/// Sets up all but who is told. Returns the workspace's position.
pub(crate) async fn desk(fleet: &Fleet, plan: &Plan) -> Result<String> {
    let position = workspace(fleet).await?;
    for (order, queue) in (1..).zip(&plan.roster.queues) {
        put_queue(fleet, order, queue, &position).await?;
    }
    for agent in &plan.roster.agents {
        put_agent(fleet, agent).await?;
    }
    put_policy(fleet, &position).await?;
    Ok(position)
}

async fn workspace(fleet: &Fleet) -> Result<String> {
    let request = PutWorkspaceRequest {
        workspace: Some(Workspace {
            workspace_id: WORKSPACE.to_owned(),
            display_name: "The service desk of 2016".to_owned(),
            default_priority: Priority::P3.into(),
            revision: 0,
        }),
        request_id: "workspace".to_owned(),
        expected_revision: 0,
    };
    let reply = fleet.client(Role::Intake)?.intake().put_workspace(request).await?;
    Ok(reply.into_inner().position)
}

async fn put_queue(fleet: &Fleet, order: i32, queue: &QueuePlan, position: &str) -> Result<()> {
    let mode = if queue.by_hand { OfferMode::Manual } else { OfferMode::Unspecified };
    let request = PutQueueRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: format!("queue-{}", queue.id),
        queue: Some(Queue {
            queue_id: queue.id.clone(),
            display_name: queue.name.clone(),
            order,
            filter: format!("ticket.attributes.assignment_group == \"{}\"", queue.name),
            offer_mode: mode.into(),
            accept_within: queue.by_hand.then_some(ACCEPT_WITHIN),
            ..Queue::default()
        }),
        expected_revision: 0,
    };
    fleet.client(Role::Routing)?.routing().put_queue(seen(request, position)).await?;
    Ok(())
}

async fn put_agent(fleet: &Fleet, agent: &AgentPlan) -> Result<()> {
    let skills = agent.skills.iter();
    let request = PutAgentRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: format!("agent-{}", agent.id),
        agent: Some(Agent {
            agent_id: agent.id.clone(),
            display_name: agent.name.clone(),
            skills: skills
                .map(|(skill, level)| Skill { skill: skill.clone(), level: *level })
                .collect(),
            queue_ids: agent.queues.iter().cloned().collect(),
            capacity_units: Some(agent.capacity_units),
            revision: 0,
        }),
        expected_revision: 0,
    };
    let mut routing = fleet.client(Role::Routing)?.routing();
    routing.put_agent(request).await?;
    let request = SetPresenceRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: format!("presence-{}", agent.id),
        agent_id: agent.id.clone(),
        presence: Presence::Available.into(),
        lease: Some(UNTIL_CHANGED),
    };
    routing.set_presence(request).await?;
    Ok(())
}

async fn put_policy(fleet: &Fleet, position: &str) -> Result<()> {
    let targets = PROMISES.iter().flat_map(|(metric, within)| {
        PRIORITIES.iter().zip(within).map(|(priority, seconds)| PolicyTarget {
            metric: (*metric).into(),
            priority: (*priority).into(),
            within: Some(Duration { seconds: *seconds, nanos: 0 }),
        })
    });
    let request = PutPolicyRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: "policy".to_owned(),
        policy: Some(Policy {
            policy_id: "standard".to_owned(),
            display_name: "What everybody is promised".to_owned(),
            targets: targets.collect(),
            warn_at_permille: WARN_AT_PERMILLE.to_vec(),
            ..Policy::default()
        }),
        expected_revision: 0,
    };
    fleet.client(Role::Sla)?.sla().put_policy(seen(request, position)).await?;
    Ok(())
}

async fn put_endpoint(fleet: &Fleet, url: &str, secret: &str, position: &str) -> Result<()> {
    let request = PutEndpointRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: "endpoint".to_owned(),
        endpoint: Some(Endpoint {
            endpoint_id: ENDPOINT.to_owned(),
            url: url.to_owned(),
            secret: secret.to_owned(),
            ..Endpoint::default()
        }),
        expected_revision: 0,
    };
    fleet.client(Role::Notify)?.notify().put_endpoint(seen(request, position)).await?;
    Ok(())
}

/// Breaches, last warnings of the urgent, and assignments go out by webhook; who gets a ticket also sees it in the app.
fn rules() -> Vec<Rule> {
    let webhook = |id: &str, event_types: &[&str], filter: &str, template: &str| Rule {
        rule_id: id.to_owned(),
        event_types: event_types.iter().map(|&name| name.to_owned()).collect(),
        filter: filter.to_owned(),
        channel: NotificationChannel::Webhook.into(),
        endpoint_id: ENDPOINT.to_owned(),
        template: template.to_owned(),
        ..Rule::default()
    };
    vec![
        webhook(
            "breached",
            &["ClockBreached"],
            "",
            "#{{ ticket.number }} of {{ ticket.requester_name }}: a promise was broken",
        ),
        webhook(
            "at-risk",
            &["ClockWarned"],
            "event.permille == 800",
            "#{{ ticket.number }} of {{ ticket.requester_name }}: four fifths of the time are gone",
        ),
        webhook(
            "assigned",
            &["OfferAccepted", "TicketAssigned"],
            "",
            "#{{ ticket.number }} of {{ ticket.requester_name }}: {{ event.agent_id }} has it",
        ),
        Rule {
            rule_id: "yours".to_owned(),
            event_types: vec!["OfferAccepted".to_owned()],
            channel: NotificationChannel::InApp.into(),
            recipients: vec!["owner".to_owned()],
            template: "#{{ ticket.number }} of {{ ticket.requester_name }} is yours".to_owned(),
            ..Rule::default()
        },
    ]
}
