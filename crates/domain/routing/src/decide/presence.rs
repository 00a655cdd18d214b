//! Presence: who is there, and what happens to the work of those who are not.

use kernel::{AgentId, TicketId};

use super::{Answer, Draft, Facts, Scene, Way};
use crate::event::Event;
use crate::state::{Agent, Place};
use crate::words::{Presence, RequeueReason, RescindReason};
use crate::{GRACE_MS, REQUEUED_AT_ONCE};

pub(super) fn set(scene: Scene<'_>, id: &AgentId, presence: Presence, lease_ms: u64) -> Answer {
    let agent = scene.agent(id)?;
    let until = (lease_ms > 0).then(|| scene.context.at.plus_millis(lease_ms));
    // Who never had a presence is offline already, but nobody has said so yet.
    let said = agent.absent_since.is_some() || !agent.presence.is_absent();
    if said && agent.presence == presence && agent.lease_until == until {
        return Ok(Vec::new());
    }
    let mut draft = scene.draft();
    draft.agent(id, Event::PresenceSet { agent: id.clone(), presence, lease_ms });
    if presence.is_absent() {
        rescind_all(&mut draft, agent);
    }
    Ok(draft.done())
}

/// A heartbeat is in nobody's state but the leader's memory, so this trusts whoever keeps the time: it only looks
/// whether the lease would have ended without one.
pub(super) fn expire(scene: Scene<'_>, id: &AgentId) -> Facts {
    let Some(agent) = scene.workspace.agents.get(id) else { return Vec::new() };
    if agent.lease_until.is_none_or(|until| until > scene.context.at) {
        return Vec::new();
    }
    let mut draft = scene.draft();
    draft.agent(id, Event::PresenceExpired { agent: id.clone() });
    rescind_all(&mut draft, agent);
    draft.done()
}

fn rescind_all(draft: &mut Draft<'_>, agent: &Agent) {
    let offers = &draft.scene.workspace.offers;
    for offer in agent.offers.iter().filter_map(|number| offers.get(number)) {
        draft.rescind(&offer.ticket, RescindReason::AgentAbsent);
    }
}

/// The owner stayed away: what came back to it in the meantime waits again, some of it at once. While some is left this
/// stays due.
pub(super) fn end_grace(scene: Scene<'_>, id: &AgentId) -> Facts {
    let Some(agent) = scene.workspace.agents.get(id) else { return Vec::new() };
    let over = |since: kernel::Timestamp| scene.context.at > since.plus_millis(GRACE_MS);
    if !agent.absent_since.is_some_and(over) {
        return Vec::new();
    }
    let mut draft = scene.draft();
    let owned = |ticket: &&TicketId| {
        let place = scene.workspace.ticket(ticket).map(|ticket| &ticket.place);
        matches!(place, Some(Place::Owned { agent, .. }) if agent == id)
    };
    for ticket in agent.awaiting.iter().filter(owned).take(REQUEUED_AT_ONCE) {
        draft.requeue(ticket, Some(id.clone()), Way::back(RequeueReason::OwnerAbsent));
    }
    draft.done()
}
