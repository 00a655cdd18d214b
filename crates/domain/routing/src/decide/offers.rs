//! Offers: taken, refused, or missed.

use kernel::{AgentId, OfferId, TicketId};

use super::{Answer, Facts, Scene};
use crate::Rejection;
use crate::event::Event;
use crate::state::{Offer, offer_number};
use crate::words::OfferEnd;

/// What a call about an offer finds.
enum Found<'a> {
    Live(&'a Offer),
    /// It ended just as this agent now wishes.
    AsWished,
}

pub(super) fn accept(scene: Scene<'_>, agent: &AgentId, id: &OfferId) -> Answer {
    let offer = match find(scene, agent, id, OfferEnd::Accepted)? {
        Found::Live(offer) => offer,
        Found::AsWished => return Ok(Vec::new()),
    };
    let mut draft = scene.draft();
    let (offer_id, ticket) = (id.clone(), offer.ticket.clone());
    draft.ticket(
        &offer.ticket,
        Event::OfferAccepted { offer: offer_id, ticket, agent: agent.clone(), automatic: false },
    );
    Ok(draft.done())
}

pub(super) fn decline(scene: Scene<'_>, agent: &AgentId, id: &OfferId, reason: String) -> Answer {
    let offer = match find(scene, agent, id, OfferEnd::Declined)? {
        Found::Live(offer) => offer,
        Found::AsWished => return Ok(Vec::new()),
    };
    let mut draft = scene.draft();
    let (offer_id, ticket) = (id.clone(), offer.ticket.clone());
    draft.ticket(
        &offer.ticket,
        Event::OfferDeclined { offer: offer_id, ticket, agent: agent.clone(), reason },
    );
    Ok(draft.done())
}

fn find<'a>(
    scene: Scene<'a>,
    agent: &AgentId,
    id: &OfferId,
    wished: OfferEnd,
) -> Result<Found<'a>, Rejection> {
    let workspace = scene.workspace;
    let made = |number: &u64| (1..=workspace.last_offer).contains(number);
    let number = offer_number(id).filter(made);
    let number = number.ok_or_else(|| Rejection::OfferNotFound(id.clone()))?;
    if let Some(offer) = workspace.offers.get(&number) {
        return if offer.agent != *agent {
            Err(Rejection::OfferOfAnotherAgent(id.clone()))
        } else if scene.context.at > offer.accept_by {
            // The timer is about to say so.
            Err(Rejection::OfferExpired(id.clone()))
        } else {
            Ok(Found::Live(offer))
        };
    }
    match workspace.ended_offers.get(&number) {
        Some(ended) if ended.agent != *agent => Err(Rejection::OfferOfAnotherAgent(id.clone())),
        Some(ended) if ended.end == wished => Ok(Found::AsWished),
        Some(ended) if ended.end == OfferEnd::Expired => Err(Rejection::OfferExpired(id.clone())),
        Some(ended) => Err(Rejection::OfferNotLive(id.clone(), Some(ended.end))),
        None => Err(Rejection::OfferNotLive(id.clone(), None)),
    }
}

pub(super) fn expire(scene: Scene<'_>, id: &OfferId) -> Facts {
    let mut draft = scene.draft();
    let live = offer_number(id).and_then(|number| scene.workspace.offers.get(&number));
    if let Some(offer) = live.filter(|offer| scene.context.at > offer.accept_by) {
        let (ticket, agent) = (offer.ticket.clone(), offer.agent.clone());
        draft.ticket(&offer.ticket, Event::OfferExpired { offer: id.clone(), ticket, agent });
    }
    draft.done()
}

pub(super) fn end_cooldown(scene: Scene<'_>, id: &TicketId, agent: AgentId) -> Facts {
    let mut draft = scene.draft();
    let until = scene.workspace.ticket(id).and_then(|ticket| ticket.cooldowns.get(&agent));
    if until.is_some_and(|until| scene.context.at >= *until) {
        draft.ticket(id, Event::CooldownEnded { ticket: id.clone(), agent });
    }
    draft.done()
}
