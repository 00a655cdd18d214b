//! What backends and desktops call, one call for each wish.

use std::collections::BTreeMap;

use anyhow::Result;
use wire::common::v1::{
    AttributeValue, Channel, Priority, SkillRequirement, TicketStatus, attribute_value::Kind,
};
use wire::events::v1::{AuthorKind, Requester, Visibility, WorkOutcome};
use wire::intake::v1::{
    AddMessageRequest, CloseTicketRequest, CreateTicketRequest, ReopenTicketRequest, ResumeRequest,
    SetWaitingRequest, UpdateTicketRequest,
};
use wire::routing::v1::{
    AcceptOfferRequest, CompleteWorkRequest, DeclineOfferRequest, TransferTicketRequest,
    transfer_ticket_request::To,
};

use crate::cli::Role;

use super::desk::Standing;
use super::fleet::{Fleet, timestamp};
use super::plan::{DEFAULT_QUEUE, TicketPlan, Wish};
use super::setup::WORKSPACE;

impl Wish {
    /// For messages.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Open => "opening",
            Self::Reply => "the reply",
            Self::Ask => "waiting for the customer",
            Self::Answer => "the answer",
            Self::Hold => "waiting for others",
            Self::Resume => "resuming",
            Self::Resolve => "resolving",
            Self::Reopen => "reopening",
            Self::Close => "closing",
            Self::Prioritise(_) => "the new priority",
            Self::Move(_) => "the move",
        }
    }
}

/// The agent takes it.
pub(crate) async fn accept(fleet: &Fleet, offer: &Standing, request_id: String) -> Result<()> {
    let request = AcceptOfferRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        agent_id: offer.agent.clone(),
        offer_id: offer.offer.clone(),
    };
    fleet.client(Role::Routing)?.routing().accept_offer(request).await?;
    Ok(())
}

/// The agent would rather not.
pub(crate) async fn decline(fleet: &Fleet, offer: &Standing, request_id: String) -> Result<()> {
    let request = DeclineOfferRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        agent_id: offer.agent.clone(),
        offer_id: offer.offer.clone(),
        reason: "busy with another one".to_owned(),
    };
    fleet.client(Role::Routing)?.routing().decline_offer(request).await?;
    Ok(())
}

/// The owner's question to the customer.
pub(crate) async fn ask(
    fleet: &Fleet,
    ticket: &TicketPlan,
    owner: &str,
    request_id: String,
) -> Result<()> {
    let kind = AuthorKind::Agent;
    message(fleet, ticket, kind, owner, "Could you tell us more about it?", request_id).await
}

/// Does what the file says, as `owner` where it is the owner's to do.
pub(crate) async fn fulfil(
    fleet: &Fleet,
    ticket: &TicketPlan,
    wish: &Wish,
    owner: &str,
    now_ms: i64,
    request_id: String,
) -> Result<()> {
    match wish {
        Wish::Open => open(fleet, ticket, now_ms, request_id).await,
        Wish::Reply => {
            let text = "We have it in hand.";
            message(fleet, ticket, AuthorKind::Agent, owner, text, request_id).await
        }
        Wish::Answer => {
            let text = "Here is what you asked for.";
            message(fleet, ticket, AuthorKind::EndUser, "", text, request_id).await
        }
        Wish::Ask => wait(fleet, ticket, TicketStatus::Pending, request_id).await,
        Wish::Hold => wait(fleet, ticket, TicketStatus::OnHold, request_id).await,
        Wish::Resume => resume(fleet, ticket, request_id).await,
        Wish::Resolve => resolve(fleet, ticket, owner, request_id).await,
        Wish::Reopen => reopen(fleet, ticket, request_id).await,
        Wish::Close => close(fleet, ticket, request_id).await,
        Wish::Prioritise(priority) => prioritise(fleet, ticket, *priority, request_id).await,
        Wish::Move(queue) => transfer(fleet, ticket, owner, queue, request_id).await,
    }
}

async fn open(fleet: &Fleet, ticket: &TicketPlan, now_ms: i64, request_id: String) -> Result<()> {
    let request = opening(ticket, now_ms, request_id);
    fleet.client(Role::Intake)?.intake().create_ticket(request).await?;
    Ok(())
}

/// The call that opens a ticket.
pub(crate) fn opening(ticket: &TicketPlan, now_ms: i64, request_id: String) -> CreateTicketRequest {
    let row = &ticket.first;
    let attributes: BTreeMap<String, AttributeValue> = row
        .attributes
        .iter()
        .map(|(name, text)| {
            ((*name).to_owned(), AttributeValue { kind: Some(Kind::Text(text.clone())) })
        })
        .collect();
    let skill = ticket.skill.iter();
    let caller = row.caller.clone().unwrap_or_else(|| "Unknown caller".to_owned());
    let category = row.category.clone().unwrap_or_else(|| "Something else".to_owned());
    // Without a group no filter matches, and the ticket goes to the default queue by itself.
    let queue_id = if row.group.is_none() { DEFAULT_QUEUE } else { "" };
    CreateTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        external_id: ticket.id.clone(),
        channel: Channel::Api.into(),
        provider: "servicenow".to_owned(),
        requester: Some(Requester {
            requester_id: caller.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-"),
            name: caller,
            ..Requester::default()
        }),
        subject: format!("{} ({})", category, ticket.id),
        body: "Reported by telephone; see the attributes.".to_owned(),
        priority: row.priority.into(),
        r#type: "incident".to_owned(),
        attributes,
        required_skills: skill
            .map(|(skill, min_level)| SkillRequirement {
                skill: skill.clone(),
                min_level: *min_level,
            })
            .collect(),
        queue_id: queue_id.to_owned(),
        occurred_at: Some(timestamp(now_ms)),
        ..CreateTicketRequest::default()
    }
}

async fn message(
    fleet: &Fleet,
    ticket: &TicketPlan,
    kind: AuthorKind,
    author: &str,
    body: &str,
    request_id: String,
) -> Result<()> {
    let request = AddMessageRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        author_kind: kind.into(),
        author_id: author.to_owned(),
        visibility: Visibility::Public.into(),
        body: body.to_owned(),
        ..AddMessageRequest::default()
    };
    fleet.client(Role::Intake)?.intake().add_message(request).await?;
    Ok(())
}

async fn wait(
    fleet: &Fleet,
    ticket: &TicketPlan,
    status: TicketStatus,
    request_id: String,
) -> Result<()> {
    let request = SetWaitingRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        status: status.into(),
        ..SetWaitingRequest::default()
    };
    fleet.client(Role::Intake)?.intake().set_waiting(request).await?;
    Ok(())
}

async fn resume(fleet: &Fleet, ticket: &TicketPlan, request_id: String) -> Result<()> {
    let request = ResumeRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        ..ResumeRequest::default()
    };
    fleet.client(Role::Intake)?.intake().resume(request).await?;
    Ok(())
}

async fn resolve(
    fleet: &Fleet,
    ticket: &TicketPlan,
    owner: &str,
    request_id: String,
) -> Result<()> {
    let request = CompleteWorkRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        agent_id: owner.to_owned(),
        ticket_id: ticket.id.clone(),
        outcome: WorkOutcome::Resolved.into(),
        note: String::new(),
    };
    fleet.client(Role::Routing)?.routing().complete_work(request).await?;
    Ok(())
}

async fn reopen(fleet: &Fleet, ticket: &TicketPlan, request_id: String) -> Result<()> {
    let request = ReopenTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        ..ReopenTicketRequest::default()
    };
    fleet.client(Role::Intake)?.intake().reopen_ticket(request).await?;
    Ok(())
}

async fn close(fleet: &Fleet, ticket: &TicketPlan, request_id: String) -> Result<()> {
    let request = CloseTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        ..CloseTicketRequest::default()
    };
    fleet.client(Role::Intake)?.intake().close_ticket(request).await?;
    Ok(())
}

async fn prioritise(
    fleet: &Fleet,
    ticket: &TicketPlan,
    priority: Priority,
    request_id: String,
) -> Result<()> {
    let request = UpdateTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        update_mask: Some(prost_types::FieldMask { paths: vec!["priority".to_owned()] }),
        priority: priority.into(),
        ..UpdateTicketRequest::default()
    };
    fleet.client(Role::Intake)?.intake().update_ticket(request).await?;
    Ok(())
}

async fn transfer(
    fleet: &Fleet,
    ticket: &TicketPlan,
    owner: &str,
    queue: &str,
    request_id: String,
) -> Result<()> {
    let request = TransferTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id,
        ticket_id: ticket.id.clone(),
        from_agent_id: owner.to_owned(),
        to: Some(To::QueueId(queue.to_owned())),
        note: String::new(),
    };
    fleet.client(Role::Routing)?.routing().transfer_ticket(request).await?;
    Ok(())
}
