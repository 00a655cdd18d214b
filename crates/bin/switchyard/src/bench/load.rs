//! Calls over gRPC, so many in flight, for so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use wire::common::v1::Channel;
use wire::events::v1::Requester;
use wire::intake::v1::CreateTicketRequest;

use crate::client::Client;

use super::measure::{measure_of, median};

/// A call's deadline.
const DEADLINE: Duration = Duration::from_secs(30);
/// Calls in flight on one connection: more would wait for its one task on either side.
const FOR_EACH_CONNECTION: usize = 64;
/// How long one run lasts at full scale.
const RUN: Duration = Duration::from_millis(1500);

/// The workspace that is always there.
pub(super) const WORKSPACE: &str = "default";

/// Connections to one server, which is called in a closed loop.
#[derive(Debug)]
pub(super) struct Load {
    clients: Vec<Client>,
    in_flight: usize,
    lasts: Duration,
    calls: Arc<AtomicU64>,
}

impl Load {
    pub(super) async fn new(address: &str, in_flight: usize, scale: f64) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..in_flight.div_ceil(FOR_EACH_CONNECTION) {
            clients.push(Client::connect(address, DEADLINE).await?);
        }
        Ok(Self { clients, in_flight, lasts: RUN.mul_f64(scale), calls: Arc::default() })
    }

    /// Calls a second.
    pub(super) async fn rate(&self) -> Result<f64> {
        let began = Instant::now();
        let times = self.run().await?;
        Ok(measure_of(u64::try_from(times.len())?) / began.elapsed().as_secs_f64())
    }

    /// The median time of a call, in milliseconds.
    pub(super) async fn p50(&self) -> Result<f64> {
        median(self.run().await?.into_iter().map(|time| time.as_secs_f64() * 1000.0).collect())
    }

    async fn run(&self) -> Result<Vec<Duration>> {
        let until = Instant::now() + self.lasts;
        let mut callers = JoinSet::new();
        for (_, client) in (0..self.in_flight).zip(self.clients.iter().cycle()) {
            let (mut intake, calls) = (client.intake(), Arc::clone(&self.calls));
            callers.spawn(async move {
                let mut times = Vec::new();
                loop {
                    let request = request(calls.fetch_add(1, Ordering::Relaxed));
                    let began = Instant::now();
                    intake.create_ticket(request).await?;
                    times.push(began.elapsed());
                    if Instant::now() >= until {
                        return anyhow::Ok(times);
                    }
                }
            });
        }
        let mut times = Vec::new();
        while let Some(done) = callers.join_next().await {
            times.extend(done??);
        }
        Ok(times)
    }
}

/// A ticket with a body of 1 KiB.
pub(super) fn request(number: u64) -> CreateTicketRequest {
    CreateTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: uuid::Uuid::now_v7().to_string(),
        channel: Channel::Email.into(),
        requester: Some(Requester {
            requester_id: format!("customer-{}", number % 10_000),
            name: "A customer".to_owned(),
            ..Requester::default()
        }),
        subject: "The parcel has not arrived".to_owned(),
        body: "It was to come on Monday. ".repeat(40).chars().take(1024).collect(),
        ..CreateTicketRequest::default()
    }
}
