//! The contract's words as people say them.

use wire::common::v1 as common;
use wire::events::v1 as stored;

pub(super) fn or_nobody(agent: &str) -> &str {
    if agent.is_empty() { "nobody" } else { agent }
}

/// The reason behind a colon, if there is one. Callers' reasons are of one line.
pub(super) fn reason(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// A span in whole minutes, or seconds below one minute.
pub(super) fn minutes(millis: u64) -> String {
    match millis / 1000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

pub(super) fn status(status: common::TicketStatus) -> &'static str {
    match status {
        common::TicketStatus::Unspecified => "unknown",
        common::TicketStatus::New => "new",
        common::TicketStatus::Open => "open",
        common::TicketStatus::Pending => "pending",
        common::TicketStatus::OnHold => "on hold",
        common::TicketStatus::Resolved => "resolved",
        common::TicketStatus::Closed => "closed",
    }
}

pub(super) fn priority(priority: common::Priority) -> &'static str {
    match priority {
        common::Priority::Unspecified => "none",
        common::Priority::P1 => "P1",
        common::Priority::P2 => "P2",
        common::Priority::P3 => "P3",
        common::Priority::P4 => "P4",
    }
}

pub(super) fn channel(channel: common::Channel) -> &'static str {
    match channel {
        common::Channel::Unspecified => "an unknown channel",
        common::Channel::Voice => "voice",
        common::Channel::Chat => "chat",
        common::Channel::Messenger => "messenger",
        common::Channel::Sms => "SMS",
        common::Channel::Social => "social network",
        common::Channel::Email => "e-mail",
        common::Channel::WebForm => "web form",
        common::Channel::Api => "API",
    }
}

pub(super) fn work_state(state: stored::WorkState) -> &'static str {
    match state {
        stored::WorkState::Unspecified => "unknown",
        stored::WorkState::Active => "works on it",
        stored::WorkState::Pending => "waits on the customer",
        stored::WorkState::OnHold => "waits on others",
    }
}

pub(super) fn work_outcome(outcome: stored::WorkOutcome) -> &'static str {
    match outcome {
        stored::WorkOutcome::Unspecified => "unknown",
        stored::WorkOutcome::Resolved => "resolved",
        stored::WorkOutcome::Pending => "waits on the customer",
        stored::WorkOutcome::OnHold => "waits on others",
        stored::WorkOutcome::Requeue => "someone else must go on",
    }
}

pub(super) fn metric(metric: stored::ClockMetric) -> &'static str {
    match metric {
        stored::ClockMetric::Unspecified => "a promise",
        stored::ClockMetric::FirstReply => "first reply",
        stored::ClockMetric::NextReply => "next reply",
        stored::ClockMetric::RequesterWait => "the customer's wait",
        stored::ClockMetric::TotalResolution => "resolution",
    }
}

pub(super) fn attempt_outcome(outcome: stored::AttemptOutcome) -> &'static str {
    match outcome {
        stored::AttemptOutcome::Unspecified | stored::AttemptOutcome::Unknown => {
            "of unknown outcome"
        }
        stored::AttemptOutcome::Delivered => "delivered",
        stored::AttemptOutcome::Failed => "failed for now",
        stored::AttemptOutcome::PermanentlyFailed => "failed for good",
    }
}
