//! Agents: they watch their offers, accept, decline or stay silent, work, and sometimes go away.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use routing_service::RoutingService;
use tokio::sync::mpsc;
use wire::common::v1::{WatchStart, watch_start::From as Start};
use wire::events::v1::{AuthorKind, Presence, Visibility, WorkOutcome};
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;
use wire::routing::v1::routing_service_client::RoutingServiceClient;
use wire::routing::v1::watch_offers_response::Kind;

use crate::asked::in_time;
use crate::call::{Caller, reason_of};
use crate::scene::{agent_id, seconds};
use crate::world::World;

/// An offer that a watch told of: the workspace, the agent, the offer.
pub(crate) type Told = (Arc<str>, u64, String);

/// What the agents' watches told them.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Vec<Told>>);

impl Watched {
    fn note(&self, workspace: &Arc<str>, agent: u64, offer: &str) {
        let told = (Arc::clone(workspace), agent, offer.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }

    /// Every offer that a watch told, in the order of telling.
    pub(crate) fn all(&self) -> Vec<Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lets an agent work: one task watches, one acts, one is alive.
pub(crate) fn run(world: &Arc<World>, workspace: &Arc<str>, watched: &Arc<Watched>, number: u64) {
    let (offers, inbox) = mpsc::unbounded_channel();
    let caller = |name: &str| Caller::new(world, workspace, &format!("{name}-{number}"));
    drop(tokio::spawn(watch(caller("watch"), Arc::clone(watched), number, offers)));
    drop(tokio::spawn(presence(caller("presence"), number)));
    drop(tokio::spawn(work(caller("work"), number, inbox)));
}

/// Follows the agent's offers from the first on, at any instance and over all that come and go, by resume tokens.
async fn watch(
    mut caller: Caller,
    watched: Arc<Watched>,
    number: u64,
    offers: mpsc::UnboundedSender<routing::Offer>,
) {
    let world = Arc::clone(&caller.world);
    let mut token = None;
    loop {
        caller.pause(20..200).await;
        let Some(slot) = world.seats.any::<RoutingService>(&mut caller.rng) else { continue };
        let from = token.clone().map_or(Start::Earliest(true), Start::ResumeToken);
        let request = routing::WatchOffersRequest {
            workspace_id: caller.workspace(),
            agent_id: agent_id(number),
            start: Some(WatchStart { from: Some(from) }),
            ..Default::default()
        };
        let mut client = RoutingServiceClient::new(slot.door);
        let Ok(opened) = in_time(client.watch_offers(caller.head().on(request))).await else {
            continue;
        };
        let mut stream = opened.into_inner();
        // What says nothing for a while may be at a stopped instance: another one is asked.
        let patience = caller.rng.millis(5_000..15_000);
        while let Ok(Some(Ok(message))) = tokio::time::timeout(patience, stream.next()).await {
            token = Some(message.resume_token);
            if let Some(Kind::Change(change)) = message.kind
                && let ("OfferMade", Some(offer)) = (change.event_type.as_str(), change.offer)
            {
                world.trace(&[b"offer", offer.offer_id.as_bytes()]);
                watched.note(&caller.workspace, number, &offer.offer_id);
                offers.send(offer).ok();
            }
        }
    }
}

/// Says that the agent is there, and keeps saying so.
async fn presence(mut caller: Caller, number: u64) {
    let world = Arc::clone(&caller.world);
    loop {
        let workspace_id = caller.workspace();
        let presence = |presence: Presence| routing::SetPresenceRequest {
            workspace_id: workspace_id.clone(),
            agent_id: agent_id(number),
            presence: presence.into(),
            lease: seconds(30),
            ..Default::default()
        };
        caller.call(presence(Presence::Available)).await;
        let rounds = caller.rng.range(2..10);
        for _ in 0..rounds {
            caller.pause(3_000..9_000).await;
            heartbeat(&mut caller, number).await;
        }
        // In the end they stay, and write nothing more as long as nobody forgets them.
        while world.is_healed() && heartbeat(&mut caller, number).await {
            caller.pause(3_000..9_000).await;
        }
        if world.works() && world.is_troubled() && caller.rng.chance(4_000) {
            let leave = [Presence::Away, Presence::Busy, Presence::Offline];
            let leave = caller.rng.pick(&leave).copied().unwrap_or(Presence::Away);
            if caller.rng.chance(7_000) {
                caller.call(presence(leave)).await;
            }
            // Or it just goes, and its lease runs out.
            caller.pause(2_000..40_000).await;
        }
    }
}

/// True: the agent still counts as present, or nobody can say.
async fn heartbeat(caller: &mut Caller, number: u64) -> bool {
    let world = Arc::clone(&caller.world);
    let Some(slot) = world.seats.any::<RoutingService>(&mut caller.rng) else { return true };
    world.count_operation("Heartbeat");
    let request =
        routing::HeartbeatRequest { workspace_id: caller.workspace(), agent_id: agent_id(number) };
    let mut client = RoutingServiceClient::new(slot.door);
    let answer = in_time(client.heartbeat(caller.head().on(request))).await;
    let present = answer.err().is_none_or(|status| reason_of(&status) != "AGENT_ABSENT");
    world.trace(&[b"heartbeat", &[u8::from(present)]]);
    present
}

async fn work(caller: Caller, number: u64, mut offers: mpsc::UnboundedReceiver<routing::Offer>) {
    let mut piece = 0;
    while let Some(offer) = offers.recv().await {
        piece += 1;
        let name = format!("work-{number}-{piece}");
        let caller = Caller::new(&caller.world, &caller.workspace, &name);
        drop(tokio::spawn(take(caller, number, offer)));
    }
}

/// Lives through one offer.
async fn take(mut caller: Caller, number: u64, offer: routing::Offer) {
    caller.pause(50..3_000).await;
    let keen = caller.world.is_healed();
    let mood = caller.rng.range(0..100);
    if !keen && mood >= 88 {
        return; // silent: the offer expires
    }
    if !keen && mood >= 80 {
        let decline = routing::DeclineOfferRequest {
            workspace_id: caller.workspace(),
            agent_id: agent_id(number),
            offer_id: offer.offer_id,
            reason: "busy".into(),
            ..Default::default()
        };
        caller.call(decline).await;
        return;
    }
    let accept = routing::AcceptOfferRequest {
        workspace_id: caller.workspace(),
        agent_id: agent_id(number),
        offer_id: offer.offer_id,
        ..Default::default()
    };
    if caller.call(accept).await.is_none() {
        return;
    }
    caller.pause(200..8_000).await;
    if caller.rng.chance(8_000) {
        let reply = intake::AddMessageRequest {
            workspace_id: caller.workspace(),
            ticket_id: offer.ticket_id.clone(),
            author_kind: AuthorKind::Agent.into(),
            author_id: agent_id(number),
            visibility: Visibility::Public.into(),
            body: "We are looking into it.".into(),
            ..Default::default()
        };
        caller.call(reply).await;
    }
    caller.pause(200..6_000).await;
    let keen = caller.world.is_healed();
    let outcome = match caller.rng.range(0..100) {
        _ if keen => WorkOutcome::Resolved,
        0..=59 => WorkOutcome::Resolved,
        60..=74 => WorkOutcome::Pending,
        75..=82 => WorkOutcome::OnHold,
        83..=92 => WorkOutcome::Requeue,
        _ => return, // keeps it
    };
    let complete = routing::CompleteWorkRequest {
        workspace_id: caller.workspace(),
        agent_id: agent_id(number),
        ticket_id: offer.ticket_id,
        outcome: outcome.into(),
        ..Default::default()
    };
    caller.call(complete).await;
}
