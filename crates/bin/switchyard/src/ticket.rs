//! `switchyard ticket`: open, show and answer tickets.

mod args;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use wire::common::v1::{
    AttributeValue, Channel, Priority, Service, SkillRequirement, TicketStatus, attribute_value,
};
use wire::events::v1::{Requester, Visibility};
use wire::intake::v1::{
    AddMessageRequest, CreateTicketRequest, GetTicketRequest, GetTimelineRequest,
    GetTimelineResponse, ListTicketsRequest, ListTicketsResponse, ResolveTicketRequest, Ticket,
    get_ticket_request::By,
};

use crate::cli::Target;
use crate::out;

use args::{Create, List, One, Reply, Resolve};
pub(crate) use args::{TicketCommand, skill_level};

/// Runs one of the commands.
pub(crate) async fn run(command: TicketCommand) -> Result<()> {
    match command {
        TicketCommand::Create(create) => self::create(*create).await,
        TicketCommand::Get(one) => {
            let ticket = find(&one.target, &one.ticket).await?;
            print_ticket(&one.target, &ticket)
        }
        TicketCommand::List(list) => self::list(list).await,
        TicketCommand::Timeline(one) => timeline(one).await,
        TicketCommand::Reply(reply) => self::reply(reply).await,
        TicketCommand::Resolve(resolve) => self::resolve(resolve).await,
    }
}

/// A new request id.
pub(crate) fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Looks a ticket up by number, if the text is one, else by id.
async fn find(target: &Target, text: &str) -> Result<Ticket> {
    let by = match text.trim_start_matches('#').parse() {
        Ok(number) => By::Number(number),
        Err(_) => By::TicketId(text.to_owned()),
    };
    let request = GetTicketRequest { workspace_id: target.workspace.clone(), by: Some(by) };
    let reply = target.connect().await?.intake().get_ticket(request).await?.into_inner();
    reply.ticket.context("the reply has no ticket")
}

async fn create(create: Create) -> Result<()> {
    let attributes: BTreeMap<String, AttributeValue> = create
        .attributes
        .into_iter()
        .map(|(name, text)| {
            (name, AttributeValue { kind: Some(attribute_value::Kind::Text(text)) })
        })
        .collect();
    let required_skills = create
        .skills
        .into_iter()
        .map(|(skill, min_level)| SkillRequirement { skill, min_level })
        .collect();
    let request = CreateTicketRequest {
        workspace_id: create.target.workspace.clone(),
        request_id: create.request_id.unwrap_or_else(request_id),
        external_id: create.external_id,
        channel: create.channel.wire().into(),
        requester: Some(Requester {
            requester_id: create.requester,
            name: create.requester_name,
            ..Requester::default()
        }),
        body: create.body.unwrap_or_else(|| create.subject.clone()),
        subject: create.subject,
        priority: create.priority.unwrap_or(Priority::Unspecified.into()),
        tags: create.tags,
        attributes,
        required_skills,
        queue_id: create.queue,
        ..CreateTicketRequest::default()
    };
    let client = create.target.connect().await?;
    let reply = client.intake().create_ticket(request).await?.into_inner();
    let name = "switchyard.intake.v1.CreateTicketResponse";
    out::reply(create.target.output, name, &reply, |reply| {
        format!("ticket #{} opened: {}", reply.number, reply.ticket_id)
    })
}

async fn list(list: List) -> Result<()> {
    let request = ListTicketsRequest {
        page_size: list.limit,
        workspace_id: list.target.workspace.clone(),
        statuses: list.statuses.into_iter().map(i32::from).collect(),
        requester_id: list.requester,
        queue_id: list.queue,
        tag: list.tag,
        agent_id: list.agent,
        ..ListTicketsRequest::default()
    };
    let reply = list.target.connect().await?.intake().list_tickets(request).await?.into_inner();
    let name = "switchyard.intake.v1.ListTicketsResponse";
    out::reply(list.target.output, name, &reply, tickets)
}

async fn timeline(one: One) -> Result<()> {
    let ticket = find(&one.target, &one.ticket).await?;
    let client = one.target.connect().await?;
    let mut all = GetTimelineResponse::default();
    loop {
        let request = GetTimelineRequest {
            page_token: std::mem::take(&mut all.next_page_token),
            workspace_id: one.target.workspace.clone(),
            ticket_id: ticket.ticket_id.clone(),
            ..GetTimelineRequest::default()
        };
        let page = client.intake().get_timeline(request).await?.into_inner();
        all.entries.extend(page.entries);
        all.trimmed = page.trimmed;
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    out::reply(one.target.output, "switchyard.intake.v1.GetTimelineResponse", &all, |all| {
        let mut table = out::table(["when", "service", "what", "who", "in words"]);
        for entry in &all.entries {
            table.add_row([
                out::instant(entry.occurred_at),
                out::word::<Service>(entry.service, "SERVICE_"),
                entry.event_type.clone(),
                entry.actor.clone(),
                entry.summary.clone(),
            ]);
        }
        let lines = all.trimmed.iter().map(|part| {
            let service = out::word::<Service>(part.service, "SERVICE_");
            format!(
                "steps may be missing: {service}'s log was trimmed up to record {}",
                part.upto_seq
            )
        });
        lines.chain([table.to_string()]).collect::<Vec<_>>().join("\n")
    })
}

async fn reply(reply: Reply) -> Result<()> {
    let ticket = find(&reply.target, &reply.ticket).await?;
    let (kind, author_id) = reply.author;
    let visibility = if reply.internal { Visibility::Internal } else { Visibility::Public };
    let request = AddMessageRequest {
        workspace_id: reply.target.workspace.clone(),
        request_id: request_id(),
        ticket_id: ticket.ticket_id,
        author_kind: kind.into(),
        author_id,
        visibility: visibility.into(),
        body: reply.body,
        ..AddMessageRequest::default()
    };
    let answer = reply.target.connect().await?.intake().add_message(request).await?.into_inner();
    let name = "switchyard.intake.v1.AddMessageResponse";
    out::reply(reply.target.output, name, &answer, |answer| {
        format!("message {} added to ticket {}", answer.message_id, answer.ticket_id)
    })
}

async fn resolve(resolve: Resolve) -> Result<()> {
    let ticket = find(&resolve.target, &resolve.ticket).await?;
    let request = ResolveTicketRequest {
        workspace_id: resolve.target.workspace.clone(),
        request_id: request_id(),
        ticket_id: ticket.ticket_id.clone(),
        reason: resolve.reason,
        ..ResolveTicketRequest::default()
    };
    let client = resolve.target.connect().await?;
    let reply = client.intake().resolve_ticket(request).await?.into_inner();
    let name = "switchyard.intake.v1.ResolveTicketResponse";
    out::reply(resolve.target.output, name, &reply, |_| {
        format!("ticket #{} resolved", ticket.number)
    })
}

fn print_ticket(target: &Target, ticket: &Ticket) -> Result<()> {
    out::reply(target.output, "switchyard.intake.v1.Ticket", ticket, |ticket| {
        let mut table = out::table(["field", "value"]);
        let requester = ticket.requester.clone().unwrap_or_default();
        let rows = [
            ("number", format!("#{}", ticket.number)),
            ("id", ticket.ticket_id.clone()),
            ("subject", ticket.subject.clone()),
            ("status", status_word(ticket)),
            ("priority", out::word::<Priority>(ticket.priority, "PRIORITY_")),
            ("channel", out::word::<Channel>(ticket.channel, "CHANNEL_")),
            ("requester", format!("{} {}", requester.requester_id, requester.name)),
            ("queue", ticket.queue_id.clone()),
            ("agent", ticket.agent_id.clone()),
            ("tags", ticket.tags.join(", ")),
            ("messages", ticket.message_count.to_string()),
            ("opened", out::instant(ticket.opened_at)),
            ("updated", out::instant(ticket.updated_at)),
            ("revision", ticket.revision.to_string()),
        ];
        for (field, value) in rows {
            table.add_row([field.to_owned(), value]);
        }
        table.to_string()
    })
}

fn tickets(reply: &ListTicketsResponse) -> String {
    let mut table = out::table(["number", "status", "priority", "queue", "agent", "subject", "id"]);
    for ticket in &reply.tickets {
        table.add_row([
            format!("#{}", ticket.number),
            status_word(ticket),
            out::word::<Priority>(ticket.priority, "PRIORITY_"),
            ticket.queue_id.clone(),
            ticket.agent_id.clone(),
            ticket.subject.clone(),
            ticket.ticket_id.clone(),
        ]);
    }
    table.to_string()
}

fn status_word(ticket: &Ticket) -> String {
    out::word::<TicketStatus>(ticket.status, "TICKET_STATUS_")
}
