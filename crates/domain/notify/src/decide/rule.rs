//! Rules: made and changed, and refused if they can't be meant.

use kernel::Context;
use rules::RuleError;

use super::{Answer, check_revision, check_room, fact};
use crate::state::RULES_MAX;
use crate::{Event, PutRule, Rejection, Rule, RulePut, Way, Workspace, template};

pub(super) fn put(workspace: &Workspace, context: &Context, put: PutRule) -> Answer {
    let old = workspace.rule(&put.rule);
    if old.is_some_and(|old| is_same(old, &put)) {
        return Ok(Vec::new());
    }
    check(workspace, &put)?;
    let version = old.map_or(0, |old| old.version);
    check_revision(put.expected_revision, version.into())?;
    if old.is_none() {
        check_room(workspace.rule_count(), RULES_MAX)?;
    }
    let event = RulePut {
        rule: put.rule,
        version: version.saturating_add(1),
        event_types: put.event_types,
        filter: put.filter,
        way: put.way,
        template: put.template,
        disabled: put.disabled,
    };
    let (entity, revision) = (event.rule.to_string(), event.version.into());
    Ok(vec![fact(context, &entity, revision, Event::RulePut(event))])
}

fn check(workspace: &Workspace, put: &PutRule) -> Result<(), Rejection> {
    if let Way::Webhook(endpoint) = &put.way
        && workspace.endpoint(endpoint).is_none()
    {
        return Err(Rejection::EndpointUnknown(endpoint.clone()));
    }
    if !put.filter.is_empty() {
        rules::Rule::compile(&put.filter, &["event", "ticket"]).map_err(|error| match error {
            RuleError::Invalid(text) => Rejection::FilterInvalid(text),
            RuleError::TooCostly { limit } => Rejection::FilterTooCostly(limit),
        })?;
    }
    template::check(&put.template, &put.names).map_err(Rejection::TemplateInvalid)
}

fn is_same(old: &Rule, put: &PutRule) -> bool {
    let filter = old.filter.as_ref().map_or("", |filter| filter.source());
    old.event_types == put.event_types
        && filter == put.filter
        && old.way == put.way
        && old.template == put.template
        && old.disabled == put.disabled
}
