//! Agents: they watch their offers, accept, decline or stay silent, work, and sometimes go away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use routing_service::RoutingService;
use tokio::sync::mpsc;
use tonic::Request;
use wire::common::v1::{WatchStart, watch_start::From as Start};
use wire::events::v1::{AuthorKind, Presence, Visibility, WorkOutcome};
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;
use wire::routing::v1::routing_service_server::RoutingService as _;
use wire::routing::v1::watch_offers_response::Kind;

use crate::call::{Caller, reason_of};
use crate::scene::{WORKSPACE, agent_id, seconds};
use crate::world::World;

/// What an agent's watch told it.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Vec<(u64, String)>>);

impl Watched {
    fn note(&self, agent: u64, offer: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((agent, offer.to_owned()));
    }

    /// Every offer that a watch told, in the order of telling.
    pub(crate) fn all(&self) -> Vec<(u64, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lets an agent work: one task watches, one acts, one is alive.
pub(crate) fn run(world: &Arc<World>, watched: &Arc<Watched>, number: u64) {
    let (offers, inbox) = mpsc::unbounded_channel();
    let watch = watch(Arc::clone(world), Arc::clone(watched), number, offers);
    drop(tokio::spawn(watch));
    drop(tokio::spawn(presence(Arc::clone(world), number)));
    drop(tokio::spawn(work(Arc::clone(world), number, inbox)));
}

/// Follows the agent's offers from the first on, over all nodes that come and go, by resume tokens.
async fn watch(
    world: Arc<World>,
    watched: Arc<Watched>,
    number: u64,
    offers: mpsc::UnboundedSender<routing::Offer>,
) {
    let mut caller = Caller::new(&world, format!("watch-{number}"));
    let mut token = None;
    loop {
        caller.pause(20..200).await;
        let Some(slot) = world.slots.current::<RoutingService>(false) else { continue };
        let from = token.clone().map_or(Start::Earliest(true), Start::ResumeToken);
        let request = routing::WatchOffersRequest {
            workspace_id: WORKSPACE.into(),
            agent_id: agent_id(number),
            start: Some(WatchStart { from: Some(from) }),
            ..Default::default()
        };
        let dead = slot.instance.dead.clone();
        let opened = tokio::select! {
            biased;
            () = dead.cancelled() => continue,
            opened = slot.api.watch_offers(Request::new(request)) => opened,
        };
        let Ok(opened) = opened else { continue };
        let mut stream = opened.into_inner();
        loop {
            // A node that leads no more goes silent: who watches looks for another after a while.
            let newest = || world.slots.current::<RoutingService>(false);
            let message = tokio::select! {
                biased;
                () = dead.cancelled() => break,
                message = tokio::time::timeout(Duration::from_secs(4), stream.next()) => message,
            };
            match message {
                Ok(Some(Ok(message))) => {
                    token = Some(message.resume_token);
                    if let Some(Kind::Change(change)) = message.kind
                        && let ("OfferMade", Some(offer)) =
                            (change.event_type.as_str(), change.offer)
                    {
                        world.trace(&[b"offer", offer.offer_id.as_bytes()]);
                        watched.note(number, &offer.offer_id);
                        offers.send(offer).ok();
                    }
                }
                Ok(None | Some(Err(_))) => break,
                Err(_) => {
                    let replaced =
                        newest().is_some_and(|it| it.instance.dead != slot.instance.dead);
                    if replaced {
                        break;
                    }
                }
            }
        }
    }
}

/// Says that the agent is there, and keeps saying so.
async fn presence(world: Arc<World>, number: u64) {
    let mut caller = Caller::new(&world, format!("presence-{number}"));
    loop {
        let presence = |presence: Presence| routing::SetPresenceRequest {
            workspace_id: WORKSPACE.into(),
            agent_id: agent_id(number),
            presence: presence.into(),
            lease: seconds(30),
            ..Default::default()
        };
        caller.call(presence(Presence::Available)).await;
        let rounds = caller.rng.range(2..10);
        for _ in 0..rounds {
            caller.pause(3_000..9_000).await;
            heartbeat(&world, number).await;
        }
        // In the end they stay, and write nothing more as long as nobody forgets them.
        while world.is_healed() && heartbeat(&world, number).await {
            caller.pause(3_000..9_000).await;
        }
        if world.works() && !world.is_healed() && caller.rng.chance(4_000) {
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
async fn heartbeat(world: &Arc<World>, number: u64) -> bool {
    let Some(slot) = world.slots.current::<RoutingService>(false) else { return true };
    *world.told().operations.entry("Heartbeat").or_default() += 1;
    let request =
        routing::HeartbeatRequest { workspace_id: WORKSPACE.into(), agent_id: agent_id(number) };
    let beat = slot.instance.live(slot.api.heartbeat(Request::new(request)));
    let answer = tokio::time::timeout(Duration::from_secs(3), beat).await;
    let present = match answer {
        Ok(Err(status)) => reason_of(&status) != "AGENT_ABSENT",
        Ok(Ok(_)) | Err(_) => true,
    };
    world.trace(&[b"heartbeat", &[u8::from(present)]]);
    present
}

async fn work(world: Arc<World>, number: u64, mut offers: mpsc::UnboundedReceiver<routing::Offer>) {
    let mut piece = 0;
    while let Some(offer) = offers.recv().await {
        piece += 1;
        let caller = Caller::new(&world, format!("work-{number}-{piece}"));
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
            workspace_id: WORKSPACE.into(),
            agent_id: agent_id(number),
            offer_id: offer.offer_id,
            reason: "busy".into(),
            ..Default::default()
        };
        caller.call(decline).await;
        return;
    }
    let accept = routing::AcceptOfferRequest {
        workspace_id: WORKSPACE.into(),
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
            workspace_id: WORKSPACE.into(),
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
        workspace_id: WORKSPACE.into(),
        agent_id: agent_id(number),
        ticket_id: offer.ticket_id,
        outcome: outcome.into(),
        ..Default::default()
    };
    caller.call(complete).await;
}
