//! `WatchNotifications`: what is told in the app, as it is told.

use std::collections::BTreeSet;

use kernel::{AgentId, QueueId, Timestamp, WorkspaceId};
use notify::Recipient;
use prost::Message as _;
use runtime::Node;
use service_kit::convert::timestamp_to_wire;
use service_kit::paging::binding;
use service_kit::{
    Fields, Item, Message, Refusal, SnapshotPage, WatchRequest, WatchStream, Watcher,
    checkpoint_every, status_of,
};
use tonic::Status;
use wire::events::v1::{Event, IntentMade, NotificationChannel};
use wire::notify::v1::watch_notifications_response::Kind;
use wire::notify::v1::{Notification, WatchNotificationsRequest, WatchNotificationsResponse};

use super::deliveries::unknown;
use crate::NotifyService;

/// How many queues a watch names at most.
const QUEUES_MAX: usize = 100;

struct Filter {
    workspace: WorkspaceId,
    /// `None`: everybody's.
    recipients: Option<BTreeSet<String>>,
}

pub(super) async fn watch(
    node: &Node<NotifyService>,
    watcher: Watcher,
    request: WatchNotificationsRequest,
) -> Result<WatchStream<WatchNotificationsResponse>, Status> {
    let (filter, asked) = parse(&request)?;
    let partition = node.partition_of(filter.workspace.as_str());
    let workspace = filter.workspace.clone();
    let known = node
        .read(filter.workspace.as_str(), move |state| {
            state.workspace(&workspace).is_some_and(notify::Workspace::is_seen)
        })
        .await
        .map_err(|failure| status_of::<NotifyService>(&failure))?;
    if !known {
        return Err(unknown(filter.workspace));
    }
    let none = |_: &notify::State, _| SnapshotPage::none();
    let change = move |_, event: &Event| filter.notification(event);
    service_kit::watch(partition, watcher, asked, none, change, rendered).await
}

fn parse(request: &WatchNotificationsRequest) -> Result<(Filter, WatchRequest), Refusal> {
    let mut fields = Fields::new();
    let workspace = fields.id("workspace_id", &request.workspace_id);
    let agent: Option<AgentId> = fields.optional_id("agent_id", &request.agent_id);
    let count = fields.count("queue_ids", request.queue_ids.len(), QUEUES_MAX);
    let numbered = request.queue_ids.iter().take(count).enumerate();
    let queues: Vec<QueueId> =
        numbered.map(|(index, id)| fields.id(format!("queue_ids[{index}]"), id)).collect();
    let alone = agent.is_none() && request.agent_id.is_empty() && !queues.is_empty();
    fields.require(!alone, "queue_ids", "must be empty without an agent_id");
    let checkpoint_every = checkpoint_every(&mut fields, request.checkpoint_every.as_ref());
    fields.finish()?;
    let bare = WatchNotificationsRequest { start: None, checkpoint_every: None, ..request.clone() };
    let asked = WatchRequest {
        start: request.start.clone(),
        include_snapshot: false,
        checkpoint_every,
        binding: binding("WatchNotifications", &bare),
    };
    let recipients = agent.map(|agent| {
        let own = [Recipient::All, Recipient::Agent(agent)];
        let all = own.into_iter().chain(queues.into_iter().map(Recipient::Queue));
        all.map(|recipient| recipient.to_string()).collect()
    });
    Ok((Filter { workspace, recipients }, asked))
}

impl Filter {
    /// The notification that an event of the log is, if it is one and the filter lets it through.
    fn notification(&self, event: &Event) -> Option<Notification> {
        if event.workspace != self.workspace.as_str() || event.r#type != "IntentMade" {
            return None;
        }
        let intent = IntentMade::decode(event.data.clone()).ok()?;
        let mine = self.recipients.as_ref().is_none_or(|it| it.contains(&intent.recipient));
        if intent.channel() != NotificationChannel::InApp || !mine {
            return None;
        }
        Some(Notification {
            delivery_id: intent.delivery_id,
            recipient: intent.recipient,
            event_type: intent.event_type,
            ticket_id: intent.ticket_id,
            text: intent.body,
            made_at: Some(timestamp_to_wire(Timestamp::from_millis(event.occurred_at_ms))),
        })
    }
}

fn rendered(told: Message<Notification, Notification>) -> WatchNotificationsResponse {
    let Message { resume_token, position, item } = told;
    let kind = match item {
        Item::Snapshot(notification) | Item::Change(notification) => {
            Some(Kind::Notification(notification))
        }
        Item::Checkpoint(checkpoint) => Some(Kind::Checkpoint(checkpoint)),
        // No snapshot is asked for.
        Item::SnapshotComplete => None,
    };
    WatchNotificationsResponse { resume_token, position: Some(position), kind }
}
