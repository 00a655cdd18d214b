//! What came of it, asked of the services, and checked against what the driver and the receiver saw.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use prost::Message as _;
use serde::Serialize;
use tonic::Code;
use wire::admin::v1::{GetStatusRequest, ReadRequest};
use wire::common::v1::{Priority, Service, TicketStatus};
use wire::events::v1::{AttemptEnded, AttemptOutcome, Commit, IntentMade, NotificationChannel};
use wire::intake::v1::get_ticket_request::By;
use wire::intake::v1::{GetTicketRequest, Ticket};
use wire::routing::v1::ExplainRoutingRequest;
use wire::sla::v1::{ClockCounts, GetSlaStatsRequest};

use crate::cli::Role;
use crate::webhooks::Deliveries;

use super::desk::Desk;
use super::fleet::Fleet;
use super::setup::WORKSPACE;

/// The figures, with the names that `--json` prints.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) tickets_opened: u64,
    pub(crate) tickets_assigned: u64,
    pub(crate) tickets_resolved: u64,
    pub(crate) tickets_open: u64,
    pub(crate) tickets_unroutable: u64,
    pub(crate) offers_made: u64,
    pub(crate) offers_accepted: u64,
    pub(crate) offers_declined: u64,
    pub(crate) offers_expired: u64,
    pub(crate) clocks_started: u64,
    pub(crate) sla_met: u64,
    pub(crate) sla_breached: u64,
    pub(crate) sla_cancelled: u64,
    pub(crate) clocks_running: u64,
    pub(crate) notifications_delivered: u64,
    pub(crate) events: u64,
    pub(crate) records: u64,
    /// By service, then in the order of the partitions.
    pub(crate) state_hashes: BTreeMap<&'static str, Vec<String>>,
    pub(crate) wall_seconds: f64,
    pub(crate) peak_rss_mib: f64,
}

/// What the summary shows beside the figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    pub(crate) bytes: u64,
    /// Tickets by status.
    pub(crate) statuses: BTreeMap<TicketStatus, u64>,
    /// Clocks with a target, by metric and priority.
    pub(crate) clocks: Vec<ClockCounts>,
    /// Time to the first owner of each ticket that had one, sorted, in milliseconds.
    pub(crate) time_to_assign_ms: Vec<i64>,
    pub(crate) offers_rescinded: u64,
    pub(crate) in_app: u64,
}

/// Asks the services, and refuses figures that contradict one another.
pub(crate) async fn collect(
    fleet: &Fleet,
    desk: &Desk,
    received: &Deliveries,
) -> Result<(Figures, Details)> {
    let mut figures = Figures::default();
    let mut details = Details::default();
    tickets(fleet, desk, &mut figures, &mut details).await?;
    offers(desk, &mut figures, &mut details);
    clocks(fleet, &mut figures, &mut details).await?;
    logs(fleet, &mut figures, &mut details).await?;
    notifications(fleet, received, &mut figures, &mut details).await?;
    check(&figures)?;
    Ok((figures, details))
}

async fn tickets(
    fleet: &Fleet,
    desk: &Desk,
    figures: &mut Figures,
    details: &mut Details,
) -> Result<()> {
    // By number: no list has what was closed for so long that only a stub is kept.
    for number in 1.. {
        let Some(ticket) = ticket(fleet, number).await? else { break };
        figures.tickets_opened += 1;
        *details.statuses.entry(ticket.status()).or_default() += 1;
        let opened_ms =
            ticket.opened_at.map_or(0, |at| at.seconds * 1000 + i64::from(at.nanos / 1_000_000));
        if let Some(assigned_ms) = desk.first_assigned_ms().get(&ticket.ticket_id) {
            figures.tickets_assigned += 1;
            details.time_to_assign_ms.push(assigned_ms - opened_ms);
        }
        match ticket.status() {
            TicketStatus::Resolved | TicketStatus::Closed => figures.tickets_resolved += 1,
            TicketStatus::Unspecified
            | TicketStatus::New
            | TicketStatus::Open
            | TicketStatus::Pending
            | TicketStatus::OnHold => {
                if unroutable(fleet, &ticket.ticket_id).await? {
                    figures.tickets_unroutable += 1;
                } else {
                    figures.tickets_open += 1;
                }
            }
        }
    }
    details.time_to_assign_ms.sort_unstable();
    Ok(())
}

/// The ticket with this number, if there is one.
async fn ticket(fleet: &Fleet, number: u64) -> Result<Option<Ticket>> {
    let request =
        GetTicketRequest { workspace_id: WORKSPACE.to_owned(), by: Some(By::Number(number)) };
    match fleet.client(Role::Intake)?.intake().get_ticket(request).await {
        Ok(found) => Ok(found.into_inner().ticket),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

async fn unroutable(fleet: &Fleet, ticket: &str) -> Result<bool> {
    let request =
        ExplainRoutingRequest { workspace_id: WORKSPACE.to_owned(), ticket_id: ticket.to_owned() };
    let mut routing = fleet.client(Role::Routing)?.routing();
    Ok(routing.explain_routing(request).await?.into_inner().unroutable)
}

fn offers(desk: &Desk, figures: &mut Figures, details: &mut Details) {
    figures.offers_made = desk.offers.made;
    figures.offers_accepted = desk.offers.accepted;
    figures.offers_declined = desk.offers.declined;
    figures.offers_expired = desk.offers.expired;
    details.offers_rescinded = desk.offers.rescinded;
}

async fn clocks(fleet: &Fleet, figures: &mut Figures, details: &mut Details) -> Result<()> {
    let request = GetSlaStatsRequest { workspace_id: WORKSPACE.to_owned() };
    let reply = fleet.client(Role::Sla)?.sla().get_sla_stats(request).await?.into_inner();
    for counts in &reply.counts {
        figures.clocks_started += counts.started;
        figures.sla_met += counts.met;
        figures.sla_breached += counts.breached;
        figures.sla_cancelled += counts.cancelled;
        figures.clocks_running += counts.running + counts.paused;
    }
    details.clocks = reply.counts;
    Ok(())
}

async fn logs(fleet: &Fleet, figures: &mut Figures, details: &mut Details) -> Result<()> {
    let mut hashes: BTreeMap<(Role, u32), String> = BTreeMap::new();
    for seat in fleet.seats() {
        let request = GetStatusRequest { include_state_hash: true };
        let reply = seat.client.status().get_status(request).await?.into_inner();
        for partition in reply.partitions {
            let at = partition.position.context("a partition without a position")?;
            let role = Role::ALL
                .into_iter()
                .find(|role| i32::from(role.wire()) == at.service)
                .context("a partition of no service")?;
            figures.events += partition.events;
            figures.records += at.seq;
            details.bytes += partition.bytes;
            hashes.insert((role, at.partition), partition.state_hash);
        }
    }
    for ((role, _), hash) in hashes {
        figures.state_hashes.entry(role.name()).or_default().push(hash);
    }
    Ok(())
}

/// Webhooks count as the receiver counted them, if notify's log says the same.
async fn notifications(
    fleet: &Fleet,
    received: &Deliveries,
    figures: &mut Figures,
    details: &mut Details,
) -> Result<()> {
    let mut webhooks: BTreeSet<String> = BTreeSet::new();
    let mut delivered: BTreeSet<String> = BTreeSet::new();
    let mut from_seq = 1;
    loop {
        let request = ReadRequest {
            service: Service::Notify.into(),
            partition: fleet.partition(),
            from_seq,
            max_records: 1000,
            decode: false,
        };
        let page = fleet.client(Role::Notify)?.log().read(request).await?.into_inner();
        if page.records.is_empty() {
            break;
        }
        for record in page.records {
            let commit = Commit::decode(record.data).context("a record of notify's log")?;
            from_seq = commit.seq + 1;
            for event in commit.events {
                match event.r#type.as_str() {
                    "IntentMade" => {
                        let intent = IntentMade::decode(event.data)?;
                        match intent.channel() {
                            NotificationChannel::Webhook => {
                                webhooks.insert(intent.delivery_id);
                            }
                            NotificationChannel::InApp | NotificationChannel::Unspecified => {
                                details.in_app += 1;
                            }
                        }
                    }
                    "AttemptEnded" => {
                        let ended = AttemptEnded::decode(event.data)?;
                        if ended.outcome() == AttemptOutcome::Delivered {
                            delivered.insert(ended.delivery_id);
                        }
                    }
                    // Rules, endpoints and what is known of tickets.
                    _ => {}
                }
            }
        }
    }
    let logged = webhooks.intersection(&delivered).count();
    if received.keys.len() != logged || received.rejected > 0 || received.conflicting > 0 {
        bail!(
            "the receiver got {} webhooks ({} rejected, {} conflicting), notify's log has {logged}",
            received.keys.len(),
            received.rejected,
            received.conflicting
        );
    }
    figures.notifications_delivered = received.delivered;
    ensure!(
        received.delivered == u64::try_from(logged)?,
        "{} webhooks came for {logged} deliveries",
        received.delivered
    );
    Ok(())
}

/// What must hold between the figures.
fn check(figures: &Figures) -> Result<()> {
    let Figures { tickets_opened, tickets_resolved, tickets_open, tickets_unroutable, .. } =
        figures;
    ensure!(
        *tickets_opened == tickets_resolved + tickets_open + tickets_unroutable,
        "{tickets_opened} tickets opened, {tickets_resolved} resolved, {tickets_open} open, \
         {tickets_unroutable} unroutable"
    );
    let Figures { clocks_started, sla_met, sla_breached, sla_cancelled, clocks_running, .. } =
        figures;
    ensure!(
        *clocks_started == sla_met + sla_breached + sla_cancelled + clocks_running,
        "{clocks_started} clocks started, {sla_met} met, {sla_breached} breached, \
         {sla_cancelled} cancelled, {clocks_running} running"
    );
    Ok(())
}

/// Sums of one metric by priority: met and breached.
pub(crate) fn verdicts(
    clocks: &[ClockCounts],
    wanted: impl Fn(&ClockCounts) -> bool,
) -> BTreeMap<Priority, (u64, u64)> {
    let mut sums: BTreeMap<Priority, (u64, u64)> = BTreeMap::new();
    for counts in clocks.iter().filter(|counts| wanted(counts)) {
        let sum = sums.entry(counts.priority()).or_default();
        sum.0 += counts.met;
        sum.1 += counts.breached;
    }
    sums
}
