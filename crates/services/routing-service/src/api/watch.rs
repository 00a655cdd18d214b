//! `WatchOffers`: what an agent's desktop shows.

use kernel::WorkspaceId;
use prost::Message as _;
use routing::State;
use runtime::Position;
use service_kit::paging::binding;
use service_kit::watch::{self, Item, Message, Page, WatchRequest, WatchStream, Watcher};
use service_kit::{Fields, convert};
use tonic::Status;
use wire::events::v1 as stored;
use wire::routing::v1 as api;
use wire::routing::v1::watch_offers_response::Kind;

use super::{Api, render};

/// The stream of the call.
pub(super) type Changes = WatchStream<api::WatchOffersResponse>;

/// What the watch lets through.
#[derive(Debug, Clone)]
struct Filter {
    workspace: WorkspaceId,
    /// Empty: all.
    agent: String,
}

impl Filter {
    fn admits(&self, offer: &api::Offer) -> bool {
        self.agent.is_empty() || self.agent == offer.agent_id
    }

    /// Offers that stand, with numbers below `below`, the newest first: those made meanwhile are none of the snapshot.
    fn page(&self, state: &State, below: Option<u64>) -> Page<api::Offer> {
        let Some(workspace) = state.workspace(&self.workspace) else { return Page::none() };
        let below = below.unwrap_or(u64::MAX);
        let item = |number: u64| {
            let offer = render::offer(workspace, number)?;
            let size = offer.encoded_len();
            Some((number, offer, size))
        };
        if self.agent.is_empty() {
            let offers = workspace.offers().range(..below).rev();
            return Page::of(offers.filter_map(|(number, _)| item(*number)));
        }
        let agent = workspace.agent(&kernel::AgentId::trusted(&self.agent));
        let offers = agent.into_iter().flat_map(|agent| agent.offers().range(..below).rev());
        Page::of(offers.filter_map(|number| item(*number)))
    }

    fn change(&self, event: &stored::Event) -> Option<api::OfferChange> {
        if event.workspace != self.workspace.as_str() {
            return None;
        }
        let offer = read(event).filter(|offer| self.admits(offer))?;
        let at = kernel::Timestamp::from_millis(event.occurred_at_ms);
        Some(api::OfferChange {
            event_type: event.r#type.clone(),
            offer: Some(offer),
            occurred_at: Some(convert::timestamp_to_wire(at)),
        })
    }
}

/// Watches the offers of a workspace that is there.
pub(super) async fn watch(
    api: &Api,
    watcher: Watcher,
    request: api::WatchOffersRequest,
) -> Result<Changes, Status> {
    let mut fields = Fields::new();
    let workspace: WorkspaceId = fields.id("workspace_id", &request.workspace_id);
    let agent: Option<kernel::AgentId> = fields.optional_id("agent_id", &request.agent_id);
    let checkpoint_every = watch::checkpoint_every(&mut fields, request.checkpoint_every.as_ref());
    fields.finish()?;
    api.look(&workspace, |_| Ok(())).await?;
    let agent = agent.map(|agent| agent.to_string()).unwrap_or_default();
    let filter = Filter { workspace, agent };
    let bound = api::WatchOffersRequest {
        workspace_id: request.workspace_id,
        agent_id: request.agent_id,
        ..api::WatchOffersRequest::default()
    };
    let asked = WatchRequest {
        start: request.start,
        include_snapshot: request.include_snapshot,
        checkpoint_every,
        binding: binding("WatchOffers", &bound),
    };
    let partition = api.node.partition_of(filter.workspace.as_str());
    let shown = filter.clone();
    watch::watch(
        partition,
        watcher,
        asked,
        move |state: &State, below| shown.page(state, below),
        move |_: Position, event: &stored::Event| filter.change(event),
        message,
    )
    .await
}

fn message(told: Message<api::OfferChange, api::Offer>) -> api::WatchOffersResponse {
    let Message { resume_token, position, item } = told;
    let kind = match item {
        Item::Snapshot(offer) => Kind::Snapshot(offer),
        Item::SnapshotComplete => Kind::SnapshotComplete(true),
        Item::Change(change) => Kind::Change(change),
        Item::Checkpoint(checkpoint) => Kind::Checkpoint(checkpoint),
    };
    api::WatchOffersResponse { resume_token, position: Some(position), kind: Some(kind) }
}

/// What an event says of an offer or an assignment; nothing if it is none.
fn read(event: &stored::Event) -> Option<api::Offer> {
    match event.r#type.as_str() {
        "OfferMade" => {
            let made: stored::OfferMade = payload(event)?;
            let accept_by = kernel::Timestamp::from_millis(made.accept_by_ms);
            Some(api::Offer {
                queue_id: made.queue_id,
                accept_by: Some(convert::timestamp_to_wire(accept_by)),
                ..offer(made.offer_id, made.ticket_id, made.agent_id)
            })
        }
        "OfferAccepted" => {
            let accepted: stored::OfferAccepted = payload(event)?;
            Some(offer(accepted.offer_id, accepted.ticket_id, accepted.agent_id))
        }
        "OfferDeclined" => {
            let declined: stored::OfferDeclined = payload(event)?;
            Some(offer(declined.offer_id, declined.ticket_id, declined.agent_id))
        }
        "OfferExpired" => {
            let expired: stored::OfferExpired = payload(event)?;
            Some(offer(expired.offer_id, expired.ticket_id, expired.agent_id))
        }
        "OfferRescinded" => {
            let rescinded: stored::OfferRescinded = payload(event)?;
            Some(offer(rescinded.offer_id, rescinded.ticket_id, rescinded.agent_id))
        }
        "TicketAssigned" => {
            let assigned: stored::TicketAssigned = payload(event)?;
            Some(offer(String::new(), assigned.ticket_id, assigned.agent_id))
        }
        _ => None,
    }
}

fn payload<M: prost::Message + Default>(event: &stored::Event) -> Option<M> {
    M::decode(event.data.clone()).ok()
}

fn offer(offer_id: String, ticket_id: String, agent_id: String) -> api::Offer {
    api::Offer { offer_id, ticket_id, agent_id, queue_id: String::new(), accept_by: None }
}
