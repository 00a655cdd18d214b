//! What running servers say of themselves, beside what the logs hold.

use std::time::Duration;

use anyhow::Result;
use runtime::{Health, ServiceId};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wire::admin::v1::{GetStatusRequest, PartitionStatus};

use super::stored::Tails;
use super::{Page, advice};
use crate::client::Client;

const DEADLINE: Duration = Duration::from_secs(15);
/// A partition that is so many records behind is not merely busy.
const LAG_MAX: u64 = 10_000;

/// Asks one server.
pub(super) async fn look(address: &str, tails: &Tails, page: &mut Page) {
    match ask(address).await {
        Ok((serving, partitions)) => {
            if serving {
                page.ok(address, "serves", "it is healthy");
            } else {
                page.wrong(address, "serves", "it is not serving", advice::SERVER);
            }
            for status in &partitions {
                partition(address, status, tails, page);
            }
        }
        Err(error) => page.wrong(address, "reachable", format!("{error:#}"), advice::SERVER),
    }
}

/// What to do about a partition that doesn't answer, for this reason.
fn advised(reason: &str) -> &'static str {
    let is = |health: Health| health.reason() == reason;
    if is(Health::LogUnavailable) {
        advice::UNREACHABLE
    } else if is(Health::LogFull) {
        advice::FULL
    } else if is(Health::Starting) || is(Health::SteppedDown) || is(Health::Draining) {
        advice::SERVER
    } else if reason.contains("--accept-loss") {
        advice::LOST
    } else {
        advice::HISTORY
    }
}

async fn ask(address: &str) -> Result<(bool, Vec<PartitionStatus>)> {
    let client = Client::connect(address, DEADLINE).await?;
    let request = HealthCheckRequest { service: String::new() };
    let health = HealthClient::new(client.channel()).check(request).await?.into_inner().status();
    let request = GetStatusRequest { include_state_hash: false };
    let status = client.status().get_status(request).await?.into_inner();
    Ok((health == ServingStatus::Serving, status.partitions))
}

fn partition(address: &str, status: &PartitionStatus, tails: &Tails, page: &mut Page) {
    let Some(position) = &status.position else { return };
    let Some(service) = ServiceId::from_wire(position.service()) else { return };
    let subject = format!("{service}/{} at {address}", position.partition);
    if status.ready || status.standby {
        let role = if status.ready { "leads" } else { "stands by" };
        page.ok(&subject, "answers", format!("{role} at record {}", position.seq));
    } else {
        page.wrong(&subject, "answers", &status.reason, advised(&status.reason));
    }
    let tail = u16::try_from(position.partition).ok().and_then(|at| tails.get(&(service, at)));
    if let Some(tail) = tail {
        // The logs were looked at first, so a server that is ahead of them is as it should be, unless it doesn't lead.
        let behind = tail.last.saturating_sub(position.seq);
        if behind > LAG_MAX {
            let finding = format!("it is {behind} records behind its log");
            page.wrong(&subject, "up to date", finding, advice::SERVER);
        }
    }
    if status.lag_records > LAG_MAX {
        let finding = format!("{} records of its inputs wait", status.lag_records);
        page.wrong(&subject, "up to date", finding, advice::SERVER);
    }
    if status.parked > 0 {
        let finding = format!("{} inputs are set aside", status.parked);
        page.wrong(&subject, "inputs", finding, advice::PARKED);
    }
    if !status.time_doubt.is_empty() {
        page.wrong(&subject, "time", &status.time_doubt, advice::CLOCK);
    }
    for violated in &status.violations {
        let finding = format!("{} was violated {} times", violated.invariant, violated.count);
        page.wrong(&subject, "invariants", finding, advice::INVARIANTS);
    }
    if !status.snapshot_problem.is_empty() {
        page.wrong(&subject, "snapshots", &status.snapshot_problem, advice::SNAPSHOTS);
    }
}
