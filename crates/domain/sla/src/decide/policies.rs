//! Policies, and their way through the tickets.

use std::ops::Bound;
use std::sync::Arc;

use kernel::{Context, Fact, TicketId};
use rules::check_budget;

use super::{Decision, Draft};
use crate::{
    Event, POLICIES_MAX, PolicyDraft, PolicySpec, Rejection, SWEEP_RULE_STEPS_MAX,
    SWEEP_TICKETS_MAX, Workspace,
};

/// Knows the workspace.
pub(super) fn note_workspace(known: Option<&Workspace>, context: &Context) -> Vec<Fact<Event>> {
    match known {
        Some(space) if space.revision > 0 => Vec::new(),
        Some(_) | None => {
            let event = Event::WorkspaceNoted(context.workspace.clone());
            vec![of_workspace(context, 1, event)]
        }
    }
}

fn of_workspace(context: &Context, revision: u64, event: Event) -> Fact<Event> {
    Fact {
        workspace: context.workspace.clone(),
        entity: (&context.workspace).into(),
        revision,
        at: context.at,
        actor: context.actor.clone(),
        event,
    }
}

/// Makes or changes a policy.
pub(super) fn put(
    known: Option<&Workspace>,
    context: &Context,
    draft: PolicyDraft,
    expected_revision: Option<u64>,
) -> Decision {
    let space = known.ok_or_else(|| Rejection::UnknownWorkspace(context.workspace.clone()))?;
    let old = space.policy(&draft.policy);
    let actual = old.map_or(0, |policy| policy.revision);
    if let Some(expected) = expected_revision.filter(|expected| *expected != actual) {
        return Err(Rejection::RevisionMismatch { expected, actual });
    }
    if old.is_none() && space.policies.len() >= POLICIES_MAX {
        return Err(Rejection::TooManyPolicies);
    }
    let spec = spec_of(draft);
    if old.is_some_and(|policy| policy.spec == spec) {
        return Ok(Vec::new());
    }
    check_budget(
        spec.filter.as_ref(),
        old.and_then(|policy| policy.spec.filter.as_ref()),
        space.filters_beside(&spec.policy),
    )?;
    Ok(vec![Fact {
        workspace: context.workspace.clone(),
        entity: (&spec.policy).into(),
        revision: actual.saturating_add(1),
        at: context.at,
        actor: context.actor.clone(),
        event: Event::PolicyPut(Box::new(spec)),
    }])
}

fn spec_of(draft: PolicyDraft) -> PolicySpec {
    let mut parts = draft.warn_at_permille;
    parts.sort_unstable();
    parts.dedup();
    PolicySpec {
        policy: draft.policy,
        display_name: draft.display_name,
        order: draft.order,
        filter: draft.filter,
        targets: draft.targets,
        warn_at_permille: Arc::from(parts),
    }
}

/// What an evaluation takes beside the steps of its rule, in such steps.
const EVALUATION_STEPS: u64 = 100;

/// A step of the sweep: lets the next tickets follow the policies as they are, and says how far it has come.
pub(super) fn apply(space: &Workspace, context: &Context) -> Vec<Fact<Event>> {
    let Some(sweep) = &space.sweep else { return Vec::new() };
    let behind = (sweep.goes_on_behind(), Bound::Unbounded);
    let left = space.open.range::<TicketId, _>(behind).take_while(|id| sweep.is_at(id));
    let (mut left, mut facts, mut through) = (left.peekable(), Vec::new(), None);
    for id in left.by_ref().take(tickets_at_once(space)) {
        through = Some(id.clone());
        if let Some(ticket) = space.ticket(id) {
            let mut draft = Draft::begin(space, context, id.clone(), ticket.clone());
            draft.follow_policies(sweep.at);
            facts.extend(draft.facts());
        }
    }
    let ends = left.peek().is_none();
    let done = ends && sweep.is_last_half();
    if ends && !done {
        through = None;
    }
    let event = Event::PoliciesApplied { through, done };
    facts.push(of_workspace(context, space.revision.saturating_add(1), event));
    facts
}

/// How many tickets one step takes: many where looking for a ticket's policy costs little.
fn tickets_at_once(space: &Workspace) -> usize {
    let filters = space.policies().filter_map(|policy| policy.spec.filter.as_ref());
    let steps: u64 = filters.map(|filter| u64::from(filter.steps()) + EVALUATION_STEPS).sum();
    let tickets = SWEEP_RULE_STEPS_MAX.checked_div(steps).map(usize::try_from);
    tickets.and_then(Result::ok).unwrap_or(SWEEP_TICKETS_MAX).clamp(1, SWEEP_TICKETS_MAX)
}
