//! Attempts: started in the log before anything leaves, ended by what came of them.

use kernel::{Actor, Context, EndpointId, Fact};

use super::fact;
use crate::{
    AttemptEnded, AttemptResult, AttemptStarted, Delivery, EndAttempt, Endpoint, EndpointPut,
    Event, Outcome, Progress, Workspace, schedule,
};

const GONE: u16 = 410;

/// Starts what the endpoint may get now.
pub(super) fn start(
    workspace: &Workspace,
    context: &Context,
    endpoint: &EndpointId,
) -> Vec<Fact<Event>> {
    let start = |delivery: &Delivery| {
        let started = AttemptStarted {
            delivery: delivery.id.clone(),
            attempt: delivery.attempts.saturating_add(1),
        };
        let revision = delivery.revision.saturating_add(1);
        fact(context, delivery.id.as_str(), revision, Event::AttemptStarted(started))
    };
    workspace.startable(endpoint, context.at).map(start).collect()
}

/// Notes an attempt's end. One that has ended already, or that nobody knows, changes nothing.
pub(super) fn end(workspace: &Workspace, context: &Context, end: &EndAttempt) -> Vec<Fact<Event>> {
    let Some(delivery) = workspace.delivery(&end.delivery) else { return Vec::new() };
    if delivery.progress != Progress::InFlight || delivery.attempts != end.attempt {
        return Vec::new();
    }
    let Some(id) = delivery.target.endpoint() else { return Vec::new() };
    let Some(endpoint) = workspace.endpoint(id) else { return Vec::new() };
    let ended = ended(delivery, endpoint, context, &end.result);
    let gone = ended.http_status == u32::from(GONE) && !endpoint.disabled;
    let revision = delivery.revision.saturating_add(1);
    let mut facts = vec![fact(context, delivery.id.as_str(), revision, Event::AttemptEnded(ended))];
    if gone {
        facts.push(disable(id, endpoint, context));
    }
    facts
}

/// How it ended: see the crate's documentation for the table.
fn ended(
    delivery: &Delivery,
    endpoint: &Endpoint,
    context: &Context,
    result: &AttemptResult,
) -> AttemptEnded {
    let mut ended = AttemptEnded {
        delivery: delivery.id.clone(),
        attempt: delivery.attempts,
        outcome: Outcome::PermanentlyFailed,
        http_status: 0,
        error: String::new(),
        throttled_until: None,
    };
    match result {
        AttemptResult::Answered { status: status @ 200..=299, .. } => {
            ended.http_status = u32::from(*status);
            ended.outcome = Outcome::Delivered;
        }
        AttemptResult::Answered { status, retry_after_ms } => {
            ended.http_status = u32::from(*status);
            "http_status".clone_into(&mut ended.error);
            match status {
                &GONE => {}
                429 | 502 | 504 => {
                    let rest = retry_after_ms.map(schedule::rest);
                    ended.throttled_until = rest.map(|rest| context.at.plus_millis(rest));
                    ended.outcome = again(delivery, context, rest);
                }
                _ => ended.outcome = again(delivery, context, None),
            }
        }
        AttemptResult::NotSent { error } => {
            ended.error.clone_from(error);
            ended.outcome = again(delivery, context, None);
        }
        AttemptResult::Lost { error } => {
            ended.error.clone_from(error);
            ended.outcome = if endpoint.at_most_once {
                Outcome::Unknown
            } else {
                again(delivery, context, None)
            };
        }
    }
    ended
}

/// The next attempt: after the rest that the receiver asked for, else by the schedule; none after the last.
fn again(delivery: &Delivery, context: &Context, rest: Option<u64>) -> Outcome {
    schedule::delay_after(&delivery.id, delivery.attempts)
        .map_or(Outcome::PermanentlyFailed, |delay| Outcome::Failed {
            next_attempt_at: context.at.plus_millis(rest.unwrap_or(delay)),
        })
}

/// The receiver is gone for good: the endpoint gets nothing more until somebody says so.
fn disable(id: &EndpointId, endpoint: &Endpoint, context: &Context) -> Fact<Event> {
    let put = EndpointPut {
        endpoint: id.clone(),
        url: endpoint.url.clone(),
        secrets: endpoint.secrets.clone(),
        disabled: true,
        at_most_once: endpoint.at_most_once,
    };
    let revision = endpoint.revision.saturating_add(1);
    let actor = Actor::Service("notify".into());
    Fact { actor, ..fact(context, id.as_str(), revision, Event::EndpointPut(put)) }
}
