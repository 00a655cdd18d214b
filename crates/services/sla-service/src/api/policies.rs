//! Policies as they are asked for and shown.

use std::time::Duration;

use kernel::{PolicyId, Priority, WorkspaceId};
use rules::TICKET;
use service_kit::convert::{millis_to_wire, priority_from_wire, priority_to_wire};
use service_kit::filter::{compile_filter, filter_text};
use service_kit::{Fields, Refusal, Size};
use sla::{Command, Metric, Policy, PolicyDraft, Targets};
use wire::common::v1 as common;
use wire::events::v1::ClockMetric;
use wire::sla::v1 as wire_sla;

use crate::codec::metric_to_wire;

/// At most one target per metric and priority.
const TARGETS_MAX: usize = 16;
/// How many times a policy may warn.
const WARNINGS_MAX: usize = 10;
const TARGET_MIN: Duration = Duration::from_secs(1);
const TARGET_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Which policy a request is about.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) workspace: WorkspaceId,
    pub(super) policy: PolicyId,
}

/// Reads a request; every field that can't be used is named.
pub(super) fn parse(request: &wire_sla::PutPolicyRequest) -> Result<(Named, Command), Refusal> {
    let mut fields = Fields::new();
    let workspace: WorkspaceId = fields.id("workspace_id", &request.workspace_id);
    fields.request_id(&request.request_id);
    fields.require(request.policy.is_some(), "policy", "must be set");
    let asked = request.policy.clone().unwrap_or_default();
    let policy = if request.policy.is_some() {
        fields.id("policy.policy_id", &asked.policy_id)
    } else {
        PolicyId::trusted("")
    };
    let name = Size::Chars(0..=200);
    let filter = Size::Chars(0..=rules::LENGTH_MAX);
    let filter = fields.block("policy.filter", &asked.filter, filter);
    let mut draft = PolicyDraft {
        policy: policy.clone(),
        display_name: fields.line("policy.display_name", &asked.display_name, name),
        order: asked.order,
        filter: None,
        targets: targets(&mut fields, &asked.targets),
        warn_at_permille: warnings(&mut fields, &asked.warn_at_permille),
    };
    fields.finish()?;
    draft.filter = compile_filter("policy.filter", filter.trim(), TICKET)?;
    let expected_revision = Some(request.expected_revision).filter(|revision| *revision > 0);
    let command = Command::PutPolicy { policy: Box::new(draft), expected_revision };
    Ok((Named { workspace, policy }, command))
}

fn targets(fields: &mut Fields, targets: &[wire_sla::PolicyTarget]) -> Targets {
    let field = "policy.targets";
    let count = fields.count(field, targets.len(), TARGETS_MAX);
    let mut taken = Targets::new();
    for (index, target) in targets.iter().take(count).enumerate() {
        let at = |name: &str| format!("{field}[{index}].{name}");
        let metric: ClockMetric = fields.required(at("metric"), target.metric);
        let priority: common::Priority = fields.required(at("priority"), target.priority);
        fields.require(target.within.is_some(), at("within"), "must be set");
        let within = fields.duration(at("within"), target.within.as_ref(), TARGET_MIN..=TARGET_MAX);
        let (Some(metric), Some(priority), Some(within)) =
            (metric_from_wire(metric), priority_from_wire(priority), within)
        else {
            continue;
        };
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let twice = taken.insert((metric, priority), within_ms).is_some();
        let complaint = "must not repeat a metric and priority";
        fields.require(!twice, format!("{field}[{index}]"), complaint);
    }
    taken
}

fn warnings(fields: &mut Fields, parts: &[u32]) -> Vec<u16> {
    let field = "policy.warn_at_permille";
    let count = fields.count(field, parts.len(), WARNINGS_MAX);
    let mut taken = Vec::new();
    for (index, part) in parts.iter().take(count).enumerate() {
        match u16::try_from(*part) {
            Ok(part @ 1..=999) => taken.push(part),
            Ok(_) | Err(_) => fields.refuse(format!("{field}[{index}]"), "must be 1 to 999"),
        }
    }
    taken
}

const fn metric_from_wire(metric: ClockMetric) -> Option<Metric> {
    match metric {
        ClockMetric::Unspecified => None,
        ClockMetric::FirstReply => Some(Metric::FirstReply),
        ClockMetric::NextReply => Some(Metric::NextReply),
        ClockMetric::RequesterWait => Some(Metric::RequesterWait),
        ClockMetric::TotalResolution => Some(Metric::TotalResolution),
    }
}

/// Where a policy stands in the list of all: bytes that sort as the policies do.
pub(super) fn place(policy: &Policy) -> Vec<u8> {
    // With its sign turned over, a number sorts by its bytes.
    let order = policy.spec.order.cast_unsigned() ^ (1 << 31);
    let mut place = order.to_be_bytes().to_vec();
    place.extend_from_slice(policy.spec.policy.as_str().as_bytes());
    place
}

/// A policy for the wire.
pub(super) fn render(policy: &Policy) -> wire_sla::Policy {
    let spec = &policy.spec;
    let target =
        |(&(metric, priority), within): (&(Metric, Priority), &u64)| wire_sla::PolicyTarget {
            metric: metric_to_wire(metric).into(),
            priority: priority_to_wire(Some(priority)).into(),
            within: Some(millis_to_wire(*within)),
        };
    wire_sla::Policy {
        policy_id: spec.policy.to_string(),
        display_name: spec.display_name.clone(),
        order: spec.order,
        filter: filter_text(spec.filter.as_ref()),
        targets: spec.targets.iter().map(target).collect(),
        warn_at_permille: spec.warn_at_permille.iter().map(|part| u32::from(*part)).collect(),
        revision: policy.revision,
    }
}
