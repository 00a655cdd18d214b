//! A ticket as it stands, and what is left of it long after its end.

use std::borrow::Cow;

use kernel::{
    AgentId, Attributes, Channel, Packed, Priority, QueueId, RequesterId, SkillRequirement,
    TicketId, TicketStatus, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::event::{Requester, TicketOpened};

/// A ticket as it stands, without what was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The ticket.
    pub id: TicketId,
    /// 1, 2, 3… per workspace.
    pub number: u64,
    /// Where it is in its life.
    pub status: TicketStatus,
    /// How it came.
    pub channel: Channel,
    /// Who asks.
    pub requester: RequesterId,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Its type; may be empty.
    pub kind: Box<str>,
    /// Its tags, sorted.
    pub tags: Box<[Box<str>]>,
    /// Its queue; before routing has chosen, the one asked for.
    pub queue: Option<QueueId>,
    /// Its owner. Stays after the end, for whom to thank or to ask again.
    pub agent: Option<AgentId>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was closed, while it is.
    pub closed_at: Option<Timestamp>,
    /// How many messages it has, the first included.
    pub message_count: u32,
    /// 1..n.
    pub revision: u64,
    /// True: it was closed for so long that only a stub is kept, without tags, attributes, required skills and owner.
    pub is_stub: bool,
    /// The rest, which is read with the whole ticket only: in parts it would take most of a ticket's memory.
    details: Packed<Details<'static>>,
}

/// What of a ticket no rule or list looks at by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Details<'a> {
    /// The caller's own id.
    pub external_id: Option<Cow<'a, str>>,
    /// Who carried it; may be empty.
    pub provider: Cow<'a, str>,
    /// What it is about.
    pub subject: Cow<'a, str>,
    /// The requester's name; may be empty.
    pub requester_name: Cow<'a, str>,
    /// The requester's addresses, numbers, handles.
    pub addresses: Cow<'a, [Box<str>]>,
    /// The requester's language.
    pub locale: Cow<'a, str>,
    /// Its attributes.
    pub attributes: Packed<Attributes>,
    /// What its agent must be able to do.
    pub required_skills: Cow<'a, [SkillRequirement]>,
    /// The closed ticket that it follows up.
    pub follows: Option<TicketId>,
}

impl<'a> Details<'a> {
    fn of(opened: &'a TicketOpened) -> Self {
        let TicketOpened { requester, .. } = opened;
        Self {
            external_id: opened.external_id.as_deref().map(Cow::Borrowed),
            provider: Cow::Borrowed(&opened.provider),
            subject: Cow::Borrowed(&opened.subject),
            requester_name: Cow::Borrowed(&requester.name),
            addresses: Cow::Borrowed(&requester.addresses),
            locale: Cow::Borrowed(&requester.locale),
            attributes: opened.attributes.clone(),
            required_skills: Cow::Borrowed(&opened.required_skills),
            follows: opened.follows.clone(),
        }
    }
}

impl Ticket {
    /// A ticket as it was opened.
    pub(crate) fn opened(opened: &TicketOpened, at: Timestamp, revision: u64) -> Self {
        Self {
            id: opened.ticket.clone(),
            number: opened.number,
            status: TicketStatus::New,
            channel: opened.channel,
            requester: opened.requester.id.clone(),
            priority: opened.priority,
            kind: opened.kind.clone(),
            tags: opened.tags.clone(),
            queue: opened.queue.clone(),
            agent: None,
            opened_at: at,
            updated_at: at,
            closed_at: None,
            message_count: 1,
            revision,
            is_stub: false,
            details: Packed::of(&Details::of(opened)),
        }
    }

    /// About how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len()).sum();
        let parts = [self.kind.len(), tags, self.details.size()];
        parts.into_iter().fold(size_of::<Self>(), usize::saturating_add)
    }

    /// What is read seldom.
    pub fn details(&self) -> Details<'static> {
        self.details.get().unwrap_or_else(|| Details {
            external_id: None,
            provider: Cow::default(),
            subject: Cow::default(),
            requester_name: Cow::default(),
            addresses: Cow::default(),
            locale: Cow::default(),
            attributes: Packed::default(),
            required_skills: Cow::default(),
            follows: None,
        })
    }

    /// Who asks, by id, name and addresses.
    pub fn requester(&self, details: &Details<'_>) -> Requester {
        Requester {
            id: self.requester.clone(),
            name: details.requester_name.as_ref().into(),
            addresses: details.addresses.as_ref().into(),
            locale: details.locale.as_ref().into(),
        }
    }

    pub(crate) fn set_attributes(&mut self, attributes: &Packed<Attributes>) {
        let details = self.details();
        let attributes = attributes.clone();
        self.details = Packed::of(&Details { attributes, ..details });
    }

    /// What is kept of it once it was closed for long: what tells whose it was and what it was about, in a fraction of
    /// the memory.
    pub(super) fn stub(&self) -> Packed<Self> {
        let details = Details {
            attributes: Packed::default(),
            required_skills: Cow::default(),
            ..self.details()
        };
        let stub = Self {
            tags: Box::default(),
            agent: None,
            is_stub: true,
            details: Packed::of(&details),
            ..self.clone()
        };
        Packed::new(&stub)
    }
}
