//! `PutRule`.

use std::collections::BTreeSet;

use kernel::{EndpointId, RuleId, WorkspaceId};
use notify::{FILTER_NAMES, PutRule, Recipient, State, TEMPLATE_MAX, Way};
use rules::LENGTH_MAX;
use service_kit::filter::compile_filter;
use service_kit::{Fields, Refusal, Size};
use wire::events::v1::NotificationChannel;
use wire::notify::v1::{PutRuleRequest, PutRuleResponse, Rule};

use crate::fields;

/// How many event types a rule is about at most.
const TYPES_MAX: usize = 50;
/// How many recipients a rule tells at most.
const RECIPIENTS_MAX: usize = 50;

pub(super) fn parse(request: &PutRuleRequest) -> Result<(WorkspaceId, PutRule), Refusal> {
    let mut fields = Fields::new();
    let workspace = fields.id("workspace_id", &request.workspace_id);
    fields.request_id(&request.request_id);
    let unset = Rule::default();
    let rule = request.rule.as_ref().unwrap_or(&unset);
    fields.require(request.rule.is_some(), "rule", "must be set");
    let event_types = event_types(&mut fields, &rule.event_types);
    let filter = fields.block("rule.filter", &rule.filter, Size::Chars(0..=LENGTH_MAX));
    let mut put = PutRule {
        rule: fields.id("rule.rule_id", &rule.rule_id),
        fields: fields::shapes(&event_types),
        event_types,
        filter: None,
        way: way(&mut fields, rule),
        template: fields.block("rule.template", &rule.template, Size::Bytes(0..=TEMPLATE_MAX)),
        disabled: rule.disabled,
        expected_revision: request.expected_revision,
    };
    fields.finish()?;
    put.filter = compile_filter("rule.filter", &filter, FILTER_NAMES)?;
    Ok((workspace, put))
}

fn event_types(fields: &mut Fields, types: &[String]) -> Vec<String> {
    fields.require(!types.is_empty(), "rule.event_types", "must not be empty");
    let count = fields.count("rule.event_types", types.len(), TYPES_MAX);
    let mut taken = Vec::new();
    for (index, event_type) in types.iter().take(count).enumerate() {
        let field = format!("rule.event_types[{index}]");
        let twice = taken.contains(event_type);
        fields.require(fields::is_event(event_type), field.as_str(), "must be a type of event");
        fields.require(!twice, field, "must not be named twice");
        taken.push(event_type.clone());
    }
    taken
}

/// The channel decides which of the two is required; the other must not be set.
fn way(fields: &mut Fields, rule: &Rule) -> Way {
    let channel: NotificationChannel = fields.required("rule.channel", rule.channel);
    match channel {
        NotificationChannel::InApp => {
            let none = rule.endpoint_id.is_empty();
            fields.require(none, "rule.endpoint_id", "must be empty for this channel");
            Way::InApp(recipients(fields, &rule.recipients))
        }
        NotificationChannel::Webhook => {
            let none = rule.recipients.is_empty();
            fields.require(none, "rule.recipients", "must be empty for this channel");
            Way::Webhook(fields.id("rule.endpoint_id", &rule.endpoint_id))
        }
        // Refused above; nobody gets to use it.
        NotificationChannel::Unspecified => Way::Webhook(EndpointId::trusted("")),
    }
}

fn recipients(fields: &mut Fields, recipients: &[String]) -> Vec<Recipient> {
    fields.require(!recipients.is_empty(), "rule.recipients", "must not be empty");
    let count = fields.count("rule.recipients", recipients.len(), RECIPIENTS_MAX);
    let numbered = recipients.iter().take(count).enumerate();
    let parsed: Vec<_> = numbered
        .filter_map(|(index, text)| {
            fields.take(format!("rule.recipients[{index}]"), Recipient::parse(text))
        })
        .collect();
    let distinct: BTreeSet<_> = parsed.iter().collect();
    let once = distinct.len() == parsed.len();
    fields.require(once, "rule.recipients", "must not name a recipient twice");
    parsed
}

pub(super) fn reply(state: &State, workspace: &WorkspaceId, rule: &RuleId) -> PutRuleResponse {
    let rule = state.workspace(workspace).and_then(|it| it.rule(rule));
    PutRuleResponse { revision: rule.map_or(0, |rule| rule.version.into()), ..Default::default() }
}
