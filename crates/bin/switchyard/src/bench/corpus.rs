//! A log of many open tickets of the demo's kind, made once through the public API and then measured on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;
use wire::intake::v1::CreateTicketRequest;

use crate::cli::{Bench, Role};
use crate::client::Client;
use crate::demo::act::opening;
use crate::demo::file;
use crate::demo::fleet::{Fleet, Seat};
use crate::demo::plan::Plan;
use crate::demo::setup::{self, WORKSPACE};
use crate::{logs, out};

use super::measure::scaled;
use super::place::{Place, server_settings};

/// Open tickets at full scale.
const TICKETS: u64 = 200_000;
/// Tickets opened at the same time, and over how many connections.
const IN_FLIGHT: usize = 128;
const CONNECTIONS: usize = 4;
/// A call's deadline.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long the services may take to handle all of it.
const HANDLED_WITHIN: Duration = Duration::from_secs(900);

/// What was made.
#[derive(Debug)]
pub(super) struct Corpus {
    /// Where all clocks stand.
    pub(super) now: jiff::Timestamp,
    /// How many tickets are open.
    pub(super) tickets: u64,
    /// The partition that has them.
    pub(super) partition: u16,
}

impl Corpus {
    /// Makes it in this place, and stops the services: their snapshots are there.
    pub(super) async fn build(settings: &Bench, place: &Place) -> Result<Self> {
        let tickets = scaled(TICKETS, settings.scale);
        out::note(&format!("making a log of {tickets} open tickets"));
        let plan = Plan::of(&file::rows()?)?;
        let now = jiff::Timestamp::from_millisecond(plan.starts_at_ms)?;
        let opened = place.open().await?;
        let running = opened.start(&Role::ALL, &server_settings(place, Some(now))).await?;
        let address = running.address().to_string();
        let client = Client::connect(&address, DEADLINE).await?;
        let partition = runtime::partition_of(WORKSPACE, logs::EMBEDDED_PARTITIONS);
        let seats = vec![Seat { client, roles: Role::ALL.to_vec() }];
        let mut fleet = Fleet::new(seats, partition.into());
        setup::desk(&fleet, &plan).await?;
        let began = Instant::now();
        open(&address, Arc::new(plan), tickets).await?;
        settle(&mut fleet).await?;
        running.stop().await?;
        out::note(&format!("made in {:.0} s", began.elapsed().as_secs_f64()));
        Ok(Self { now, tickets, partition })
    }
}

/// Opens the plan's tickets over and over, each time under other ids.
async fn open(address: &str, plan: Arc<Plan>, tickets: u64) -> Result<()> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(address, DEADLINE).await?);
    }
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for (_, client) in (0..IN_FLIGHT).zip(clients.iter().cycle()) {
        let (mut intake, plan, next) = (client.intake(), Arc::clone(&plan), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= tickets {
                    return anyhow::Ok(());
                }
                intake.create_ticket(ticket(&plan, number)?).await?;
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done?.context("opening tickets")?;
    }
    Ok(())
}

fn ticket(plan: &Plan, number: u64) -> Result<CreateTicketRequest> {
    let all = u64::try_from(plan.tickets.len())?;
    let (round, place) = (number / all, usize::try_from(number % all)?);
    let ticket = plan.tickets.get(place).context("the plan has no tickets")?;
    let mut request = opening(ticket, plan.starts_at_ms, format!("corpus-{number}"));
    request.ticket_id = format!("{}-{round}", ticket.id);
    request.external_id.clone_from(&request.ticket_id);
    Ok(request)
}

/// Returns once all services have read what the others have written.
async fn settle(fleet: &mut Fleet) -> Result<()> {
    let until = Instant::now() + HANDLED_WITHIN;
    while let Err(error) = fleet.settle().await {
        if Instant::now() > until {
            bail!("the services don't come to rest: {error:#}");
        }
    }
    Ok(())
}
