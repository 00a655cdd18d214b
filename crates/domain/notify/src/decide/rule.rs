//! Rules: made and changed, and refused if they can't be meant.

use kernel::Context;

use super::{Answer, check_revision, check_room, fact};
use crate::state::{NOTICES_MAX, RULES_MAX};
use crate::{Event, PutRule, Rejection, Rule, RulePut, STEPS_MAX_TYPE, Template, Way, Workspace};

pub(super) fn put(workspace: &Workspace, context: &Context, put: PutRule) -> Answer {
    let old = workspace.rule(&put.rule);
    if old.is_some_and(|old| is_same(old, &put)) {
        return Ok(Vec::new());
    }
    let template = check(workspace, &put)?;
    let version = old.map_or(0, |old| old.version);
    check_revision(put.expected_revision, version.into())?;
    if old.is_none() {
        check_room(workspace.rule_count(), RULES_MAX)?;
    }
    check_filters(workspace, &put)?;
    check_notices(workspace, &put)?;
    let event = RulePut {
        rule: put.rule,
        version: version.saturating_add(1),
        event_types: put.event_types,
        filter: put.filter,
        way: put.way,
        template,
        disabled: put.disabled,
    };
    let (entity, revision) = (event.rule.to_string(), event.version.into());
    Ok(vec![fact(context, &entity, revision, Event::RulePut(event))])
}

fn check(workspace: &Workspace, put: &PutRule) -> Result<Option<Template>, Rejection> {
    if let Way::Webhook(endpoint) = &put.way
        && workspace.endpoint(endpoint).is_none()
    {
        return Err(Rejection::EndpointUnknown(endpoint.clone()));
    }
    template(workspace, put)
}

/// The template, checked; none: the rule has none. What a disabled rule says costs nothing, but is checked all the
/// same.
fn template(workspace: &Workspace, put: &PutRule) -> Result<Option<Template>, Rejection> {
    if put.template.is_empty() {
        return Ok(None);
    }
    let checked = Template::check(&put.template, &put.fields);
    let template = checked.map_err(|error| Rejection::TemplateInvalid(error.to_string()))?;
    let others = |event_type: &String| {
        let others = workspace.rules_about(event_type).filter(|(id, _)| **id != put.rule);
        others.map(|(_, rule)| rule.template_steps()).fold(0, u64::saturating_add)
    };
    let most = put.event_types.iter().map(others).max().unwrap_or(0);
    if !put.disabled && most.saturating_add(template.steps()) > STEPS_MAX_TYPE {
        return Err(Rejection::TemplatesTooCostly { steps: template.steps(), others: most });
    }
    Ok(Some(template))
}

/// A disabled rule's filter is never evaluated, so it takes nothing.
fn check_filters(workspace: &Workspace, put: &PutRule) -> Result<(), Rejection> {
    let enabled = |rule: &&Rule| !rule.disabled;
    let old = workspace.rule(&put.rule).filter(enabled);
    let filter = put.filter.as_ref().filter(|_| !put.disabled);
    let others = workspace.rules_beside(&put.rule).filter(enabled);
    let others = others.filter_map(|rule| rule.filter.as_ref());
    Ok(rules::check_budget(filter, old.and_then(|old| old.filter.as_ref()), others)?)
}

/// Whether the rules about an event would tell more than one record holds.
fn check_notices(workspace: &Workspace, put: &PutRule) -> Result<(), Rejection> {
    if put.disabled {
        return Ok(());
    }
    let others = |event_type: &String| {
        let others = workspace.rules_about(event_type).filter(|(id, _)| **id != put.rule);
        others.map(|(_, rule)| notices(&rule.way)).fold(0, usize::saturating_add)
    };
    let most = put.event_types.iter().map(others).max().unwrap_or(0);
    check_room(most.saturating_add(notices(&put.way)).saturating_sub(1), NOTICES_MAX)
}

/// How many notifications a rule makes of one event at most.
fn notices(way: &Way) -> usize {
    match way {
        Way::Webhook(_) => 1,
        Way::InApp(recipients) => recipients.len(),
    }
}

fn is_same(old: &Rule, put: &PutRule) -> bool {
    old.event_types == put.event_types
        && old.filter == put.filter
        && old.way == put.way
        && old.template_source() == put.template
        && old.disabled == put.disabled
}
