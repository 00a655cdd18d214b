//! Rules and templates that don't compile, or that could be costly.

use tonic::Code;
use wire::events::v1 as events;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

use crate::bad_input::rig::{Refusal, Rig, WORKSPACE, refused};

fn queue(filter: &str) -> routing::PutQueueRequest {
    routing::PutQueueRequest {
        workspace_id: WORKSPACE.to_owned(),
        queue: Some(routing::Queue {
            queue_id: "new".to_owned(),
            filter: filter.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn policy(filter: &str) -> sla::PutPolicyRequest {
    sla::PutPolicyRequest {
        workspace_id: WORKSPACE.to_owned(),
        policy: Some(sla::Policy {
            policy_id: "new".to_owned(),
            filter: filter.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn rule(filter: &str, template: &str) -> notify::PutRuleRequest {
    notify::PutRuleRequest {
        workspace_id: WORKSPACE.to_owned(),
        rule: Some(notify::Rule {
            rule_id: "new".to_owned(),
            event_types: vec!["TicketOpened".to_owned()],
            filter: filter.to_owned(),
            channel: events::NotificationChannel::InApp.into(),
            recipients: vec!["all".to_owned()],
            template: template.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn of<'a>(reason: &'a str, fields: &'a [&'a str]) -> Refusal<'a> {
    Refusal { code: Code::InvalidArgument, reason, fields }
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_and_templates() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let invalid = "EXPRESSION_INVALID";
    for filter in ["ticket.type ==", "ticket.type = \"a\"", "]["] {
        refused!(rig, routing.put_queue, queue(filter), of(invalid, &["queue.filter"]));
        refused!(rig, sla.put_policy, policy(filter), of(invalid, &["policy.filter"]));
        refused!(rig, notify.put_rule, rule(filter, ""), of(invalid, &["rule.filter"]));
    }
    let costly = "EXPRESSION_TOO_COSTLY";
    let nested = "[1, 2].all(a, [1, 2].all(b, [1, 2].all(c, a + b + c > 0)))";
    let long_list = format!("{} in [{}]", 1, vec!["1"; 101].join(", "));
    let over_map = "ticket.attributes.all(name, name != \"\")";
    for filter in [nested, &long_list, over_map] {
        refused!(rig, routing.put_queue, queue(filter), of(costly, &["queue.filter"]));
        refused!(rig, sla.put_policy, policy(filter), of(costly, &["policy.filter"]));
    }
    for filter in [nested, &long_list] {
        refused!(rig, notify.put_rule, rule(filter, ""), of(costly, &["rule.filter"]));
    }
    for template in ["{{ ticket.number", "{% for a in b %}", "{{ ticket.nothing_like_this }}"] {
        let expected = of("TEMPLATE_INVALID", &["rule.template"]);
        refused!(rig, notify.put_rule, rule("", template), expected);
    }
    rig.stack.stop().await
}
