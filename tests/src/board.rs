//! Routing's log played by hand: a model that shares nothing with the domain's code.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use prost::Message as _;
use runtime::ServiceId;
use wire::events::v1 as events;
use wire::events::v1::{Event, WorkOutcome, WorkState};

use crate::proof::History;

/// Where routing has a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Waiting,
    Offered(String),
    Owned(String, WorkState),
    Paused,
    Ended,
}

#[derive(Debug)]
struct Work {
    cost: u32,
    place: Place,
}

impl Work {
    /// The agent whose units it holds, and how many.
    fn held(&self) -> Option<(&str, u32)> {
        match &self.place {
            Place::Offered(agent) => Some((agent, self.cost)),
            Place::Owned(agent, state) => {
                let units = match state {
                    WorkState::Pending => 0,
                    WorkState::OnHold => self.cost / 4,
                    WorkState::Active | WorkState::Unspecified => self.cost,
                };
                Some((agent, units))
            }
            Place::Waiting | Place::Paused | Place::Ended => None,
        }
    }
}

/// Routing's log, played by hand. Each step must be possible.
#[derive(Debug, Default)]
pub struct Board {
    capacity: BTreeMap<(String, String), u32>,
    work: BTreeMap<(String, String), Work>,
    /// The units that each agent holds.
    held: BTreeMap<(String, String), u32>,
    /// Offers seen, by their end.
    pub offers: BTreeMap<String, usize>,
}

impl Board {
    /// Plays the log: no offer above capacity, no ticket with two owners, each ticket queued once.
    pub fn play(history: &History) -> anyhow::Result<Self> {
        let mut board = Self::default();
        for event in history.events(ServiceId::Routing) {
            board.step(event).with_context(|| format!("{} {}", event.r#type, event.entity))?;
        }
        Ok(board)
    }

    fn step(&mut self, event: &Event) -> anyhow::Result<()> {
        let data = event.data.as_ref();
        let workspace = &event.workspace;
        match event.r#type.as_str() {
            "AgentPut" => {
                let put = events::AgentPut::decode(data)?;
                self.capacity.insert((workspace.clone(), put.agent_id), put.capacity_units);
            }
            "TicketQueued" => {
                let queued = events::TicketQueued::decode(data)?;
                let work = Work { cost: queued.cost_units, place: Place::Waiting };
                let before = self.work.insert((workspace.clone(), queued.ticket_id), work);
                ensure!(before.is_none(), "queued twice");
            }
            kind if kind.starts_with("Offer") => {
                *self.offers.entry(event.r#type.clone()).or_default() += 1;
                self.offer(event)?;
            }
            "WorkspaceSeen" | "PresenceSet" | "PresenceExpired" | "QueuePut"
            | "WorkReprioritised" | "CooldownEnded" | "TicketTransferred" => {}
            _ => self.work(event)?,
        }
        Ok(())
    }

    /// An offer begins or ends.
    fn offer(&mut self, event: &Event) -> anyhow::Result<()> {
        let data = event.data.as_ref();
        let workspace = &event.workspace;
        match event.r#type.as_str() {
            "OfferMade" => {
                let made = events::OfferMade::decode(data)?;
                self.moved(
                    workspace,
                    &made.ticket_id,
                    Place::Offered(made.agent_id.clone()),
                    |from| *from == Place::Waiting,
                )?;
                let used = self.used(workspace, &made.agent_id);
                let agent = (workspace.clone(), made.agent_id);
                let capacity = *self.capacity.get(&agent).context("an unknown agent")?;
                ensure!(used <= capacity, "{} holds {used} of {capacity}", agent.1);
            }
            "OfferAccepted" => {
                let taken = events::OfferAccepted::decode(data)?;
                let to = Place::Owned(taken.agent_id.clone(), WorkState::Active);
                let offered = Place::Offered(taken.agent_id);
                self.moved(workspace, &taken.ticket_id, to, |from| *from == offered)?;
            }
            "OfferDeclined" => {
                let ended = events::OfferDeclined::decode(data)?;
                self.given_back(workspace, &ended.ticket_id, ended.agent_id)?;
            }
            "OfferExpired" => {
                let ended = events::OfferExpired::decode(data)?;
                self.given_back(workspace, &ended.ticket_id, ended.agent_id)?;
            }
            "OfferRescinded" => {
                let ended = events::OfferRescinded::decode(data)?;
                self.given_back(workspace, &ended.ticket_id, ended.agent_id)?;
            }
            other => bail!("an event that this model doesn't know: {other}"),
        }
        Ok(())
    }

    /// Work begins, waits, goes on or ends.
    fn work(&mut self, event: &Event) -> anyhow::Result<()> {
        let data = event.data.as_ref();
        let workspace = &event.workspace;
        match event.r#type.as_str() {
            "TicketAssigned" => {
                let assigned = events::TicketAssigned::decode(data)?;
                let agent = assigned.agent_id;
                let by_hand = assigned.how != "returned";
                let to = Place::Owned(agent.clone(), WorkState::Active);
                self.moved(workspace, &assigned.ticket_id, to, |from| match from {
                    Place::Owned(owner, _) => *owner == agent || by_hand,
                    Place::Waiting | Place::Offered(_) | Place::Paused | Place::Ended => true,
                })?;
            }
            "WorkStateChanged" => {
                let changed = events::WorkStateChanged::decode(data)?;
                let state = changed.state();
                let owner = changed.agent_id;
                let to = match (owner.is_empty(), state) {
                    (false, state) => Place::Owned(owner.clone(), state),
                    (true, WorkState::Active) => Place::Waiting,
                    (true, _) => Place::Paused,
                };
                self.moved(workspace, &changed.ticket_id, to, |from| match from {
                    Place::Owned(before, _) => *before == owner,
                    Place::Waiting | Place::Offered(_) | Place::Paused => owner.is_empty(),
                    Place::Ended => false,
                })?;
            }
            "WorkCompleted" => {
                let done = events::WorkCompleted::decode(data)?;
                let owner = done.agent_id.clone();
                let to = match done.outcome() {
                    WorkOutcome::Resolved => Place::Ended,
                    WorkOutcome::Pending => Place::Owned(owner.clone(), WorkState::Pending),
                    WorkOutcome::OnHold => Place::Owned(owner.clone(), WorkState::OnHold),
                    WorkOutcome::Requeue | WorkOutcome::Unspecified => {
                        Place::Owned(owner.clone(), WorkState::Active)
                    }
                };
                self.moved(
                    workspace,
                    &done.ticket_id,
                    to,
                    |from| matches!(from, Place::Owned(agent, _) if *agent == owner),
                )?;
            }
            "TicketRequeued" => {
                let requeued = events::TicketRequeued::decode(data)?;
                let paused = self.place(workspace, &requeued.ticket_id)? == &Place::Paused;
                let to = if paused { Place::Paused } else { Place::Waiting };
                self.moved(workspace, &requeued.ticket_id, to, |_| true)?;
            }
            "WorkEnded" => {
                let ended = events::WorkEnded::decode(data)?;
                self.moved(workspace, &ended.ticket_id, Place::Ended, |_| true)?;
            }
            other => bail!("an event that this model doesn't know: {other}"),
        }
        Ok(())
    }

    fn given_back(&mut self, workspace: &str, ticket: &str, agent: String) -> anyhow::Result<()> {
        let offered = Place::Offered(agent);
        self.moved(workspace, ticket, Place::Waiting, |from| *from == offered)
    }

    pub(crate) fn place(&self, workspace: &str, ticket: &str) -> anyhow::Result<&Place> {
        let work = self.work.get(&(workspace.to_owned(), ticket.to_owned()));
        work.map(|work| &work.place).context("a ticket that was never queued")
    }

    fn moved(
        &mut self,
        workspace: &str,
        ticket: &str,
        to: Place,
        possible: impl Fn(&Place) -> bool,
    ) -> anyhow::Result<()> {
        let work = self.work.get_mut(&(workspace.to_owned(), ticket.to_owned()));
        let work = work.context("a ticket that was never queued")?;
        ensure!(possible(&work.place), "from {:?} to {to:?}", work.place);
        let of = |agent: &str| (workspace.to_owned(), agent.to_owned());
        if let Some((agent, units)) = work.held() {
            let held = self.held.get_mut(&of(agent)).context("it held nothing")?;
            *held = held.checked_sub(units).context("it held less")?;
        }
        work.place = to;
        if let Some((agent, units)) = work.held() {
            *self.held.entry(of(agent)).or_default() += units;
        }
        Ok(())
    }

    fn used(&self, workspace: &str, agent: &str) -> u32 {
        let of = (workspace.to_owned(), agent.to_owned());
        self.held.get(&of).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<M: prost::Message>(kind: &str, entity: &str, payload: &M) -> Event {
        Event {
            r#type: kind.to_owned(),
            workspace: "w".to_owned(),
            entity: entity.to_owned(),
            data: payload.encode_to_vec().into(),
            ..Default::default()
        }
    }

    fn agent(id: &str, capacity_units: u32) -> Event {
        let put =
            events::AgentPut { agent_id: id.to_owned(), capacity_units, ..Default::default() };
        event("AgentPut", id, &put)
    }

    fn queued(ticket: &str) -> Event {
        let queued = events::TicketQueued {
            ticket_id: ticket.to_owned(),
            cost_units: 60,
            ..Default::default()
        };
        event("TicketQueued", ticket, &queued)
    }

    fn offer(ticket: &str, agent: &str) -> Event {
        let made = events::OfferMade {
            ticket_id: ticket.to_owned(),
            agent_id: agent.to_owned(),
            ..Default::default()
        };
        event("OfferMade", ticket, &made)
    }

    fn accepted(ticket: &str, agent: &str) -> Event {
        let accepted = events::OfferAccepted {
            ticket_id: ticket.to_owned(),
            agent_id: agent.to_owned(),
            ..Default::default()
        };
        event("OfferAccepted", ticket, &accepted)
    }

    fn play(events: &[Event]) -> Result<(), String> {
        let mut board = Board::default();
        events.iter().try_for_each(|event| board.step(event)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_model_finds_what_it_looks_for() {
        let good =
            [agent("a", 100), agent("b", 100), queued("1"), offer("1", "a"), accepted("1", "a")];
        assert_eq!(play(&good), Ok(()));
        let with = |more: &[Event]| play(&[&good, more].concat());
        assert_eq!(with(&[queued("1")]), Err("queued twice".to_owned()));
        let above = with(&[queued("2"), offer("2", "a")]);
        assert_eq!(above, Err("a holds 120 of 100".to_owned()));
        assert!(with(&[offer("1", "b")]).is_err(), "an owned ticket is not offered");
        assert!(with(&[accepted("1", "b")]).is_err(), "nor accepted by another");
        assert!(with(&[queued("2"), accepted("2", "b")]).is_err(), "nor without an offer");
        assert_eq!(with(&[queued("2"), offer("2", "b"), accepted("2", "b")]), Ok(()));
    }
}
