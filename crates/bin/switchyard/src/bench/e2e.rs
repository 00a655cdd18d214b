//! From a customer's `CreateTicket` to the offer on the agent's stream, beside the least that must happen for it: a
//! call, a message published, read by another, a second one published, and read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use event_log::{EventLog, LogError};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Streaming;
use wire::events::v1::Presence;
use wire::routing::v1::watch_offers_response::Kind;
use wire::routing::v1::{
    Agent, PutAgentRequest, SetPresenceRequest, WatchOffersRequest, WatchOffersResponse,
};

use crate::cli::{Bench, Role};
use crate::client::Client;

use super::Name;
use super::floor::{Bare, FloorServer};
use super::load::{self, WORKSPACE};
use super::measure::{compare, median, scaled};
use super::place::{Opened, Place, server_settings};
use super::report::{Figure, Goal};

/// Tickets in one run at full scale.
const TICKETS: u64 = 200;
/// How long one may take.
const WITHIN: Duration = Duration::from_secs(30);
/// The agent who gets them all.
const AGENT: &str = "agent";
/// Room for every ticket of a measurement.
const CAPACITY: i32 = 1_000_000;

/// Measures it.
pub(super) async fn run(settings: &Bench, place: &Place) -> Result<Figure> {
    let opened = place.open().await?;
    let roles = [Role::Intake, Role::Routing];
    let running = opened.start(&roles, &server_settings(place, None)).await?;
    let address = running.address().to_string();
    let tickets = scaled(TICKETS, settings.scale);
    let relay = Relay::start(&opened).await?;
    let measured = async {
        let mut product = Product::start(&address).await?;
        let mut floor = Floor::start(&relay).await?;
        let (product, floor) = (&mut product, &mut floor);
        compare(
            settings.runs,
            async || product.p50(tickets).await,
            async || floor.p50(tickets).await,
        )
        .await
    };
    let compared = measured.await;
    relay.stop().await?;
    running.stop().await?;
    let floor = "call, publish, consume, publish, consume";
    Ok(Figure::compared(Name::E2e, "ms", floor, compared?, Goal::AtMost(2.0), settings))
}

/// The services, called by a customer and watched by an agent.
struct Product {
    client: Client,
    offers: Streaming<WatchOffersResponse>,
    sent: u64,
}

impl Product {
    async fn start(address: &str) -> Result<Self> {
        let client = Client::connect(address, WITHIN).await?;
        let mut routing = client.routing();
        let agent = Agent {
            agent_id: AGENT.to_owned(),
            display_name: "An agent".to_owned(),
            queue_ids: vec!["default".to_owned()],
            capacity_units: Some(CAPACITY),
            ..Agent::default()
        };
        let workspace_id = WORKSPACE.to_owned();
        let agent = Some(agent);
        let put = PutAgentRequest { workspace_id, agent, ..PutAgentRequest::default() };
        // Routing learns of the workspace from intake's log.
        while let Err(status) = routing.put_agent(put.clone()).await {
            if status.code() != tonic::Code::NotFound {
                return Err(status.into());
            }
        }
        let presence = SetPresenceRequest {
            workspace_id: WORKSPACE.to_owned(),
            agent_id: AGENT.to_owned(),
            presence: Presence::Available.into(),
            lease: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
            ..SetPresenceRequest::default()
        };
        routing.set_presence(presence).await?;
        let watch = WatchOffersRequest {
            workspace_id: WORKSPACE.to_owned(),
            agent_id: AGENT.to_owned(),
            ..WatchOffersRequest::default()
        };
        let offers = client.endless_routing().watch_offers(watch).await?.into_inner();
        Ok(Self { client, offers, sent: 0 })
    }

    async fn p50(&mut self, tickets: u64) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..tickets {
            self.sent += 1;
            let request = load::request(self.sent);
            let mut intake = self.client.intake();
            let began = Instant::now();
            // The offer may be there before the call's own answer.
            let (reply, offered) =
                tokio::join!(intake.create_ticket(request), offered(&mut self.offers));
            times.push((offered? - began).as_secs_f64() * 1000.0);
            reply?;
        }
        median(times)
    }
}

/// When the next offer came.
async fn offered(offers: &mut Streaming<WatchOffersResponse>) -> Result<Instant> {
    loop {
        let next = tokio::time::timeout(WITHIN, offers.message()).await.context("no offer came")?;
        let Some(next) = next? else { bail!("the agent's stream ended") };
        if let Some(Kind::Change(change)) = next.kind
            && change.event_type == "OfferMade"
        {
            return Ok(Instant::now());
        }
    }
}

/// The floor's two logs, and who reads the one and writes the other.
struct Relay {
    first: Arc<Bare>,
    second: Arc<dyn EventLog>,
    relaying: JoinHandle<()>,
    floor: FloorServer,
}

impl Relay {
    async fn start(opened: &Opened) -> Result<Self> {
        let first = Arc::new(Bare::new(opened, 0).await?);
        let next = Bare::new(opened, 1).await?;
        let (source, second) = (opened.floor(0).await?, opened.floor(1).await?);
        let mut records = source.follow(source.tail().await?.last + 1);
        let relaying = tokio::spawn(async move {
            while let Some(Ok(record)) = records.next().await {
                if next.store(record.bytes).await.is_err() {
                    return;
                }
            }
        });
        let floor = FloorServer::start(Some(Arc::clone(&first))).await?;
        Ok(Self { first, second, relaying, floor })
    }

    async fn stop(self) -> Result<()> {
        self.relaying.abort();
        drop((self.first, self.second));
        self.floor.stop().await
    }
}

struct Floor {
    client: Client,
    arrived: mpsc::Receiver<Result<Bytes, LogError>>,
    sent: u64,
}

impl Floor {
    async fn start(relay: &Relay) -> Result<Self> {
        let client = Client::connect(&relay.floor.address, WITHIN).await?;
        let mut records = relay.second.follow(relay.second.tail().await?.last + 1);
        let (sender, arrived) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(record) = records.next().await {
                if sender.send(record.map(|record| record.bytes)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { client, arrived, sent: 0 })
    }

    async fn p50(&mut self, tickets: u64) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..tickets {
            self.sent += 1;
            let request = load::request(self.sent);
            let mut intake = self.client.intake();
            let began = Instant::now();
            let arrived = async {
                let next = tokio::time::timeout(WITHIN, self.arrived.recv()).await;
                next.context("nothing arrived")?.context("the reader ended")??;
                anyhow::Ok(Instant::now())
            };
            let (reply, arrived) = tokio::join!(intake.create_ticket(request), arrived);
            times.push((arrived? - began).as_secs_f64() * 1000.0);
            reply?;
        }
        median(times)
    }
}
