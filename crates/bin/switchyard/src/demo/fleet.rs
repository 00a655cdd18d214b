//! The services under test: where each is, and how to know that all of them rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use wire::admin::v1::{AdvanceToRequest, GetTimeRequest, GetTimeResponse};
use wire::common::v1::Service;

use crate::cli::Role;
use crate::client::{Client, seen};

/// How long the services may take to come to rest, in real time: far more than they need.
const REST_TIMEOUT: Duration = Duration::from_secs(60);

/// Whose partition.
type Place = (i32, u32);

/// A server and the services that it runs.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) client: Client,
    pub(crate) roles: Vec<Role>,
}

/// All four services, in one server or in four.
#[derive(Debug)]
pub(crate) struct Fleet {
    seats: Vec<Seat>,
    partition: u32,
    /// Where each partition's log stood when it was last asked.
    heads: BTreeMap<Place, (Vec<u8>, u64)>,
    /// The soonest deadline of any service, in milliseconds since 1970.
    next_due_ms: Option<i64>,
}

impl Fleet {
    /// Puts servers together; every role must have one. The demo's workspace is in `partition`.
    pub(crate) fn new(seats: Vec<Seat>, partition: u32) -> Self {
        Self { seats, partition, heads: BTreeMap::new(), next_due_ms: None }
    }

    /// The servers.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The server of a role.
    pub(crate) fn client(&self, role: Role) -> Result<&Client> {
        let seat = self.seats.iter().find(|seat| seat.roles.contains(&role));
        Ok(&seat.with_context(|| format!("nobody is {}", role.name()))?.client)
    }

    /// The last record of a service's log, in the workspace's partition, when the services last rested; 0 before.
    pub(crate) fn head(&self, service: Service) -> u64 {
        self.heads.get(&(service.into(), self.partition)).map_or(0, |(_, seq)| *seq)
    }

    /// The partition of the demo's workspace.
    pub(crate) fn partition(&self) -> u32 {
        self.partition
    }

    /// The soonest deadline of any service when they last rested.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.next_due_ms
    }

    /// Returns once all services rest: each is idle, and has read what the others have written.
    ///
    /// One round is enough if everything matches. The first service to move after it was asked would need an input; the
    /// input's writer had either written it before it was asked itself, so the two would not match, or it had moved
    /// earlier.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + REST_TIMEOUT;
        loop {
            let known = self.positions();
            let asked = self.seats.iter().map(|seat| ask(&seat.client, &known));
            let answers = try_join_all(asked).await.context("waiting for the services to rest")?;
            let rests = answers.iter().all(|answer| answer.idle);
            self.learn(&answers);
            if rests && self.agree(&answers) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the services don't come to rest: {answers:?}");
            }
        }
    }

    /// Moves every clock.
    pub(crate) async fn advance_to(&self, at_ms: i64) -> Result<()> {
        let moves =
            self.seats.iter().map(|seat| {
                let mut clock = seat.client.clock();
                async move {
                    clock.advance_to(AdvanceToRequest { instant: Some(timestamp(at_ms)) }).await
                }
            });
        try_join_all(moves).await.context("moving the clocks")?;
        Ok(())
    }

    /// Every head as the header that makes a call wait for it.
    fn positions(&self) -> String {
        let texts = self.heads.iter().filter_map(|((service, partition), (log_id, seq))| {
            let service = Service::try_from(*service).ok()?;
            let name = Role::ALL.into_iter().find(|role| role.wire() == service)?.name();
            Some(format!("{name}.{partition}.{}.{seq}", hex::encode(log_id)))
        });
        // The header takes 64 positions; the rest is only waited for in another round.
        texts.take(64).collect::<Vec<_>>().join(",")
    }

    fn learn(&mut self, answers: &[GetTimeResponse]) {
        self.next_due_ms = answers.iter().filter_map(|answer| millis(answer.next_due)).min();
        for head in answers.iter().flat_map(|answer| &answer.heads) {
            if let Some(at) = &head.head {
                let place = (at.service, at.partition);
                self.heads.insert(place, (at.log_id.clone(), at.seq));
            }
        }
    }

    /// Whether every input was read up to the head that its writer reported.
    fn agree(&self, answers: &[GetTimeResponse]) -> bool {
        let inputs = answers.iter().flat_map(|answer| &answer.heads).flat_map(|head| &head.inputs);
        inputs.into_iter().all(|input| {
            let head = self.heads.get(&(input.service, input.partition));
            head.is_none_or(|(_, seq)| *seq == input.seq)
        })
    }
}

async fn ask(client: &Client, known: &str) -> Result<GetTimeResponse> {
    let request = seen(GetTimeRequest { wait_until_idle: true }, known);
    Ok(client.clock().get_time(request).await?.into_inner())
}

/// Milliseconds since 1970 as the contract's instant.
pub(crate) fn timestamp(at_ms: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(at_ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: at_ms.div_euclid(1000), nanos }
}

fn millis(at: Option<prost_types::Timestamp>) -> Option<i64> {
    at.map(|at| at.seconds * 1000 + i64::from(at.nanos / 1_000_000))
}
