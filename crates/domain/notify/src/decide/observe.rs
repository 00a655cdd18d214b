//! Another service's event: what it teaches of its ticket, and whom it concerns.
//!
//! Inputs are read independently, so a clock may be breached before its ticket was opened, as notify sees it. Such an
//! event waits in the state, and its intents are made in the decision that learns of the ticket.

use std::collections::BTreeSet;

use kernel::{Context, Fact, TicketId};

use super::fact;
use crate::state::WAITING_MAX;
use crate::view::{View, cut};
use crate::{
    AttemptEnded, AwaitingTicket, Event, IntentMade, Observation, Observe, Outcome, Recipient,
    Rule, Target, Ticket, Way, Workspace, body, key,
};

/// How many bytes of texts one decision makes in all, beyond which each is cut to [`TEXT_LEFT`]: they stand in one
/// record, with what is said of each.
const TEXTS_MAX: usize = 64 * 1024;
/// What is left of a text that has no room.
const TEXT_LEFT: usize = 100;

type Known<'a> = Option<(&'a TicketId, &'a Ticket)>;

pub(super) fn observe(
    workspace: &Workspace,
    context: &Context,
    observe: Observe,
) -> Vec<Fact<Event>> {
    let Observe { ticket: id, change, observation } = observe;
    let mut room = TEXTS_MAX;
    let Some(id) = id else { return tell(workspace, context, &observation, None, &mut room) };
    let unknown = Ticket::default();
    let before = workspace.ticket(&id).unwrap_or(&unknown);
    let after = change.map_or_else(|| before.clone(), |change| before.changed(&change));
    let mut facts = Vec::new();
    let learnt = after.learnt(&id);
    if learnt != before.learnt(&id) {
        let revision = before.revision.saturating_add(1);
        facts.push(fact(context, id.as_str(), revision, Event::TicketLearnt(learnt)));
    }
    if after.is_known() {
        facts.extend(tell(workspace, context, &observation, Some((&id, &after)), &mut room));
        let others = before.awaiting.iter().filter(|waiting| waiting.cause != observation.cause);
        for waiting in others.filter(|_| !before.is_known()) {
            facts.extend(tell(workspace, context, waiting, Some((&id, &after)), &mut room));
        }
    } else if workspace.is_interested(&observation.event_type)
        && before.awaiting.iter().all(|waiting| waiting.cause != observation.cause)
    {
        let passed = u64::try_from(facts.len()).unwrap_or(0);
        let revision = before.revision.saturating_add(passed).saturating_add(1);
        let event = Event::AwaitingTicket(AwaitingTicket { ticket: id.clone(), observation });
        facts.push(fact(context, id.as_str(), revision, event));
    }
    facts
}

/// The intents of every rule that an event concerns.
fn tell(
    workspace: &Workspace,
    context: &Context,
    observation: &Observation,
    ticket: Known<'_>,
    room: &mut usize,
) -> Vec<Fact<Event>> {
    if !workspace.is_interested(&observation.event_type) {
        return Vec::new();
    }
    let view = View::new(observation, ticket);
    let facts = view.facts();
    let mut told = Vec::new();
    for (id, rule) in workspace.rules_about(&observation.event_type) {
        if rule.filter.as_ref().is_some_and(|filter| !filter.matches(&facts).holds()) {
            continue;
        }
        let mut text = None;
        for target in targets(workspace, rule, ticket) {
            let delivery = key::delivery_id(
                &context.workspace,
                observation.cause,
                (id, rule.version),
                &target,
            );
            if workspace.delivery(&delivery).is_some() {
                continue;
            }
            let whole = text.get_or_insert_with(|| view.text(rule.template.as_ref()));
            let text = if whole.len() <= *room { whole.clone() } else { cut(whole, TEXT_LEFT) };
            *room = room.saturating_sub(text.len());
            let body = match &target {
                Target::Webhook(_) => body::webhook(context, id, observation, ticket, &text),
                Target::InApp(_) => text,
            };
            let intent = IntentMade {
                delivery,
                rule: id.clone(),
                rule_version: rule.version,
                target,
                event_type: observation.event_type.clone(),
                ticket: ticket.map(|(id, _)| id.clone()),
                body,
            };
            told.extend(intend(workspace, context, intent));
        }
    }
    told
}

/// Where a rule's notifications go now, each once.
fn targets(workspace: &Workspace, rule: &Rule, ticket: Known<'_>) -> Vec<Target> {
    match &rule.way {
        Way::Webhook(id) => {
            let open = workspace.endpoint(id).is_some_and(|endpoint| !endpoint.disabled);
            open.then(|| Target::Webhook(id.clone())).into_iter().collect()
        }
        Way::InApp(recipients) => {
            let owner = ticket.and_then(|(_, ticket)| ticket.owner.clone());
            let resolve = |recipient: &Recipient| match recipient {
                Recipient::Owner => owner.clone().map(Recipient::Agent),
                Recipient::All | Recipient::Agent(_) | Recipient::Queue(_) => {
                    Some(recipient.clone())
                }
            };
            let distinct: BTreeSet<_> = recipients.iter().filter_map(resolve).collect();
            distinct.into_iter().map(Target::InApp).collect()
        }
    }
}

/// The intent; what is on the stream has arrived with it, and what finds its endpoint's queue full has failed, visibly.
fn intend(workspace: &Workspace, context: &Context, intent: IntentMade) -> Vec<Fact<Event>> {
    let full =
        |endpoint| workspace.endpoint(endpoint).is_some_and(|it| it.waiting_count() >= WAITING_MAX);
    let end = match &intent.target {
        Target::InApp(_) => Some((1, Outcome::Delivered, "")),
        Target::Webhook(endpoint) if full(endpoint) => {
            Some((0, Outcome::PermanentlyFailed, "queue_full"))
        }
        Target::Webhook(_) => None,
    };
    let delivery = intent.delivery.clone();
    let mut facts = vec![fact(context, delivery.as_str(), 1, Event::IntentMade(intent))];
    if let Some((attempt, outcome, error)) = end {
        let ended = AttemptEnded {
            delivery: delivery.clone(),
            attempt,
            outcome,
            http_status: 0,
            error: error.to_owned(),
            throttled_until: None,
        };
        facts.push(fact(context, delivery.as_str(), 2, Event::AttemptEnded(ended)));
    }
    facts
}
