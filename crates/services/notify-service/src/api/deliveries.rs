//! `ListDeliveries`.

use kernel::{TicketId, WorkspaceId};
use notify::{Delivery, Progress, State, Target};
use runtime::Node;
use service_kit::convert::timestamp_to_wire;
use service_kit::paging::binding;
use service_kit::{Fields, Page, Refuse, status_of};
use tonic::Status;
use wire::events::v1::NotificationChannel;
use wire::notify::v1::{
    Delivery as WireDelivery, DeliveryState, ListDeliveriesRequest, ListDeliveriesResponse,
};

use crate::NotifyService;

/// How many deliveries one call looks at: a rare filter is searched in steps, so that nobody holds the leader up.
const LOOKED_AT_MAX: usize = 20_000;

struct Filter {
    workspace: WorkspaceId,
    ticket: Option<TicketId>,
    state: DeliveryState,
}

pub(super) async fn list(
    node: &Node<NotifyService>,
    request: ListDeliveriesRequest,
) -> Result<ListDeliveriesResponse, Status> {
    let (filter, page) = parse(&request)?;
    let before = page.after_number()?.unwrap_or(u64::MAX);
    let workspace = filter.workspace.clone();
    let size = page.size;
    let found = node
        .read(workspace.as_str(), move |state| find(state, &filter, before, size))
        .await
        .map_err(|failure| status_of::<NotifyService>(&failure))?;
    let (deliveries, last) = found.ok_or_else(|| unknown(workspace))?;
    let next_page_token = last.map(|last| page.next_number(last)).unwrap_or_default();
    Ok(ListDeliveriesResponse { deliveries, next_page_token })
}

fn parse(request: &ListDeliveriesRequest) -> Result<(Filter, Page), Status> {
    let mut fields = Fields::new();
    let filter = Filter {
        workspace: fields.id("workspace_id", &request.workspace_id),
        ticket: fields.optional_id("ticket_id", &request.ticket_id),
        state: fields.known("state", request.state),
    };
    let unpaged =
        ListDeliveriesRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let binding = binding("ListDeliveries", &unpaged);
    let page = Page::parse(&mut fields, request.page_size, &request.page_token, binding)?;
    fields.finish()?;
    Ok((filter, page))
}

/// What a call about a workspace that notify doesn't know is answered.
pub(super) fn unknown(workspace: WorkspaceId) -> Status {
    NotifyService::refuse(&notify::Rejection::WorkspaceUnknown(workspace)).into()
}

/// Deliveries, newest first, and the number after which the next page begins, if there is more; `None`: no such
/// workspace.
fn find(
    state: &State,
    filter: &Filter,
    before: u64,
    size: usize,
) -> Option<(Vec<WireDelivery>, Option<u64>)> {
    let workspace = state.workspace(&filter.workspace).filter(|it| it.is_seen())?;
    let matches = |delivery: &Delivery| {
        let of_ticket = filter.ticket.is_none() || delivery.ticket == filter.ticket;
        let any = filter.state == DeliveryState::Unspecified;
        of_ticket && (any || filter.state == state_of(delivery.progress))
    };
    let (mut found, mut last) = (Vec::new(), before);
    for (looked_at, (number, delivery)) in workspace.deliveries(before).enumerate() {
        let matches = matches(delivery);
        if looked_at == LOOKED_AT_MAX || (matches && found.len() == size) {
            return Some((found, Some(last)));
        }
        if matches {
            found.push(rendered(delivery));
        }
        last = number;
    }
    Some((found, None))
}

const fn state_of(progress: Progress) -> DeliveryState {
    match progress {
        Progress::Waiting { .. } | Progress::InFlight => DeliveryState::Pending,
        Progress::Delivered => DeliveryState::Delivered,
        Progress::PermanentlyFailed => DeliveryState::PermanentlyFailed,
        Progress::Unknown => DeliveryState::Unknown,
    }
}

fn rendered(delivery: &Delivery) -> WireDelivery {
    let (channel, recipient, endpoint_id) = match &delivery.target {
        Target::Webhook(endpoint) => {
            (NotificationChannel::Webhook, String::new(), endpoint.to_string())
        }
        Target::InApp(to) => (NotificationChannel::InApp, to.to_string(), String::new()),
    };
    let next_attempt_at = match delivery.progress {
        Progress::Waiting { at } => Some(timestamp_to_wire(at)),
        Progress::InFlight
        | Progress::Delivered
        | Progress::PermanentlyFailed
        | Progress::Unknown => None,
    };
    WireDelivery {
        delivery_id: delivery.id.to_string(),
        rule_id: delivery.rule.to_string(),
        channel: channel.into(),
        recipient,
        endpoint_id,
        event_type: delivery.event_type.clone(),
        ticket_id: delivery.ticket.as_ref().map_or_else(String::new, ToString::to_string),
        state: state_of(delivery.progress).into(),
        attempts: delivery.attempts,
        last_http_status: delivery.last_http_status,
        next_attempt_at,
        made_at: Some(timestamp_to_wire(delivery.made_at)),
        last_error: delivery.last_error.clone(),
    }
}
