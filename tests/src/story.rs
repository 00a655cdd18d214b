//! A ticket's whole story, told by a Rust client: a call that goes from the customer to an agent and back, through all
//! services.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use prost_types::Duration;
use tokio_stream::StreamExt as _;
use wire::common::v1::{
    AttributeValue, Channel, Priority, SkillRequirement, TicketStatus, attribute_value::Kind,
};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::routing::v1::watch_offers_response::Kind as OfferKind;
use wire::sla::v1 as sla;

use crate::api::{Api, WITHIN, new_id, until};
use crate::call;
use crate::receiver::{Receiver, SECRET};

/// What the customer and the agents say. None of it may ever be in a span.
pub const SAID: [&str; 6] = [
    "Router of flat 9 is dead",
    "Nothing blinks since the thunderstorm",
    "Zsófia Brandstätter",
    "zsofia@example.org",
    "Please hold the button for ten seconds",
    "Now it blinks like a christmas tree",
];
const SUBJECT: &str = SAID[0];
const BODY: &str = SAID[1];
const NAME: &str = SAID[2];
const ADDRESS: &str = SAID[3];
const REPLY: &str = SAID[4];
const ANSWER: &str = SAID[5];

const AGENT: &str = "grace";
const QUEUE: &str = "network";
const HOOKED: [&str; 4] = ["TicketOpened", "OfferMade", "OfferAccepted", "StatusChanged"];

/// What every timeline of this story tells.
const TOLD: [(i32, &[&str]); 4] = [
    (1, &["TicketOpened", "MessageAdded", "StatusChanged", "OwnerChanged"]),
    (2, &["TicketQueued", "OfferMade", "OfferDeclined", "OfferAccepted", "WorkCompleted"]),
    (3, &["ClockStarted", "ClockPaused", "ClockMet"]),
    (4, &["IntentMade", "AttemptEnded"]),
];

/// What a test may go on with.
#[derive(Debug, Clone)]
pub struct Told {
    /// The workspace.
    pub workspace: String,
    /// The ticket, resolved.
    pub ticket_id: String,
}

/// Makes the workspace and tells the story in it. Fails where anything is not as promised.
pub async fn tell(api: &Api, workspace: &str, receiver: &Receiver) -> anyhow::Result<Told> {
    settle(api, workspace, receiver).await?;
    let ticket_id = open(api, workspace).await?;
    take(api, workspace, &ticket_id).await?;
    talk(api, workspace, &ticket_id).await?;
    finish(api, workspace, &ticket_id).await?;
    look_back(api, workspace, &ticket_id, receiver).await?;
    Ok(Told { workspace: workspace.to_owned(), ticket_id })
}

/// Makes a workspace with a policy, a queue, two agents who are present, an endpoint and two rules.
pub async fn settle(api: &Api, workspace: &str, receiver: &Receiver) -> anyhow::Result<()> {
    let put = intake::PutWorkspaceRequest {
        workspace: Some(intake::Workspace {
            workspace_id: workspace.to_owned(),
            display_name: "Story".to_owned(),
            default_priority: Priority::P3.into(),
            revision: 0,
        }),
        request_id: new_id(),
        expected_revision: 0,
    };
    call!(api, intake.put_workspace, put).await.context("workspace")?;
    put_policy(api, workspace).await?;
    let skill = |name: &str, min_level| SkillRequirement { skill: name.to_owned(), min_level };
    let put = routing::PutQueueRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        queue: Some(routing::Queue {
            queue_id: QUEUE.to_owned(),
            filter: "ticket.attributes.flat == 9 && \"router\" in ticket.tags".to_owned(),
            required_skills: vec![skill("networks", 3)],
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, routing.put_queue, put).await.context("queue")?;
    for agent in ["ada", AGENT] {
        put_agent(api, workspace, agent, &["networks"], 100).await?;
    }
    put_hook(api, workspace, receiver, &HOOKED).await?;
    let put = notify::PutRuleRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        rule: Some(notify::Rule {
            rule_id: "desk".to_owned(),
            event_types: vec!["OfferAccepted".to_owned()],
            channel: events::NotificationChannel::InApp.into(),
            recipients: vec!["owner".to_owned()],
            template: "{{ ticket.number }}: {{ ticket.requester_name }} is yours".to_owned(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, notify.put_rule, put).await.context("in-app rule")?;
    Ok(())
}

async fn put_policy(api: &Api, workspace: &str) -> anyhow::Result<()> {
    let metrics = [
        events::ClockMetric::FirstReply,
        events::ClockMetric::RequesterWait,
        events::ClockMetric::TotalResolution,
    ];
    let target = |metric: events::ClockMetric| sla::PolicyTarget {
        metric: metric.into(),
        priority: Priority::P2.into(),
        within: Some(Duration { seconds: 3600, nanos: 0 }),
    };
    let put = sla::PutPolicyRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        policy: Some(sla::Policy {
            policy_id: "hour".to_owned(),
            targets: metrics.map(target).to_vec(),
            warn_at_permille: vec![500],
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, sla.put_policy, put).await.context("policy")?;
    Ok(())
}

/// Makes an agent who is present until changed.
pub async fn put_agent(
    api: &Api,
    workspace: &str,
    agent: &str,
    skills: &[&str],
    capacity_units: i32,
) -> anyhow::Result<()> {
    let skill = |&name: &&str| events::Skill { skill: name.to_owned(), level: 4 };
    let put = routing::PutAgentRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        agent: Some(routing::Agent {
            agent_id: agent.to_owned(),
            display_name: agent.to_owned(),
            skills: skills.iter().map(skill).collect(),
            capacity_units: Some(capacity_units),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, routing.put_agent, put).await.context("agent")?;
    let set = routing::SetPresenceRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        agent_id: agent.to_owned(),
        presence: events::Presence::Available.into(),
        lease: Some(Duration::default()),
    };
    call!(api, routing.set_presence, set).await.context("presence")?;
    Ok(())
}

/// Has webhooks sent for these events.
pub async fn put_hook(
    api: &Api,
    workspace: &str,
    receiver: &Receiver,
    event_types: &[&str],
) -> anyhow::Result<()> {
    let put = notify::PutEndpointRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        endpoint: Some(notify::Endpoint {
            endpoint_id: "hook".to_owned(),
            url: receiver.url(),
            secret: SECRET.to_owned(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, notify.put_endpoint, put).await.context("endpoint")?;
    let put = notify::PutRuleRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        rule: Some(notify::Rule {
            rule_id: "hook".to_owned(),
            event_types: event_types.iter().map(|&kind| kind.to_owned()).collect(),
            channel: events::NotificationChannel::Webhook.into(),
            endpoint_id: "hook".to_owned(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, notify.put_rule, put).await.context("webhook rule")?;
    Ok(())
}

/// A customer calls about a router; the same request again gets the same reply.
async fn open(api: &Api, workspace: &str) -> anyhow::Result<String> {
    let create = intake::CreateTicketRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        external_id: "call-1".to_owned(),
        channel: Channel::Voice.into(),
        requester: Some(events::Requester {
            requester_id: "c-9".to_owned(),
            name: NAME.to_owned(),
            addresses: vec![ADDRESS.to_owned()],
            locale: "hu".to_owned(),
        }),
        subject: SUBJECT.to_owned(),
        body: BODY.to_owned(),
        priority: Priority::P2.into(),
        tags: vec!["router".to_owned()],
        attributes: [("flat".to_owned(), AttributeValue { kind: Some(Kind::Integer(9)) })].into(),
        ..Default::default()
    };
    let first = call!(api, intake.create_ticket, create.clone()).await?;
    let again = call!(api, intake.create_ticket, create).await?;
    ensure!(first == again, "the same request got two replies: {first:?} and {again:?}");
    ensure!(first.number == 1, "its number is {}", first.number);
    Ok(first.ticket_id)
}

/// Whoever is offered it first declines, the other one accepts.
async fn take(api: &Api, workspace: &str, ticket_id: &str) -> anyhow::Result<()> {
    let watch = routing::WatchOffersRequest {
        workspace_id: workspace.to_owned(),
        include_snapshot: true,
        ..Default::default()
    };
    let mut offers = api.routing.clone().watch_offers(api.endless(watch)).await?.into_inner();
    let mut declined: Option<String> = None;
    let taken = async {
        while let Some(message) = offers.next().await {
            let offer = match message?.kind {
                Some(OfferKind::Snapshot(offer)) => offer,
                Some(OfferKind::Change(change)) if change.event_type == "OfferMade" => {
                    change.offer.context("a change without its offer")?
                }
                Some(
                    OfferKind::Change(_)
                    | OfferKind::Checkpoint(_)
                    | OfferKind::SnapshotComplete(_),
                )
                | None => continue,
            };
            ensure!(offer.ticket_id == ticket_id && offer.queue_id == QUEUE, "{offer:?}");
            if declined.is_some() {
                ensure!(declined.as_deref() != Some(&offer.agent_id), "offered again: {offer:?}");
                accept(api, workspace, &offer).await?;
                return Ok(offer.agent_id);
            }
            let decline = routing::DeclineOfferRequest {
                workspace_id: workspace.to_owned(),
                request_id: new_id(),
                agent_id: offer.agent_id.clone(),
                offer_id: offer.offer_id,
                reason: "at lunch".to_owned(),
            };
            call!(api, routing.decline_offer, decline).await?;
            declined = Some(offer.agent_id);
        }
        anyhow::bail!("the stream of offers ended")
    };
    let owner = tokio::time::timeout(WITHIN, taken).await.context("no offer came")??;
    ticket_when(api, workspace, ticket_id, "it is owned", |ticket| ticket.agent_id == owner)
        .await?;
    Ok(())
}

async fn accept(api: &Api, workspace: &str, offer: &routing::Offer) -> anyhow::Result<()> {
    let accept = routing::AcceptOfferRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        agent_id: offer.agent_id.clone(),
        offer_id: offer.offer_id.clone(),
    };
    let accepted = call!(api, routing.accept_offer, accept.clone()).await?;
    let again = call!(api, routing.accept_offer, accept).await?;
    ensure!(accepted == again, "accepted twice: {accepted:?} and {again:?}");
    Ok(())
}

/// A reply, a question, an answer that brings the ticket back to its owner.
async fn talk(api: &Api, workspace: &str, ticket_id: &str) -> anyhow::Result<()> {
    let owner = ticket(api, workspace, ticket_id).await?.agent_id;
    let say =
        |author_kind: events::AuthorKind, author: &str, body: &str| intake::AddMessageRequest {
            workspace_id: workspace.to_owned(),
            request_id: new_id(),
            ticket_id: ticket_id.to_owned(),
            author_kind: author_kind.into(),
            author_id: author.to_owned(),
            visibility: events::Visibility::Public.into(),
            body: body.to_owned(),
            ..Default::default()
        };
    call!(api, intake.add_message, say(events::AuthorKind::Agent, &owner, REPLY)).await?;
    let wait = routing::CompleteWorkRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        agent_id: owner.clone(),
        ticket_id: ticket_id.to_owned(),
        outcome: events::WorkOutcome::Pending.into(),
        note: String::new(),
    };
    call!(api, routing.complete_work, wait).await?;
    let pending = |ticket: &intake::Ticket| ticket.status() == TicketStatus::Pending;
    ticket_when(api, workspace, ticket_id, "it is pending", pending).await?;
    call!(api, intake.add_message, say(events::AuthorKind::EndUser, "", ANSWER)).await?;
    let back = |ticket: &intake::Ticket| {
        ticket.status() == TicketStatus::Open
            && ticket.agent_id == owner
            && ticket.message_count == 3
    };
    ticket_when(api, workspace, ticket_id, "it is the owner's again", back).await?;
    Ok(())
}

async fn finish(api: &Api, workspace: &str, ticket_id: &str) -> anyhow::Result<()> {
    let owner = ticket(api, workspace, ticket_id).await?.agent_id;
    let complete = routing::CompleteWorkRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        agent_id: owner.clone(),
        ticket_id: ticket_id.to_owned(),
        outcome: events::WorkOutcome::Resolved.into(),
        note: "done".to_owned(),
    };
    call!(api, routing.complete_work, complete).await?;
    let resolved = |ticket: &intake::Ticket| ticket.status() == TicketStatus::Resolved;
    ticket_when(api, workspace, ticket_id, "it is resolved", resolved).await?;
    let get = routing::GetAgentRequest { workspace_id: workspace.to_owned(), agent_id: owner };
    let agent = call!(api, routing.get_agent, get).await?.agent.context("no agent")?;
    ensure!(agent.used_units == 0, "{} units are still held", agent.used_units);
    Ok(())
}

/// The clocks are met, the timeline is whole, everyone was told once.
async fn look_back(
    api: &Api,
    workspace: &str,
    ticket_id: &str,
    receiver: &Receiver,
) -> anyhow::Result<()> {
    let get = || sla::GetClocksRequest {
        workspace_id: workspace.to_owned(),
        ticket_id: ticket_id.to_owned(),
    };
    until("three clocks are met", || async {
        let clocks = call!(api, sla.get_clocks, get()).await?.clocks;
        let met = clocks.iter().filter(|clock| clock.state() == sla::ClockState::Met);
        Ok((met.filter(|clock| clock.target.is_some()).count() == 3).then_some(()))
    })
    .await?;
    let list = || notify::ListDeliveriesRequest {
        workspace_id: workspace.to_owned(),
        ticket_id: ticket_id.to_owned(),
        ..Default::default()
    };
    let deliveries = until("all deliveries are made", || async {
        let deliveries = call!(api, notify.list_deliveries, list()).await?.deliveries;
        let made =
            |delivery: &notify::Delivery| delivery.state() == notify::DeliveryState::Delivered;
        let kinds: BTreeSet<_> =
            deliveries.iter().map(|delivery| delivery.event_type.as_str()).collect();
        let complete = HOOKED.iter().all(|kind| kinds.contains(kind));
        Ok((complete && deliveries.iter().all(made)).then(|| deliveries.clone()))
    })
    .await?;
    let received = receiver.received();
    ensure!(received.rejected == 0 && received.conflicting() == 0, "{received:?}");
    for delivery in deliveries {
        let webhook = delivery.channel() == events::NotificationChannel::Webhook;
        ensure!(
            !webhook || received.bodies.contains_key(&delivery.delivery_id),
            "never received: {delivery:?}"
        );
    }
    until("the timeline is whole", || async {
        let entries = timeline(api, workspace, ticket_id).await?;
        Ok(missing(&entries).is_empty().then_some(()))
    })
    .await?;
    let entries = timeline(api, workspace, ticket_id).await?;
    let times: Vec<_> =
        entries.iter().map(|entry| entry.occurred_at.map(|at| (at.seconds, at.nanos))).collect();
    ensure!(times.is_sorted(), "the timeline is out of order");
    Ok(())
}

fn missing(entries: &[intake::TimelineEntry]) -> Vec<&'static str> {
    let told: BTreeSet<_> =
        entries.iter().map(|entry| (entry.service, entry.event_type.as_str())).collect();
    let kinds = TOLD.iter().flat_map(|(service, kinds)| kinds.iter().map(|kind| (*service, *kind)));
    kinds.filter(|told_of| !told.contains(told_of)).map(|(_, kind)| kind).collect()
}

/// A ticket's whole timeline.
pub async fn timeline(
    api: &Api,
    workspace: &str,
    ticket_id: &str,
) -> anyhow::Result<Vec<intake::TimelineEntry>> {
    let mut entries = Vec::new();
    let mut page_token = String::new();
    loop {
        let get = intake::GetTimelineRequest {
            page_size: 20,
            page_token,
            workspace_id: workspace.to_owned(),
            ticket_id: ticket_id.to_owned(),
        };
        let page = call!(api, intake.get_timeline, get).await?;
        entries.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(entries);
        }
    }
}

/// A ticket as it stands.
pub async fn ticket(api: &Api, workspace: &str, ticket_id: &str) -> anyhow::Result<intake::Ticket> {
    let get = intake::GetTicketRequest {
        workspace_id: workspace.to_owned(),
        by: Some(intake::get_ticket_request::By::TicketId(ticket_id.to_owned())),
    };
    call!(api, intake.get_ticket, get).await?.ticket.context("no ticket")
}

/// A ticket, once something holds of it.
pub async fn ticket_when(
    api: &Api,
    workspace: &str,
    ticket_id: &str,
    what: &str,
    holds: impl Fn(&intake::Ticket) -> bool,
) -> anyhow::Result<intake::Ticket> {
    until(what, || async {
        let ticket = ticket(api, workspace, ticket_id).await?;
        Ok(Some(ticket).filter(&holds))
    })
    .await
}
