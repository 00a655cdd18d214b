//! Scenarios of the rules, and what holds for every history.

mod scenarios;
mod stubs;
mod properties;

use kernel::{
    Actor, Attributes, Channel, Context, MessageId, Priority, RequesterId, TicketId, Timestamp,
    WorkspaceId,
};

use crate::Command;
use crate::command::{AddMessage, CreateTicket, Move, PutWorkspace, Step};
use crate::event::{AuthorKind, Event, Requester, StatusChanged, Visibility};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn at(millis: u64) -> Context {
    Context {
        workspace: WorkspaceId::trusted("acme"),
        at: Timestamp::from_millis(1_700_000_000_000).plus_millis(millis),
        actor: Actor::Backend,
        record: 2,
    }
}

fn put(default_priority: Option<Priority>) -> Command {
    Command::PutWorkspace(PutWorkspace {
        display_name: "Acme".into(),
        default_priority,
        expected: None,
    })
}

fn new_ticket(id: &str) -> CreateTicket {
    CreateTicket {
        ticket: TicketId::trusted(id),
        message: MessageId::trusted("m-1"),
        external_id: None,
        channel: Channel::Email,
        provider: "".into(),
        requester: Requester {
            id: RequesterId::trusted("rita"),
            name: "Rita".into(),
            addresses: Box::default(),
            locale: "de-AT".into(),
        },
        subject: "It does not start".into(),
        body: "Since yesterday.".into(),
        priority: None,
        kind: "".into(),
        tags: vec!["b".into(), "a".into(), "b".into()],
        attributes: Attributes::default(),
        required_skills: Box::default(),
        queue: None,
        occurred_at: None,
    }
}

fn create(id: &str) -> Command {
    Command::CreateTicket(Box::new(new_ticket(id)))
}

fn message(author_kind: AuthorKind, visibility: Visibility) -> AddMessage {
    AddMessage {
        ticket: TicketId::trusted("t"),
        message: MessageId::trusted("m-2"),
        follow_up: TicketId::trusted("t-2"),
        author_kind,
        author: "".into(),
        visibility,
        body: "Hello?".into(),
        occurred_at: None,
        expected: None,
    }
}

fn say(author_kind: AuthorKind, visibility: Visibility) -> Command {
    Command::AddMessage(Box::new(message(author_kind, visibility)))
}

fn step(step: Step) -> Command {
    Command::Move(Move {
        ticket: TicketId::trusted("t"),
        step,
        reason: "because".into(),
        expected: None,
        occurred_at: None,
    })
}

fn moves(events: &[Event]) -> Vec<(&'static str, &'static str, &str)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::StatusChanged(StatusChanged { from, to, reason, .. }) => {
                Some((from.as_str(), to.as_str(), &**reason))
            }
            Event::WorkspacePut(_)
            | Event::TicketOpened(_)
            | Event::MessageAdded(_)
            | Event::TicketUpdated(_)
            | Event::OwnerChanged(_) => None,
        })
        .collect()
}
