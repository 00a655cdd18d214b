//! Those who come: what they want, and how they go about it.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use runtime::ServiceId;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;

use crate::chaos::asking::{self, change};
use crate::chaos::caller::Manner;
use crate::chaos::history::Look;
use crate::chaos::rng::Rng;
use crate::chaos::workload::{Known, PATIENCE, RECENT, Shared};

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish {
    Ticket,
    Message,
    Look,
    Agent,
    Policy,
    Endpoint,
    /// What the contract refuses.
    Wrong,
}

/// Out of 100.
const WISHES: [(Wish, usize); 7] = [
    (Wish::Ticket, 32),
    (Wish::Message, 22),
    (Wish::Look, 12),
    (Wish::Agent, 10),
    (Wish::Policy, 10),
    (Wish::Endpoint, 10),
    (Wish::Wrong, 4),
];

pub(crate) fn wish(rng: &mut Rng) -> Wish {
    let mut drawn = rng.below(100);
    for (wish, share) in WISHES {
        if drawn < share {
            return wish;
        }
        drawn -= share;
    }
    Wish::Ticket
}

pub(crate) fn manner(rng: &mut Rng) -> Manner {
    let is_patient = rng.percent(88);
    let patience = if is_patient { PATIENCE } else { Duration::ZERO };
    Manner { patience, is_doubled: rng.percent(6), only: None }
}

/// One who comes with a wish.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) shared: Arc<Shared>,
    pub(crate) wish: Wish,
    pub(crate) manner: Manner,
    pub(crate) workspace: &'static str,
    pub(crate) which: usize,
    pub(crate) with_position: bool,
    pub(crate) number: usize,
}

impl Visit {
    fn known(&self) -> Option<Known> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(self.which % recent.len().max(1)).cloned()
    }

    pub(crate) async fn run(self) {
        let Self { shared, manner, workspace, number, .. } = &self;
        let (caller, manner) = (&shared.caller, *manner);
        let name = format!("{workspace}-{number}");
        match (self.wish, self.known()) {
            (Wish::Message, Some(known)) => {
                let body = format!("message {number}");
                let asked = asking::message(known.workspace, &known.ticket_id, &body);
                change!(caller, manner, intake.add_message, asked).await;
            }
            (Wish::Look, Some(known)) => self.look(&known).await,
            (Wish::Agent, _) => {
                let asked = asking::agent(workspace, &name);
                change!(caller, manner, routing.put_agent, asked).await;
            }
            (Wish::Policy, _) => {
                let asked = asking::policy(workspace, &name);
                change!(caller, manner, sla.put_policy, asked).await;
            }
            (Wish::Endpoint, _) => {
                let asked = asking::endpoint(workspace, &name);
                change!(caller, manner, notify.put_endpoint, asked).await;
            }
            (Wish::Wrong, known) => self.wrong(known).await,
            (Wish::Ticket | Wish::Message | Wish::Look, _) => {
                self.open(&name).await;
            }
        }
    }

    async fn open(&self, ticket_id: &str) {
        let asked = asking::ticket(self.workspace, ticket_id);
        let opened = change!(self.shared.caller, self.manner, intake.create_ticket, asked).await;
        let Some((_, position)) = opened else { return };
        let known = Known { workspace: self.workspace, ticket_id: ticket_id.to_owned(), position };
        let mut recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() < RECENT {
            recent.push(known);
        } else if let Some(place) = recent.get_mut(self.which) {
            *place = known;
        }
    }

    /// A message for a ticket that isn't there, or a ticket under an id that is taken.
    async fn wrong(&self, known: Option<Known>) {
        let (caller, manner) = (&self.shared.caller, self.manner);
        match known {
            Some(known) if self.with_position => {
                let bare = asking::ticket(known.workspace, &known.ticket_id).bare;
                // The same id with another content: the mark is of its own, and must not be found.
                let mut asked = asking::wrong(asking::ticket(known.workspace, &known.ticket_id));
                asked.bare =
                    intake::CreateTicketRequest { subject: format!("not {}", self.number), ..bare };
                asked.message = intake::CreateTicketRequest {
                    request_id: asked.request_id.clone(),
                    ..asked.bare.clone()
                };
                asked.effect.mark = format!("never {}", self.number);
                change!(caller, manner, intake.create_ticket, asked).await;
            }
            Some(_) | None => {
                let nobody = format!("nobody-{}", self.number);
                let body = format!("message {}", self.number);
                let asked = asking::wrong(asking::message(self.workspace, &nobody, &body));
                change!(caller, manner, intake.add_message, asked).await;
            }
        }
    }

    /// Looks at a ticket: at intake with or without the position, at routing with it.
    async fn look(&self, known: &Known) {
        let caller = &self.shared.caller;
        let position = self.with_position.then_some(known.position);
        let is_derived = self.with_position && self.number.is_multiple_of(2);
        let began = caller.recorder.moment();
        let (workspace_id, ticket_id) = (known.workspace.to_owned(), known.ticket_id.clone());
        let (service, read) = if is_derived {
            let asked = routing::ExplainRoutingRequest { workspace_id, ticket_id };
            let read = caller.read(&asked, self.manner, position, |api, request| {
                let mut client = api.routing;
                async move { client.explain_routing(request).await }
            });
            // It isn't routed any more once it is resolved, but was heard of.
            let found = read.await.map(|read| match read {
                Err(reason) => reason == "TICKET_NOT_ROUTABLE",
                Ok(_) => true,
            });
            (ServiceId::Routing, found)
        } else {
            let by = Some(intake::get_ticket_request::By::TicketId(ticket_id));
            let asked = intake::GetTicketRequest { workspace_id, by };
            let read = caller.read(&asked, self.manner, position, |api, request| {
                let mut client = api.intake;
                async move { client.get_ticket(request).await }
            });
            (ServiceId::Intake, read.await.map(|read| read.is_ok()))
        };
        let ticket = known.ticket_id.clone();
        let with_position = self.with_position;
        caller.recorder.look(Look { service, ticket, with_position, began, found: read });
    }
}
