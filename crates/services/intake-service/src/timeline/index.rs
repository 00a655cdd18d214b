//! Which facts are about which ticket.

use std::borrow::Cow;
use std::collections::HashMap;

use prost::Message;
use runtime::ServiceId;
use wire::events::v1 as stored;

use super::places::{Place, Places};
use crate::codec::is_of_ticket;

/// Places by workspace and ticket. What a service merely copies of another's facts is no part of a story.
#[derive(Debug, Default)]
pub(super) struct Index {
    workspaces: HashMap<Box<str>, HashMap<Box<str>, Places>>,
    /// The tickets of notifications that are under way, by delivery.
    deliveries: HashMap<Box<str>, Box<str>>,
}

impl Index {
    /// The places of a ticket's facts, in no particular order between logs.
    pub(super) fn places(&self, workspace: &str, ticket: &str) -> Vec<Place> {
        let tickets = self.workspaces.get(workspace);
        tickets.and_then(|tickets| tickets.get(ticket)).map(Places::all).unwrap_or_default()
    }

    /// Takes a record in. Records of one log come in order.
    pub(super) fn take(&mut self, service: ServiceId, commit: &stored::Commit) {
        for (index, event) in (0..).zip(&commit.events) {
            if let Some(ticket) = self.ticket_of(service, event) {
                let place = Place { service, seq: commit.seq, index };
                self.note(&event.workspace, &ticket, place);
            }
        }
    }

    fn note(&mut self, workspace: &str, ticket: &str, place: Place) {
        let tickets = match self.workspaces.get_mut(workspace) {
            Some(tickets) => tickets,
            None => self.workspaces.entry(workspace.into()).or_default(),
        };
        match tickets.get_mut(ticket) {
            Some(places) => places.push(place),
            None => tickets.entry(ticket.into()).or_default().push(place),
        }
    }

    /// The ticket that a fact is about. The type decides: an agent or workspace may have a ticket's id.
    fn ticket_of<'a>(
        &mut self,
        service: ServiceId,
        event: &'a stored::Event,
    ) -> Option<Cow<'a, str>> {
        let of_ticket = match service {
            ServiceId::Intake => is_of_ticket(&event.r#type),
            ServiceId::Routing => of_routing(&event.r#type),
            ServiceId::Sla => of_sla(&event.r#type),
            ServiceId::Notify => {
                return self.ticket_of_delivery(event).map(|ticket| Cow::Owned(ticket.into()));
            }
        };
        of_ticket.then_some(Cow::Borrowed(&event.entity))
    }

    fn ticket_of_delivery(&mut self, event: &stored::Event) -> Option<Box<str>> {
        match event.r#type.as_str() {
            "IntentMade" => {
                let intent = stored::IntentMade::decode(event.data.clone()).ok()?;
                if intent.ticket_id.is_empty() {
                    return None;
                }
                let ticket: Box<str> = intent.ticket_id.into();
                self.deliveries.insert(intent.delivery_id.into(), ticket.clone());
                Some(ticket)
            }
            "AttemptStarted" => {
                let attempt = stored::AttemptStarted::decode(event.data.clone()).ok()?;
                self.deliveries.get(attempt.delivery_id.as_str()).cloned()
            }
            "AttemptEnded" => {
                let attempt = stored::AttemptEnded::decode(event.data.clone()).ok()?;
                if attempt.outcome() == stored::AttemptOutcome::Failed {
                    return self.deliveries.get(attempt.delivery_id.as_str()).cloned();
                }
                self.deliveries.remove(attempt.delivery_id.as_str())
            }
            _ => None,
        }
    }
}

fn of_routing(event_type: &str) -> bool {
    matches!(
        event_type,
        "TicketQueued"
            | "WorkReprioritised"
            | "OfferMade"
            | "OfferAccepted"
            | "OfferDeclined"
            | "OfferExpired"
            | "OfferRescinded"
            | "TicketAssigned"
            | "WorkStateChanged"
            | "WorkCompleted"
            | "TicketRequeued"
            | "TicketTransferred"
            | "WorkEnded"
    )
}

fn of_sla(event_type: &str) -> bool {
    event_type.starts_with("Clock") || event_type == "BreachRetracted"
}

#[cfg(test)]
mod tests {
    use event_log::Seq;

    use super::*;

    fn event(event_type: &str, entity: &str, data: &impl Message) -> stored::Event {
        stored::Event {
            r#type: event_type.into(),
            workspace: "acme".into(),
            entity: entity.into(),
            data: data.encode_to_vec().into(),
            ..stored::Event::default()
        }
    }

    fn commit(seq: Seq, events: Vec<stored::Event>) -> stored::Commit {
        stored::Commit { seq, events, ..stored::Commit::default() }
    }

    #[test]
    fn an_agent_with_a_tickets_id_is_not_its_story() {
        let mut index = Index::default();
        let agent = event("AgentPut", "t", &stored::AgentPut::default());
        let offer = event("OfferMade", "t", &stored::OfferMade::default());
        index.take(ServiceId::Routing, &commit(5, vec![agent, offer]));
        let place = Place { service: ServiceId::Routing, seq: 5, index: 1 };
        assert_eq!(index.places("acme", "t"), [place]);
        assert!(index.places("other", "t").is_empty());
    }

    #[test]
    fn a_delivery_belongs_to_its_intents_ticket_until_it_ends() {
        let (ticket_id, delivery_id) = ("t".to_owned(), "d".to_owned());
        let intent = stored::IntentMade {
            ticket_id,
            delivery_id: delivery_id.clone(),
            ..stored::IntentMade::default()
        };
        let ended = |outcome: stored::AttemptOutcome| stored::AttemptEnded {
            delivery_id: delivery_id.clone(),
            outcome: outcome.into(),
            ..stored::AttemptEnded::default()
        };
        let mut index = Index::default();
        let events = vec![
            event("IntentMade", "d", &intent),
            event("AttemptEnded", "d", &ended(stored::AttemptOutcome::Failed)),
            event("AttemptEnded", "d", &ended(stored::AttemptOutcome::Delivered)),
        ];
        index.take(ServiceId::Notify, &commit(2, events));
        assert_eq!(index.places("acme", "t").len(), 3);
        assert!(index.deliveries.is_empty());
    }
}
