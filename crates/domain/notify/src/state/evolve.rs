//! Facts into state. What can't be is ignored: it happened, whatever this release makes of it.

use kernel::{EndpointId, Fact, Timestamp, WorkspaceId};

use super::{Delivery, Endpoint, FINISHED_MAX, Progress, Rule, State, Workspace};
use crate::{AttemptEnded, AttemptStarted, EndpointPut, Event, IntentMade, RulePut, TicketLearnt};

pub(crate) fn evolve(state: &mut State, fact: &Fact<Event>) {
    let workspace = state.workspaces.entry(fact.workspace.clone()).or_default();
    let touched = match &fact.event {
        Event::WorkspaceSeen(_) => {
            workspace.seen = true;
            workspace.revision = fact.revision;
            None
        }
        Event::EndpointPut(put) => {
            workspace.put_endpoint(put, fact.revision);
            Some(put.endpoint.clone())
        }
        Event::RulePut(put) => {
            workspace.put_rule(put);
            None
        }
        Event::TicketLearnt(learnt) => {
            workspace.learn(learnt, fact.revision);
            None
        }
        Event::AwaitingTicket(awaiting) => {
            let ticket = workspace.tickets.entry(awaiting.ticket.clone()).or_default();
            ticket.awaiting.push(awaiting.observation.clone());
            ticket.revision = fact.revision;
            None
        }
        Event::IntentMade(intent) => workspace.make(intent, fact.at, fact.revision),
        Event::AttemptStarted(started) => {
            let endpoint = workspace.start(started, fact.revision);
            if endpoint.is_some() {
                state.in_flight.insert((fact.workspace.clone(), started.delivery.clone()));
            }
            endpoint
        }
        Event::AttemptEnded(ended) => {
            state.in_flight.remove(&(fact.workspace.clone(), ended.delivery.clone()));
            workspace.end(ended, fact.revision)
        }
    };
    if let Some(endpoint) = touched {
        reindex(state, &fact.workspace, &endpoint);
    }
}

/// Brings the indexes in line with an endpoint that may have changed.
fn reindex(state: &mut State, id: &WorkspaceId, endpoint_id: &EndpointId) {
    let Some(workspace) = state.workspaces.get_mut(id) else { return };
    let Some(endpoint) = workspace.endpoints.get_mut(endpoint_id) else { return };
    let next = endpoint.next();
    if next == endpoint.indexed {
        return;
    }
    if let Some(at) = std::mem::replace(&mut endpoint.indexed, next) {
        workspace.ready.remove(&(at, endpoint_id.clone()));
        state.due.remove(&(at, id.clone(), endpoint_id.clone()));
    }
    if let Some(at) = next {
        workspace.ready.insert((at, endpoint_id.clone()));
        state.due.insert((at, id.clone(), endpoint_id.clone()));
    }
}

impl Workspace {
    fn put_endpoint(&mut self, put: &EndpointPut, revision: u64) {
        let endpoint =
            self.endpoints.entry(put.endpoint.clone()).or_insert_with(|| Endpoint::new(put));
        endpoint.set(put, revision);
    }

    fn put_rule(&mut self, put: &RulePut) {
        if let Some(old) = self.rules.insert(put.rule.clone(), Rule::new(put)) {
            for event_type in old.event_types {
                let Some(ids) = self.by_type.get_mut(&event_type) else { continue };
                ids.remove(&put.rule);
                if ids.is_empty() {
                    self.by_type.remove(&event_type);
                }
            }
        }
        if put.disabled {
            return;
        }
        for event_type in &put.event_types {
            self.by_type.entry(event_type.clone()).or_default().insert(put.rule.clone());
        }
    }

    fn learn(&mut self, learnt: &TicketLearnt, revision: u64) {
        let id = &learnt.ticket;
        let ticket = self.tickets.entry(id.clone()).or_default();
        let before = ticket.closed_at;
        ticket.learn(learnt, revision);
        self.closed.follow(id, before, learnt.closed_at);
        // By the time that intake gave a closing, so that no ticket is forgotten whose reopening is yet to be read.
        if let Some(at) = learnt.closed_at.filter(|at| before != Some(*at)) {
            for old in self.closed.send_away(at) {
                self.tickets.remove(&old);
            }
        }
    }

    fn make(&mut self, intent: &IntentMade, at: Timestamp, revision: u64) -> Option<EndpointId> {
        if self.orders.contains_key(&intent.delivery) {
            return None;
        }
        self.made = self.made.saturating_add(1);
        self.orders.insert(intent.delivery.clone(), self.made);
        self.deliveries.insert(self.made, Delivery::made(intent, at, revision));
        let endpoint = intent.target.endpoint()?;
        self.endpoints.get_mut(endpoint)?.wait(at, self.made);
        Some(endpoint.clone())
    }

    fn start(&mut self, started: &AttemptStarted, revision: u64) -> Option<EndpointId> {
        let order = *self.orders.get(&started.delivery)?;
        let delivery = self.deliveries.get_mut(&order)?;
        let Progress::Waiting { at } = delivery.progress else { return None };
        let id = delivery.target.endpoint()?.clone();
        let endpoint = self.endpoints.get_mut(&id)?;
        endpoint.leave(at, order);
        endpoint.started();
        delivery.progress = Progress::InFlight;
        delivery.attempts = started.attempt;
        delivery.revision = revision;
        Some(id)
    }

    fn end(&mut self, ended: &AttemptEnded, revision: u64) -> Option<EndpointId> {
        let order = *self.orders.get(&ended.delivery)?;
        let delivery = self.deliveries.get_mut(&order)?;
        let before = delivery.progress;
        if before.is_over() {
            return None;
        }
        delivery.end(ended);
        delivery.revision = revision;
        let (after, id) = (delivery.progress, delivery.target.endpoint().cloned());
        self.counts.note(after);
        if after.is_over() {
            self.finish(order);
        }
        let endpoint = self.endpoints.get_mut(id.as_ref()?)?;
        match before {
            Progress::Waiting { at } => endpoint.leave(at, order),
            Progress::InFlight => endpoint.ended(ended.throttled_until),
            Progress::Delivered | Progress::PermanentlyFailed | Progress::Unknown => {}
        }
        if let Progress::Waiting { at } = after {
            endpoint.wait(at, order);
        }
        id
    }

    /// Notes that a delivery is over, and forgets the oldest beyond what is kept.
    fn finish(&mut self, order: u64) {
        self.finished.insert(order);
        while self.finished.len() > FINISHED_MAX {
            let Some(oldest) = self.finished.pop_first() else { return };
            if let Some(delivery) = self.deliveries.remove(&oldest) {
                self.orders.remove(&delivery.id);
            }
        }
    }
}
